"""The device that a name stands for on this machine."""

from typing import Literal

import torch

from gaitbench.errors import UsageError

__all__ = ["DeviceName", "device_named"]

DeviceName = Literal["auto", "cpu", "cuda"]
"""``auto`` takes CUDA when there is one."""


def device_named(name: DeviceName) -> torch.device:
    """Look a device up.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: There is no such device here, or the name is another one.

    Example:
        >>> device_named("cpu")
        device(type='cpu')
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError(f"device must be auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here; use --device cpu (device='cpu'), or see 'gaitbench doctor'")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)
