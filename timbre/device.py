"""Where the network runs, and in which precision."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from timbre.problems import InputError


def choose_device(name: str) -> torch.device:
    """Return the device of that name; `auto` takes cuda, then mps, then cpu.

    Raises InputError if a device is named that this machine does not have.
    """
    has = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in has.items() if there))
    if not has.get(name.split(":")[0], False):
        there = ", ".join(kind for kind, found in has.items() if found)
        raise InputError(f"device '{name}' is not available here (there is: {there}): use auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the type that convolutions and products compute in; `auto` where the hardware gains.

    Weights, losses and normalisation stay in float32 all the same.
    """
    if name == "auto":
        return torch.bfloat16 if _gains_from_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


@contextmanager
def room_told(setting: str, device: torch.device, what: str, way_out: str) -> Iterator[None]:
    """Raise InputError, naming the setting of params.yaml, if `what` finds no room on a GPU."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        # What is said further on is of torch's allocator, and of variables that mend it rarely.
        reason = ". ".join(str(error).split(". ")[:2])
        raise InputError(
            f"params.yaml: {setting}: the memory of {device} has no room for {what} ({reason}): "
            f"{way_out}, or end other programs there"
        ) from None


def starved(cpu_seconds: float, wall_seconds: float, n_threads: int) -> bool:
    """Tell whether other work takes the cores that `n_threads` count on.

    Threads that meet after each operation wait for the one that has lost its core. On quiet cores
    they use 90 % of their time and more.
    """
    return n_threads > 1 and cpu_seconds < 0.75 * n_threads * wall_seconds


def _gains_from_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without these instructions bfloat16 is emulated, and slower than float32.
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return False
