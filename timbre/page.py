"""A page that is one file: markup, style, script, sounds and pictures; it asks no server."""

import base64
import hashlib
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

FOLDER = Path(__file__).parent / "pages"


def render(template: str, style: str, script: str, **values: object) -> str:
    """Fill a template of `pages/` with `values`; style and script are files there, put into it.

    All that is put in is escaped. The page names by its hash the one script and the one style that
    a browser may heed: even what got past the escaping would not run, and nothing is fetched.
    """
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["code"] = with_code
    css, js = ((FOLDER / name).read_text(encoding="utf-8") for name in (style, script))
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src '{digest(css)}'; "
        f"script-src '{digest(js)}'; base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(template)
    # Both are our own files: they would mean something else if they were escaped.
    own = {"css": Markup(css), "js": Markup(js), "policy": policy}  # noqa: S704
    return page.render(own | values)


def digest(text: str) -> str:
    """Return the hash of a style or script as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def with_code(text: str) -> Markup:
    """Escape a line of text, and show as code what stands in `backticks`."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 (escaped)
