"""How long a model takes in Chromium: onnxruntime-web, WebAssembly, one thread."""

import functools
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from timbre.audio import Waveform

if TYPE_CHECKING:
    from playwright.sync_api import Page

RUNTIME = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
N_ROUNDS = 150
ASK = """
async ([model, samples, rounds]) => {
  ort.env.wasm.wasmPaths = new URL("ort/", location.href).href;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model);
  const input = { [session.inputNames[0]]: new ort.Tensor("float32", samples, [samples.length]) };
  const taken = [];
  for (let round = 0; round <= rounds; round++) {
    const begun = performance.now();
    await session.run(input);
    taken.push(performance.now() - begun);
  }
  return taken.slice(1);
}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def milliseconds_in_browser(models: Mapping[str, Path], waveform: Waveform) -> dict[str, float]:
    """Return the shortest time of each model for a waveform; of none without Chromium and ORT."""
    package, chromium = os.environ.get("TIMBRE_ORT_WEB"), shutil.which("chromium")
    if package is None or chromium is None or not models:
        return {}
    from playwright.sync_api import sync_playwright

    folder = next(iter(models.values())).parent
    bring_runtime(Path(package), folder)
    (folder / "index.html").write_text('<script src="ort/ort.wasm.min.js"></script>', "utf-8")
    with served(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        ask = functools.partial(_ask, page, waveform.tolist())
        ask(next(iter(models.values())))  # until Chromium has compiled the runtime for speed
        taken = {name: ask(path) for name, path in models.items()}
        browser.close()
    return taken


def _ask(page: "Page", samples: list[float], path: Path) -> float:
    taken: list[float] = page.evaluate(ASK, [path.name, samples, N_ROUNDS])
    return min(taken)


def bring_runtime(package: Path, folder: Path) -> None:
    """Copy what a page needs of onnxruntime-web into `folder`/ort; `package` is npm's `dist`."""
    (folder / "ort").mkdir(exist_ok=True)
    for name in RUNTIME:
        shutil.copy(package / name, folder / "ort")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder on the loopback; give the address."""
    handler = functools.partial(_Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
