"""Which rasteriser is used. What all of them take and return: interface.py."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Literal, get_args

import torch

from meshlam_core.errors import UsageError
from meshlam_core.raster.interface import Rasteriser
from meshlam_core.raster.nvdiffrast_backend import NvdiffrastRasteriser
from meshlam_core.raster.torch_twin import TorchRasteriser
from meshlam_core.raster.warp_backend import WarpRasteriser

Backend = Literal["auto", "warp", "torch", "nvdiffrast"]
_LICENCE = (
    "nvdiffrast draws the triangles: its licence allows research and evaluation only (--rasteriser warp avoids it)."
)
_wanted: Backend = "auto"  # what the user chose for this process


def prefer(backend: Backend, device: torch.device | str) -> None:
    """What "auto" means from now on. DeviceError when nvdiffrast is asked for and cannot be had."""
    global _wanted
    if backend not in get_args(Backend):
        raise UsageError(f"rasteriser: expected one of {', '.join(get_args(Backend))}, got {backend!r}.")
    if backend == "nvdiffrast":
        _nvdiffrast(str(device))
    _wanted = backend


def get_rasteriser(backend: Backend = "auto", device: torch.device | str = "cpu") -> Rasteriser:
    """The rasteriser for tensors on `device`.

    "auto" is what the user prefers, else nvdiffrast on CUDA where it is installed, else warp, else the slow torch
    twin. Results live on the device of the vertices.
    """
    if backend == "auto":
        backend = _auto(torch.device(device).type == "cuda")
    if backend == "warp":
        return WarpRasteriser()
    if backend == "torch":
        return TorchRasteriser()
    if backend == "nvdiffrast":
        return _nvdiffrast(str(device))
    raise UsageError(f'Expected a rasteriser backend of auto, warp, torch or nvdiffrast, got "{backend}".')


def _auto(on_cuda: bool) -> Backend:
    if on_cuda and (_wanted == "nvdiffrast" or (_wanted == "auto" and has_nvdiffrast())):
        return "nvdiffrast"
    # what lies on the CPU beside a CUDA device, e.g. texture layouts, is never nvdiffrast's
    return "torch" if _wanted == "torch" or not has_warp() else "warp"


@cache
def _nvdiffrast(device: str) -> NvdiffrastRasteriser:
    """One context for each device; its licence is said once."""
    made = NvdiffrastRasteriser(device)
    print(_LICENCE, file=sys.stderr)
    return made


@cache
def has_nvdiffrast() -> bool:
    """Whether nvdiffrast is installed."""
    return find_spec("nvdiffrast") is not None


@cache
def has_warp() -> bool:
    """Whether warp is installed. Importing it takes a while and is left to the first use."""
    return find_spec("warp") is not None
