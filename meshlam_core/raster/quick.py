"""Interpolation, vertex normals and sums over edges with their gradients as warp kernels, for float32 on CPU and CUDA.

Chains of torch operations walk over every pixel a dozen times forwards and backwards; a kernel walks once each way.
Twins in torch, for other dtypes and where warp is missing: interpolate.py and normals.py, which call this file.
Frame, units and dims: as there. Gradients of gradients are not offered.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from meshlam_core.raster.backends import has_warp
from meshlam_core.raster.interface import Fragments


def fits(*tensors: Tensor) -> bool:
    """Whether the kernels take these tensors."""
    same = all(t.dtype == torch.float32 and t.device == tensors[0].device for t in tensors)
    return same and tensors[0].device.type in ("cpu", "cuda") and has_warp()


def barycentrics(
    vertices: Tensor,  # [B, V, 3] pixel x, pixel y, camera depth in m
    faces: Tensor,  # [F, 3] int
    fragments: Fragments,
) -> Tensor:  # [B, H, W, 3]
    """See interpolate.barycentrics."""
    out: Tensor = _Barycentrics.apply(vertices, faces.int(), fragments.face, fragments.bary)  # type: ignore[no-untyped-call]
    return out


def blend(
    attributes: Tensor,  # [B or 1, V, C]
    faces: Tensor,  # [F, 3] int
    face: Tensor,  # [B or 1, H, W] int32, -1 where empty
    bary: Tensor,  # [B or 1, H, W, 3]
) -> Tensor:  # [B, H, W, C] zeros where empty
    """Attributes of each pixel's (or texel's) triangle, blended."""
    out: Tensor = _Blend.apply(attributes, bary, faces.int(), face)  # type: ignore[no-untyped-call]
    return out


def corner_normals(
    vertices: Tensor,  # [B, V, 3]
    faces: Tensor,  # [F, 3] int
) -> Tensor:  # [B, V, 3] sums of the triangles' normals, each twice its area long
    """Vertex normals before they are made unit vectors."""
    out: Tensor = _CornerNormals.apply(vertices, faces.int())  # type: ignore[no-untyped-call]
    return out


def direction_difference(
    directions: Tensor,  # [B, V, 3] per vertex, any length
    faces: Tensor,  # [F, 3] int
    face: Tensor,  # [B, H, W] int32, -1 where empty
    bary: Tensor,  # [B, H, W, 3]
    target: Tensor,  # [B, 3, H, W] unit or zero; no gradient
) -> tuple[Tensor, Tensor]:  # [] and []
    """One minus the cosine between the blended directions and the target, summed over the pixels that have both,
    and how many these are."""
    rows: Tensor = _DirectionDifference.apply(directions, bary, faces.int(), face, target)  # type: ignore[no-untyped-call]
    difference, count = rows.sum((0, 1)).unbind()
    return difference, count.detach()


def add_rows(
    values: Tensor,  # [B, N, C]
    source: Tensor,  # [E] int rows of `values`
    target: Tensor,  # [E] int rows of the result
    rows: int,  # M
) -> Tensor:  # [B, M, C]
    """The product with a sparse matrix of ones: row target[e] receives row source[e]."""
    if not fits(values):
        return values.new_zeros(len(values), rows, values.shape[2]).index_add(
            1, target.long(), values.index_select(1, source.long())
        )
    edges = (source.int().contiguous(), target.int().contiguous())
    out: Tensor = _AddRows.apply(values, *edges, rows)  # type: ignore[no-untyped-call]
    return out


def _over_rows(kernel: str, batch: int, face: Tensor, before: list[Any], after: list[Any], slots: bool) -> None:
    from meshlam_core.raster.warp_runtime import over_rows, warp_device

    over_rows(kernel, (batch, face.shape[1], face.shape[2]), before, after, warp_device(face), slots)


def _slots(like: Tensor) -> int:
    from meshlam_core.raster.warp_runtime import BANDS

    return 1 if like.device.type == "cuda" else BANDS


class _Barycentrics(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, faces: Tensor, face: Tensor, given: Tensor) -> Tensor:
        points, face = vertices.detach().contiguous(), face.contiguous()
        out = torch.empty_like(given, memory_format=torch.contiguous_format)
        _over_rows("bary_forward", len(face), face, [points, faces, face, given.contiguous()], [out], slots=False)
        ctx.save_for_backward(points, faces, face)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        points, faces, face = ctx.saved_tensors
        out = points.new_zeros(_slots(points), *points.shape)
        before = [points, faces, face, upstream.contiguous()]
        _over_rows("bary_backward", len(face), face, before, [out], slots=True)
        return out.sum(0), None, None, None


class _Blend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, attributes: Tensor, bary: Tensor, faces: Tensor, face: Tensor) -> Tensor:
        rows, weights, face = attributes.detach().contiguous(), bary.detach().contiguous(), face.contiguous()
        batch = max(len(rows), len(weights), len(face))
        out = rows.new_empty(batch, *face.shape[1:], rows.shape[2])
        _over_rows("blend_forward", batch, face, [rows, faces, face, weights], [out], slots=False)
        ctx.save_for_backward(rows, weights, faces, face)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        rows, weights, faces, face = ctx.saved_tensors
        batch = len(upstream)
        to_rows, to_weights = (bool(wanted) for wanted in ctx.needs_input_grad[:2])
        out_rows = rows.new_zeros(_slots(rows), batch if to_rows else 0, *rows.shape[1:])
        out_weights = weights.new_zeros(batch if to_weights else 0, *weights.shape[1:])
        before = [rows, faces, face, weights, upstream.contiguous(), int(to_rows), int(to_weights)]
        _over_rows("blend_backward", batch, face, before, [out_rows, out_weights], slots=True)
        return (
            _of_batch(out_rows.sum(0), len(rows)) if to_rows else None,
            _of_batch(out_weights, len(weights)) if to_weights else None,
            None,
            None,
        )


class _DirectionDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, directions: Tensor, bary: Tensor, faces: Tensor, face: Tensor, target: Tensor) -> Tensor:
        kept = [t.detach().contiguous() for t in (directions, faces, face, bary, target)]
        out = directions.new_zeros(*face.shape[:2], 2)
        _over_rows("turn_forward", len(face), face, kept, [out], slots=False)
        ctx.save_for_backward(*kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        directions, faces, face, bary, target = ctx.saved_tensors
        out = directions.new_zeros(_slots(directions), *directions.shape)
        out_bary = torch.zeros_like(bary)
        before = [directions, faces, face, bary, target, upstream.contiguous()]
        _over_rows("turn_backward", len(face), face, before, [out, out_bary], slots=True)
        return out.sum(0), out_bary, None, None, None


def _of_batch(gradient: Tensor, count: int) -> Tensor:
    return gradient if len(gradient) == count else gradient.sum(0, keepdim=True)


class _CornerNormals(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vertices: Tensor, faces: Tensor) -> Tensor:
        points, faces = vertices.detach().contiguous(), faces.contiguous()
        ctx.save_for_backward(points, faces)
        return _over_faces("normals_forward", points, faces, [points, faces])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        points, faces = ctx.saved_tensors
        return _over_faces("normals_backward", points, faces, [points, faces, upstream.contiguous()]), None


def _over_faces(kernel: str, points: Tensor, faces: Tensor, inputs: list[Tensor]) -> Tensor:
    from meshlam_core.raster.warp_runtime import launch, warp_device

    out = torch.zeros_like(points)
    if len(points) and len(faces):
        launch(kernel, (len(points), len(faces)), [*inputs, out], warp_device(points))
    return out


class _AddRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, source: Tensor, target: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(source, target)
        ctx.rows = values.shape[1]
        return _spread(values.detach(), source, target, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        source, target = ctx.saved_tensors
        return _spread(upstream, target, source, ctx.rows), None, None, None


def _spread(values: Tensor, source: Tensor, target: Tensor, rows: int) -> Tensor:
    from meshlam_core.raster.warp_runtime import launch, warp_device

    out = values.new_zeros(len(values), rows, values.shape[2])
    if len(values) and len(source):
        launch("spread", (len(values), len(source)), [values.contiguous(), source, target, out], warp_device(values))
    return out
