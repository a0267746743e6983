"""Which device the work runs on."""

from __future__ import annotations

from meshlam_core.errors import DeviceError


def best_device() -> str:
    """What "auto" means here: cuda where there is a usable one, otherwise the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_device(wanted: str) -> str:
    """A device that is there; DeviceError for one that is not."""
    import torch

    if wanted == "auto":
        return best_device()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(wanted, False):
        raise DeviceError(f"The device {wanted!r} is not available here.", "Use `--device auto`.")
    return wanted
