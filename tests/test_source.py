"""What no line of the product does: load a pickle, run a text, hand data to a shell."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(
    path
    for folder in ("timbre", "stages", "bench", "fuzz")
    for path in (ROOT / folder).glob("*.py")
)

# Each of these runs, or can run, what a file holds.
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "jsonpickle"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    *("torch.load", "torch.hub", "torch.jit", "torch.package", "joblib.load", "joblib.Memory"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all"),
    *("yaml.UnsafeLoader", "yaml.FullLoader", "yaml.Loader", "yaml.load", "yaml.load_all"),
    *("tempfile.mktemp", "runpy.run_path", "runpy.run_module"),
}
ENDINGS = {
    "read_pickle",
    "to_pickle",
    "load_dill",
    "query",
}  # of any object; pandas' query evaluates
# What is told apart, and why it is no danger.
ALLOWED = {
    ("timbre/recorded.py", "yaml.load"): "by CSafeLoader or SafeLoader alone",
    ("bench/baselines.py", "joblib"): "Parallel and delayed, the notebook's loop",
}
# multiprocessing pickles what it hands from one of our processes to another: no file, no stranger.
PROCESSES = {
    "timbre/workers.py": "tasks to workers",
    "timbre/worker_process.py": "answers to the process that made it",
    "timbre/cluster_worker.py": "tasks to a process of its own, on a machine of the cluster",
    "timbre/corpus.py": "threads, which pickle nothing",
    "timbre/streaming.py": "threads, which pickle nothing",
    "bench/corpora.py": "tasks to workers",
    "timbre/parent.py": "asks who its parent is, and pickles nothing",
}


def name_of(node: ast.expr) -> str:
    """Return a dotted name as it is written, "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := name_of(node.value)):
        return f"{before}.{node.attr}"
    return ""


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def dangers(text: str) -> set[str]:
    """Return what in a module's text could run what a file or a user's text holds."""
    tree = ast.parse(text)
    found = {name for name in imports(tree) if name.split(".")[0] in {*MODULES, "joblib"}}
    found |= {name for name in imports(tree) if name in METHODS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in BUILTINS:
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            name = name_of(node)
            found |= {name} & METHODS
            found |= {node.attr} & ENDINGS
        elif isinstance(node, ast.keyword) and node.arg in {"shell", "allow_pickle"}:
            found |= set() if is_false(node.value) else {node.arg}
        elif isinstance(node, ast.keyword) and node.arg == "weights_only":
            found.add("torch.load")
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_pickle_is_loaded_no_text_is_run_and_no_shell_is_asked() -> None:
    found = {
        (relative(path), name) for path in SOURCES for name in dangers(path.read_text("utf-8"))
    }
    assert len(SOURCES) > 80
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle.loads"),
        ("def f():\n    import dill as d", "dill"),
        ("import joblib\njoblib.load('x')", "joblib.load"),
        ("from joblib import load", "joblib.load"),
        ("import torch\ntorch.load('x', weights_only=True)", "torch.load"),
        ("from torch import load as l", "torch.load"),
        ("np.load('x', allow_pickle=True)", "allow_pickle"),
        ("np.load('x', allow_pickle=wanted)", "allow_pickle"),
        ("pd.read_pickle('x')", "read_pickle"),
        ("yaml.load(text, yaml.Loader)", "yaml.Loader"),
        ("yaml.load(text, Loader=chosen)", "yaml.load"),
        ("yaml.unsafe_load(text)", "yaml.unsafe_load"),
        ("eval('1')", "eval"),
        ("run = exec", "exec"),
        ("os.system('ls')", "os.system"),
        ("subprocess.run('ls', shell=True)", "shell"),
        ("subprocess.run('ls', shell=wanted)", "shell"),
        ("tempfile.mktemp()", "tempfile.mktemp"),
    ],
)
def test_each_of_them_would_be_seen(text: str, name: str) -> None:
    assert name in dangers(text)


def test_what_is_harmless_is_not_taken_for_them() -> None:
    text = "network.eval()\nsubprocess.run(['ls'], shell=False)\nnp.load('x')\nyaml.safe_load(t)"
    assert dangers(text) == set()


def test_processes_are_started_where_it_is_known() -> None:
    starting = {
        relative(path)
        for path in SOURCES
        for name in imports(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] in {"multiprocessing", "concurrent"}
    }
    assert starting == set(PROCESSES)


def test_the_one_yaml_loader_that_is_chosen_is_a_safe_one() -> None:
    tree = ast.parse((ROOT / "timbre" / "recorded.py").read_text("utf-8"))
    loaders = {
        ast.unparse(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "loader"
    }
    assert loaders == {"getattr(yaml, 'CSafeLoader', yaml.SafeLoader)"}


def test_of_joblib_only_its_loop_is_used() -> None:
    tree = ast.parse((ROOT / "bench" / "baselines.py").read_text("utf-8"))
    used = {name_of(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert {name for name in used if name.startswith("joblib.")} == {
        "joblib.Parallel",
        "joblib.delayed",
    }
