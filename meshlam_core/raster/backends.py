"""Which rasteriser is used. What all of them take and return: interface.py."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Literal

import torch

from meshlam_core.errors import UsageError
from meshlam_core.raster.interface import Rasteriser
from meshlam_core.raster.nvdiffrast_backend import NvdiffrastRasteriser
from meshlam_core.raster.torch_twin import TorchRasteriser
from meshlam_core.raster.warp_backend import WarpRasteriser

Backend = Literal["auto", "warp", "torch", "nvdiffrast"]


def get_rasteriser(backend: Backend = "auto", device: torch.device | str = "cpu") -> Rasteriser:
    """The rasteriser for tensors on `device`.

    "auto" is warp, or the slow torch twin where warp is not installed. Results live on the device of the vertices.
    """
    if backend == "auto":
        backend = "warp" if has_warp() else "torch"
    if backend == "warp":
        return WarpRasteriser()
    if backend == "torch":
        return TorchRasteriser()
    if backend == "nvdiffrast":
        return NvdiffrastRasteriser(device)
    raise UsageError(f'Expected a rasteriser backend of auto, warp, torch or nvdiffrast, got "{backend}".')


@cache
def has_warp() -> bool:
    """Whether warp is installed. Importing it takes a while and is left to the first use."""
    return find_spec("warp") is not None
