"""`timbre serve`: how it starts, what it says, how it ends."""

import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from clone import REPOSITORY
from serving import WAIT_SECONDS, served
from small_model import Trained

from timbre.cli import main
from timbre.problems import InputError
from timbre.server import address, listen, opened_desk

Captured = pytest.CaptureFixture[str]
one_model = pytest.mark.parametrize("trained", ["first"], indirect=True)


@one_model
def test_ctrl_c_ends_it_with_0_and_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    with served(trained.model, tmp_path / "own") as running:
        assert running.ask("GET", "/health").status == 200
        workers = running.workers()
        running.process.send_signal(signal.SIGINT)
        out, err = running.process.communicate(timeout=WAIT_SECONDS)
    assert (running.process.returncode, out, err) == (0, "", "stopped\n")
    assert list((tmp_path / "own").iterdir()) == []
    assert workers
    assert not any(worker.is_running() for worker in workers)


@one_model
def test_sigterm_leaves_nothing_either(trained: Trained, tmp_path: Path) -> None:
    with served(trained.model, tmp_path / "own") as running:
        running.process.terminate()
        running.process.communicate(timeout=WAIT_SECONDS)
    assert running.process.returncode == 143
    assert list((tmp_path / "own").iterdir()) == []


@one_model
def test_a_clip_that_is_worked_at_holds_no_end_up(trained: Trained, tmp_path: Path) -> None:
    with served(trained.model, tmp_path / "own") as running:
        (worker,) = running.workers()
        worker.suspend()
        place = address_of(running.url)
        with socket.create_connection(place, timeout=WAIT_SECONDS) as client:
            clip = trained.clips[0].read_bytes()
            head = f"POST /api/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(clip)}"
            client.sendall(f"{head}\r\n\r\n".encode() + clip)
            assert running.ask("GET", "/health").status == 200
            running.process.send_signal(signal.SIGINT)
            running.process.wait(timeout=WAIT_SECONDS)
    assert running.process.returncode == 0
    assert list((tmp_path / "own").iterdir()) == []


def address_of(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


@one_model
def test_another_host_is_warned_of(trained: Trained, tmp_path: Path) -> None:
    with served(trained.model, tmp_path / "own", "--host", "0.0.0.0") as running:  # noqa: S104
        running.process.send_signal(signal.SIGINT)
        _, err = running.process.communicate(timeout=WAIT_SECONDS)
    assert err.splitlines()[0] == (
        "warning: whoever reaches 0.0.0.0 can use this server: it asks for no password"
    )


@one_model
def test_a_port_in_use_is_one_line_with_the_way_out(trained: Trained, capsys: Captured) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(trained.model), "--port", str(port)]) == 1
    assert capsys.readouterr().err == (
        f"error: port {port} of 127.0.0.1: Address already in use: name another one by --port; "
        "--port 0 takes a free one\n"
    )


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("none.safetensors", "none.safetensors: cannot be read (No such file or directory)"),
        (".", ".: cannot be read (Is a directory)"),
        ("words", "words: not a usable Timbre model"),
    ],
)
def test_an_unusable_model_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, model: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words").write_text("no model")
    assert main(["serve", model, "--port", "0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}")
    assert "timbre-serve-" not in line


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "70000"], "70000 is not in the range"),
        (["--max-mb", "0"], "0.0 is not in the range"),
        (["--max-seconds", "1e9"], "1000000000.0 is not in the range"),
    ],
)
def test_wrong_options_are_told(capsys: Captured, options: list[str], told: str) -> None:
    assert main(["serve", "m.safetensors", *options]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_its_packages_it_says_how_to_get_them(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from timbre.cli import main; "
        "sys.exit(main(['serve', 'm.safetensors']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: timbre serve needs a package that is not there ({package}): "
        "pip install starlette uvicorn\n"
    )


def test_a_host_that_is_none_is_told() -> None:
    with pytest.raises(InputError, match=r"^--host not\.a\.host\.invalid: no address of this"):
        listen("not.a.host.invalid", 0)
    with pytest.raises(InputError, match=r"^port 0 of 192\.0\.2\.1: Cannot assign requested"):
        listen("192.0.2.1", 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    with listen("::1", 0) as listening:
        assert address(listening) == f"http://[::1]:{listening.getsockname()[1]}"


@one_model
def test_a_model_that_is_replaced_changes_no_answer(trained: Trained, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    model.write_bytes(trained.model.read_bytes())
    with opened_desk(model) as (desk, facts, _):
        model.write_text("something else")
        for worker in desk._workers:
            worker.process.kill()
        for told in desk.ask_each(None):
            assert {"model": "m.safetensors", **told} == facts


def test_the_wheel_has_the_page() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["timbre"] == ["pages/*"]
    needed = {line.split(">")[0] for line in project["project"]["optional-dependencies"]["serve"]}
    assert needed == {"starlette", "uvicorn"}


def test_torch_is_imported_by_the_workers_alone() -> None:
    code = "import sys, timbre.server; print('torch' in sys.modules, 'dvc' in sys.modules)"
    done = subprocess.check_output([sys.executable, "-c", code], cwd=REPOSITORY, text=True)
    assert done == "False False\n"
