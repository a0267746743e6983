"""The fast rasteriser, on CPU and CUDA, with kernels compiled by warp on their first use and cached on disk.

Frame, units, dims and rules: interface.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from meshlam_core.raster.interface import Cull, Fragments, check_inputs
from meshlam_core.raster.warp_runtime import in_bands, launch, warp_device

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
        device = warp_device(vertices)
        points = vertices.detach().to(device, torch.float32).contiguous()
        triangles = faces.to(device, torch.int32).contiguous()
        batch, (height, width) = len(points), size

        keys = torch.zeros((batch, height, width), dtype=torch.int64, device=device)
        face = torch.empty((batch, height, width), dtype=torch.int32, device=device)
        bary = torch.empty((batch, height, width, 3), device=device)
        depth = torch.empty((batch, height, width), device=device)
        parallel = device.type == "cuda"
        cover_lanes, resolve_lanes = (CUDA_LANES, width) if parallel else (1, 1)

        def draw(first: int, end: int) -> None:
            if len(triangles):
                inputs = [points, triangles, int(cull == "back"), first, end, cover_lanes, keys]
                launch("cover", (batch, len(triangles), cover_lanes), inputs, device)
            inputs = [points, triangles, first, resolve_lanes, keys, face, bary, depth]
            launch("resolve", (batch, end - first, resolve_lanes), inputs, device)

        if batch:
            in_bands(draw, height, device)
        home = vertices.device
        return Fragments(face.to(home), bary.to(home), depth.to(home))


def warm_up() -> None:
    """Load (and, the first time on a machine, compile) the CPU kernels, so that the first picture does not wait."""
    corners = torch.tensor([[[0.0, 0.0, 1.0], [2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]])
    WarpRasteriser().rasterise(corners, torch.tensor([[0, 1, 2]]), (2, 2))
