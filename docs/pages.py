"""Which files the site has: the repository's own pages, and what they link to.

mkdocs calls `on_files` and `on_page_markdown` (see mkdocs.yml). Each file keeps its place in the
repository, so a link that works on a forge works in the site, and the other way round.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("*.md", "docs/*.md", "metrics/*.md")
STYLE = ROOT / "docs" / "site.css"
PIPELINE = ROOT / "docs" / "pictures" / "pipeline.svg"
LINK = re.compile(r"\]\(([^)\s#]+)")
GRAPH = re.compile(r"^```mermaid\n.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the pages and what they link to, and what the theme brought along."""
    own = [
        File(path.relative_to(ROOT).as_posix(), str(ROOT), config.site_dir, directory_urls(config))
        for path in site_files()
    ]
    return Files([*own, *(file for file in files if file.src_dir != config.docs_dir)])


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Return the page with the picture of the pipeline for its graph, which a forge draws.

    The theme would ask another server for a program to draw it.
    """
    place = PIPELINE.relative_to(ROOT).as_posix()
    up = "../" * page.file.src_uri.count("/")
    return GRAPH.sub(f"![The stages of the pipeline]({up}{place})", markdown)


def site_files() -> list[Path]:
    """Return the repository's pages and the files that they link to, sorted."""
    pages = [path for pattern in PAGES for path in ROOT.glob(pattern)]
    linked = {target for page in pages for target in links(page) if target.is_file()}
    return sorted({*pages, *linked, STYLE, PIPELINE})


def links(page: Path) -> set[Path]:
    """Return what a page links to in the repository."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    near = [target for target in targets if not re.match(r"\w+:", target)]
    return {(page.parent / target).resolve() for target in near}


def directory_urls(config: MkDocsConfig) -> bool:
    """Tell whether a page is a folder with an index, which files on a disk cannot be."""
    return bool(config.use_directory_urls)
