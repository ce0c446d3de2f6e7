"""The examples run where neither torch nor Timbre is, and answer as Timbre does."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from browser import chromium_page  # noqa: F401 (a fixture)
from onnx_models import noise
from small_model import Trained

from bench.browser import RUNTIME, bring_runtime, served
from timbre.export import export_model
from timbre.predict import Classifier

if TYPE_CHECKING:
    from playwright.sync_api import Page

EXAMPLES = Path(__file__).parents[1] / "examples"
PROGRAM = EXAMPLES / "onnx_python.py"
# Of the npm package onnxruntime-web, as the page and docs/export.md name them.
BAR_SHARES = (
    "[...document.querySelectorAll('.bar')].map("
    "bar => bar.offsetWidth / bar.parentElement.clientWidth)"
)


@pytest.fixture(scope="module")
def folder(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the small model as timbre.onnx, and some clips."""
    made = tmp_path_factory.mktemp("example")
    export_model(trained.model, made / "timbre.onnx")
    soundfile.write(made / "clip.wav", noise(3000), 8000, subtype="PCM_16")
    stereo = np.stack([noise(9000, 1), -noise(9000, 1)], axis=1)
    soundfile.write(made / "inverted.flac", stereo, 11_025, subtype="PCM_16")
    return made


def example(folder: Path, *names: str, lacking: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the Python example where nothing of Timbre or torch can be imported."""
    gone = ("torch", "librosa", "timbre", "onnx", *lacking)
    code = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({gone!r})); "
        f"sys.argv[:1] = []; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(PROGRAM), *names],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def told(classifier: Classifier, path: Path) -> str:
    """Return the line that `timbre predict` prints."""
    answer = classifier.answer(path)
    share = f"{answer.probs.max():.1%}"
    if answer.is_known:
        return f"{path.name}: {answer.label} ({share})"
    return f"{path.name}: unknown (most like {answer.likeliest}, {share})"


def test_the_python_example_answers_as_timbre_does_without_torch(
    trained: Trained, folder: Path
) -> None:
    names = ["clip.wav", "inverted.flac"]
    code, out, err = example(folder, "timbre.onnx", *names)
    assert (code, err) == (0, "")
    classifier = Classifier.load(trained.model)
    assert out.splitlines() == [told(classifier, folder / name) for name in names]


def test_the_python_example_names_files_that_it_cannot_hear(folder: Path) -> None:
    (folder / "text.wav").write_text("text")
    soundfile.write(folder / "empty.wav", np.zeros(0), 8000)
    names = ["none.wav", "text.wav", "empty.wav", "clip.wav"]
    code, out, err = example(folder, "timbre.onnx", *names)
    assert code == 1
    assert out.startswith("clip.wav: ")
    lines = err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [["error", name] for name in names[:3]]
    assert lines[2] == "error: empty.wav: it holds no samples, or some that are no numbers"


def test_the_python_example_says_what_another_rate_needs(folder: Path) -> None:
    code, out, err = example(folder, "timbre.onnx", "inverted.flac", "clip.wav", lacking=("soxr",))
    assert code == 1
    assert out.startswith("clip.wav: ")
    wanted = "its rate is 11025 Hz, the model's 8000 Hz: pip install soxr"
    assert err == f"error: inverted.flac: {wanted}\n"


@pytest.fixture
def site(folder: Path, tmp_path: Path) -> Iterator[str]:
    """Serve the page, the model and onnxruntime-web on the loopback; skip without the package."""
    package = os.environ.get("TIMBRE_ORT_WEB")
    if package is None:
        pytest.skip("TIMBRE_ORT_WEB is not set: the folder dist of npm's onnxruntime-web")
    shutil.copy(EXAMPLES / "onnx_browser.html", tmp_path / "index.html")
    shutil.copy(folder / "timbre.onnx", tmp_path)
    bring_runtime(Path(package), tmp_path)
    with served(tmp_path) as address:
        yield address


@pytest.mark.browser
def test_the_browser_example_answers_as_timbre_does(
    trained: Trained,
    folder: Path,
    site: str,
    chromium_page: "Page",  # noqa: F811
) -> None:
    page, asked, wrong = chromium_page, [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.goto(site)
    page.wait_for_selector("#file:not([disabled])", state="attached", timeout=60_000)
    classifier = Classifier.load(trained.model)
    for name in ("clip.wav", "long.wav"):
        if name == "long.wav":
            soundfile.write(folder / name, noise(7400, 2), 8000, subtype="PCM_16")
        page.set_input_files("#file", folder / name)
        page.wait_for_function("name => told.textContent.startsWith(name)", arg=name)
        shown = {
            row.locator("th").inner_text(): float(row.get_attribute("data-prob") or "nan")
            for row in page.locator("#probs tr").all()
        }
        answer = classifier.answer(folder / name)
        assert sorted(shown) == sorted(classifier.classes)
        found = [shown[label] for label in classifier.classes]
        np.testing.assert_allclose(found, answer.probs, atol=1e-3)
        drawn = page.evaluate(BAR_SHARES)
        np.testing.assert_allclose(drawn, sorted(found, reverse=True), atol=0.02)
        line = page.locator("#answer").inner_text()
        assert line.startswith(answer.likeliest if answer.is_known else "unknown (most like ")
    assert wrong == []
    assert [url for url in asked if not url.startswith((site, "data:", "blob:"))] == []


@pytest.mark.browser
def test_the_browser_example_says_what_it_cannot_hear(
    folder: Path,
    site: str,
    chromium_page: "Page",  # noqa: F811
) -> None:
    (folder / "text.wav").write_text("text")
    chromium_page.goto(site)
    chromium_page.wait_for_selector("#file:not([disabled])", state="attached", timeout=60_000)
    chromium_page.set_input_files("#file", folder / "text.wav")
    line = chromium_page.locator("#answer.error")
    line.wait_for()
    assert line.inner_text().startswith("text.wav: cannot be heard (")


def test_the_page_and_the_docs_name_the_same_files() -> None:
    page = (EXAMPLES / "onnx_browser.html").read_text("utf-8")
    docs = (EXAMPLES.parent / "docs" / "export.md").read_text("utf-8")
    for name in RUNTIME:
        assert name in page
        assert name in docs
