"""The fast rasteriser, on CPU and CUDA, with kernels compiled by warp on their first use and cached on disk.

Frame, units, dims and rules: interface.py.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from meshlam_core.errors import DeviceError
from meshlam_core.raster.interface import Cull, Fragments, check_inputs

BANDS = 2  # parts of the image drawn at once on the CPU: more bands repeat the triangle set-up for little gain
CUDA_LANES = 8  # threads per triangle: enough to share a big one, few enough not to waste on small ones


class WarpRasteriser:
    """Rasteriser by warp kernels. Tensors of devices that warp lacks are copied to the CPU and back."""

    def rasterise(
        self,
        vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
        faces: Tensor,  # [F, 3] int
        size: tuple[int, int],  # (height, width)
        cull: Cull = "none",
    ) -> Fragments:
        check_inputs(vertices, faces, size, cull)
        home = vertices.device
        device = home if home.type == "cuda" else torch.device("cpu")
        points = vertices.detach().to(device, torch.float32).contiguous()
        triangles = faces.to(device, torch.int32).contiguous()

        shape = (len(points), *size)
        keys = torch.zeros(shape, dtype=torch.int64, device=device)
        face = torch.empty(shape, dtype=torch.int32, device=device)
        bary = torch.empty((*shape, 3), device=device)
        depth = torch.empty(shape, device=device)
        if len(points):
            _launch(points, triangles, cull == "back", keys, face, bary, depth)
        return Fragments(face.to(home), bary.to(home), depth.to(home))


def warm_up() -> None:
    """Load (and, the first time on a machine, compile) the CPU kernels, so that the first picture does not wait."""
    corners = torch.tensor([[[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]])
    WarpRasteriser().rasterise(corners, torch.tensor([[0, 1, 2]]), (2, 2))


def _launch(
    points: Tensor,  # [B, V, 3]
    triangles: Tensor,  # [F, 3]
    cull_back: bool,
    keys: Tensor,  # [B, H, W]
    face: Tensor,  # [B, H, W]
    bary: Tensor,  # [B, H, W, 3]
    depth: Tensor,  # [B, H, W]
) -> None:
    """Fill face, bary and depth; on the CPU in bands of rows, which share nothing but their inputs."""
    cuda = points.device.type == "cuda"
    wp, kernels = _kernels(str(points.device))
    batch, height, width = keys.shape
    arrays = (wp.from_torch(t, return_ctype=True) for t in (points, triangles, keys, face, bary, depth))
    wp_points, wp_triangles, wp_keys, *wp_out = arrays
    cover_lanes, resolve_lanes = (CUDA_LANES, width) if cuda else (1, 1)
    options: dict[str, Any] = {"device": wp.device_from_torch(points.device)}
    if cuda:
        options["stream"] = wp.stream_from_torch(torch.cuda.current_stream(points.device))

    def draw(first: int, end: int) -> None:
        """Rows first to end - 1."""
        if len(triangles):
            inputs = [wp_points, wp_triangles, int(cull_back), first, end, cover_lanes, wp_keys]
            wp.launch(kernels.cover, (batch, len(triangles), cover_lanes), inputs, **options)
        inputs = [wp_points, wp_triangles, first, resolve_lanes, wp_keys, *wp_out]
        wp.launch(kernels.resolve, (batch, end - first, resolve_lanes), inputs, **options)

    if cuda or height < 2 * BANDS or torch.get_num_threads() == 1:
        draw(0, height)
        return
    edges = [round(i * height / BANDS) for i in range(BANDS + 1)]
    # warp's CPU kernels run outside Python's lock, so threads do run side by side
    for done in [_pool().submit(draw, *band) for band in pairwise(edges)]:
        done.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(BANDS, thread_name_prefix="raster")


@cache
def _kernels(device: str) -> tuple[ModuleType, ModuleType]:
    """Import warp without its banner, and load the kernels for a device before any thread launches them."""
    try:
        import warp as wp
    except ImportError as cause:
        raise DeviceError(
            "The warp rasteriser needs the package warp-lang.", "Install it: pip install warp-lang."
        ) from cause
    # its banner and its remark about a missing CUDA driver would land among our own output
    wp.config.log_level = wp.LOG_ERROR
    wp.init()  # type: ignore[no-untyped-call]
    from meshlam_core.raster import warp_kernels

    wp.load_module(warp_kernels, device=device)
    return wp, warp_kernels
