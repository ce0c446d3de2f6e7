"""Sum a queue of folds and seeds up: mean, 95 % interval and spread of each metric."""

import argparse
import difflib
import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from timbre.estimates import Estimate, estimate
from timbre.problems import InputError
from timbre.runs import Run, ask_dvc, read_runs

FOLD, CLASS_FOLD, SPLIT_SEED = "split.fold", "evaluate.unknown_fold", "split.seed"
NUMBER_OF = {FOLD: "split.n_folds", CLASS_FOLD: "evaluate.unknown_folds"}
VARIED = (FOLD, CLASS_FOLD, SPLIT_SEED, "train.seed")  # what may differ inside one summary
SHARE = re.compile(r"accuracy|auroc|f1|top_|ece|rejects|accepts|recall|precision")
# The mean of single runs' limits is no limit; the sizes of splits are no result.
LEFT_OUT = re.compile(r"_(low|high)$|^split\.")
HEADER = ("metric", "mean", "95 % interval", "from - to", "over folds", "over seeds", "runs")
INTERRUPTED = 130  # the shell's exit code for SIGINT

EXAMPLES = """\
examples:
  python -m timbre.summary
      all finished experiments below the last commit
  python -m timbre.summary -n 3 --metric test.accuracy
      those below the last three commits, one metric
  python -m timbre.summary --rev v1 --rev v2
      those below two commits
  python -m timbre.summary one/test.json two/test.json
      metrics files; each counts as a fold
"""


def summarise(runs: Sequence[Run], wanted: Sequence[str] = ()) -> dict[str, Estimate]:
    """Return the estimates of the metrics `wanted`, or of all that are results.

    The runs differ in VARIED keys alone. A metric that some runs lack is that of the others.
    """
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    chosen = wanted or [name for name in names if not LEFT_OUT.search(name)]
    return {
        name: _estimate_metric(name, [run for run in runs if name in run.metrics])
        for name in chosen
        if name in names
    }


def _estimate_metric(name: str, runs: Sequence[Run]) -> Estimate:
    values = [run.metrics[name] for run in runs]
    if not any(run.params for run in runs):
        return estimate(values, range(len(runs)), [0] * len(runs))
    unit = _unit(name, runs)
    if unit == SPLIT_SEED:
        settings = runs[0].params
        overlap = settings.get("split.test", 1.0) / settings.get("split.train", 1.0)
        return estimate(values, _column(runs, unit), [0] * len(runs), overlap)
    return estimate(values, _column(runs, unit), _column(runs, SPLIT_SEED))


def _unit(name: str, runs: Sequence[Run]) -> str:
    """Return the key whose values are the folds: of classes, for what tells of unknown ones."""
    keys = (CLASS_FOLD, FOLD) if ".unknown_" in name else (FOLD, CLASS_FOLD)
    several = [key for key in (*keys, SPLIT_SEED) if len(set(_column(runs, key))) > 1]
    return several[0] if several else FOLD


def _column(runs: Sequence[Run], key: str) -> list[object]:
    return [run.params.get(key) for run in runs]


def by_settings(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Put runs of equal settings together, by what tells them from the others ("" if nothing)."""
    fixed = [
        {key: json.dumps(value) for key, value in run.params.items() if key not in VARIED}
        for run in runs
    ]
    keys = sorted({key for settings in fixed for key in settings})
    telling = [key for key in keys if len({settings.get(key) for settings in fixed}) > 1]
    found: dict[str, list[Run]] = {}
    for run, settings in zip(runs, fixed, strict=True):
        title = ", ".join(f"{key}={settings.get(key, 'absent')}" for key in telling)
        found.setdefault(title, []).append(run)
    return found


def missing_folds(runs: Sequence[Run]) -> list[str]:
    """Return a line for each kind of fold of which some have no run."""
    lines = []
    for key in (FOLD, CLASS_FOLD):
        there = set(_column(runs, key))
        wanted = set(range(int(runs[0].params.get(NUMBER_OF[key]) or 0)))
        if len(there) > 1 and wanted - there:
            names = ", ".join(map(str, sorted(wanted - there)))
            lines.append(f"{key}: no finished run of {names} (of {len(wanted)}): a partial mean")
    return lines


def table(estimates: dict[str, Estimate]) -> str:
    """Return the estimates as a table that is Markdown too."""
    cells = [list(HEADER), *(_row(name, found) for name, found in estimates.items())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, row, widths))} |" for row in cells)


def _row(name: str, found: Estimate) -> list[str]:
    is_share = bool(SHARE.search(name))

    def shown(value: float | None) -> str:
        if value is None:
            return ""
        return f"{100 * value:.2f} %" if is_share else f"{value:.4g}"

    limits = found.interval
    if limits and is_share:
        limits = (max(limits[0], 0.0), min(limits[1], 1.0))
    return [
        name,
        shown(found.mean),
        f"{shown(limits[0])} - {shown(limits[1])}" if limits else "",
        f"{shown(found.lowest)} - {shown(found.highest)}" if found.n_folds > 1 else "",
        shown(found.over_folds),
        shown(found.over_seeds),
        str(found.n_runs),
    ]


def report(runs: Sequence[Run], wanted: Sequence[str]) -> str:
    """Return the tables, one for each setting; `wanted` metrics alone, if there are such names.

    Raises InputError if there are no runs, or no such metrics.
    """
    if not runs:
        raise InputError(
            "no finished experiments: queue folds with `dvc exp run --queue` and run them, give "
            "-n 3 for those of the last three commits, or name metrics files"
        )
    names = {name for run in runs for name in run.metrics}
    if problems := [_no_such_metric(name, names) for name in wanted if name not in names]:
        raise InputError(problems)
    parts = []
    for title, own in by_settings(runs).items():
        shown = table(summarise(own, wanted))
        n_runs = f"{len(own)} run{'' if len(own) == 1 else 's'}"
        parts += [f"{title}: {n_runs}" if title else n_runs, shown]
        parts += [f"warning: {line}" for line in missing_folds(own)]
    return "\n\n".join(parts)


def _no_such_metric(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.3)
    hint = f"did you mean {near[0]!r}?" if near else "leave --metric out to see all"
    return f"no metric is named {name!r}: {hint}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m timbre.summary",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", type=Path, help="metrics, or a saved `dvc exp show`")
    parser.add_argument("--rev", action="append", default=[], help="a commit; default: the last")
    parser.add_argument("-n", "--num", type=int, help="commits back from it")
    parser.add_argument("--metric", action="append", default=[], help="only this; may be repeated")
    given = parser.parse_args(arguments)
    options = [word for rev in given.rev for word in ("--rev", rev)]
    options += [] if given.num is None else ["--num", str(given.num)]
    try:
        runs = read_runs(given.files) if given.files else ask_dvc(options)
        print(report(runs, given.metric))
    except InputError as error:
        error.show()
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
