"""Starts the processes that train together on this machine, by torch's own launcher.

It listens on the loopback interface alone, starts nothing anew, and ends all when one ends badly.
"""

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from timbre.command import RESUMED, TerminatedError
from timbre.problems import InputError
from timbre.ranks import FAILED, LAUNCHER, LOST, lost
from timbre.team import LEAST, PATIENCE, is_rank
from timbre.workers import n_cores

if TYPE_CHECKING:
    from torch.distributed.elastic.agent.server.api import RunResult

HOST = "127.0.0.1"
DOCUMENT = "docs/several-gpus.md"


def count_processes(
    wanted: int, batch_size: int, device: torch.device, *, compiled: bool = False
) -> int:
    """Return how many processes train: `wanted`, where 0 is one for each GPU of this machine.

    Raises InputError if it is not one and the device, the machine or the batch cannot be shared
    by so many.
    """
    n_gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    if is_rank():
        n = int(os.environ["WORLD_SIZE"])
        n_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    else:
        n = n_here = wanted or max(1, n_gpus)
    if problems := list(_problems(wanted, n, n_here, n_gpus, batch_size, device, compiled)):
        raise InputError(f"params.yaml: {problem}" for problem in problems)
    return n


def _problems(
    wanted: int,
    n: int,
    n_here: int,
    n_gpus: int,
    batch_size: int,
    device: torch.device,
    compiled: bool,
) -> Iterator[str]:
    if wanted not in (0, n):
        yield f"train.processes: {wanted}, but {n} processes were started: set it to {n}"
    if n == 1:
        return
    if device.type not in ("cpu", "cuda") or device.index is not None:
        yield (
            f"train.device: {device} is one device, and train.processes is {n}: take cuda or cpu, "
            "or 1 process"
        )
    elif n_gpus and n_here > n_gpus:
        yield (
            f"train.processes: {n_here} is more than the {n_gpus} GPUs of this machine: lower it, "
            f"or start it on several machines ({DOCUMENT})"
        )
    elif not n_gpus and n_here > n_cores():
        yield f"train.processes: {n_here} is more than the {n_cores()} cores here: lower it"
    if batch_size < LEAST * n:
        yield (
            f"train.batch_size: {batch_size} is too small for {n} processes, each of which takes "
            f"at least {LEAST} windows of a batch: raise it to {LEAST * n}, or lower "
            "train.processes"
        )
    if compiled:
        yield f"train.compile: true is for one process, and train.processes is {n}: set it to false"


def start_processes(n: int, module: str, arguments: Sequence[object]) -> None:
    """Run `python -m module arguments` in n processes; return when all have done their part.

    Raises InputError for one that was killed, KeyboardInterrupt and TerminatedError for those
    signals, SystemExit where a process has told itself what was wrong. None is left running.
    """
    from torch.distributed.elastic.multiprocessing import SignalException

    before = signal.getsignal(signal.SIGTERM)
    try:
        with _surroundings(_variables(n)):
            result = _run(n, ("-m", module, *map(str, arguments)))
    except SignalException:
        raise TerminatedError from None
    finally:
        signal.signal(signal.SIGTERM, before)
    if result.failures:
        raise _cause({rank: failed.exitcode for rank, failed in result.failures.items()}, n)


def _run(n: int, arguments: tuple[str, ...]) -> "RunResult":
    from torch.distributed.elastic.agent.server.api import WorkerSpec
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs

    spec = WorkerSpec(
        role="train",
        local_world_size=n,
        entrypoint=sys.executable,
        args=arguments,
        rdzv_handler=_meeting_place(),
        max_restarts=0,  # the next run goes on; one that fails the same way again would not end
        monitor_interval=0.1,
    )
    # Torch makes a folder for logs, and leaves it, whether or not anything is logged.
    with tempfile.TemporaryDirectory(prefix="timbre-") as folder:
        result: RunResult = LocalElasticAgent(spec, DefaultLogsSpecs(log_dir=folder)).run()
    return result


def _meeting_place() -> Any:  # noqa: ANN401 (torch's handler has no type)
    """Return a rendezvous at a free port. Torch's own ones listen to the whole network."""
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.elastic.rendezvous import RendezvousInfo, RendezvousStoreInfo
    from torch.distributed.elastic.rendezvous.static_tcp_rendezvous import StaticTCPRendezvous

    listening = socket.create_server((HOST, 0))
    port = listening.getsockname()[1]
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        HOST,
        port,
        is_master=True,
        timeout=PATIENCE,
        wait_for_workers=False,
        master_listen_fd=listening.detach(),
    )

    class Loopback(StaticTCPRendezvous):
        def next_rendezvous(self) -> RendezvousInfo:
            place = RendezvousStoreInfo(HOST, port)
            return RendezvousInfo(PrefixStore(self.run_id, store), 0, 1, place)

    return Loopback(HOST, port, rank=0, world_size=1, run_id="timbre", timeout=0)


def _variables(n: int) -> dict[str, str]:
    """Return what the processes find in their environment, but for what it holds already."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "")
    wanted = {
        "OMP_NUM_THREADS": str(max(1, n_cores() // n)),
        **({"GLOO_SOCKET_IFNAME": loopback} if loopback else {}),
    }
    return {
        **{name: value for name, value in wanted.items() if name not in os.environ},
        LAUNCHER: str(os.getpid()),
        # Those that torch hands on. Python's own KeyboardInterrupt has it send SIGTERM, of which
        # a process dies without a traceback while it still imports.
        "TORCHELASTIC_SIGNALS_TO_HANDLE": "SIGTERM",
    }


@contextmanager
def _surroundings(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started, and have torch log nothing of its own."""
    os.environ |= variables
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for name in variables:
            del os.environ[name]


def _cause(exit_codes: Mapping[int, int], n: int) -> BaseException:
    """Return what ended the team, from the exit codes of its ranks, minus the signal if killed."""
    if FAILED in exit_codes.values():
        return SystemExit(FAILED)
    consequences = LOST, -signal.SIGTERM  # the launcher ends by SIGTERM who is left
    first = next((rank for rank, code in exit_codes.items() if code not in consequences), None)
    if first is None:
        return lost("none of them knows why")
    code = exit_codes[first]
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return InputError(
        f"process {first + 1} of the {n} that train together {how}, maybe because memory ran out: "
        f"end other programs, or lower train.processes or train.memory_gb, {RESUMED}"
    )
