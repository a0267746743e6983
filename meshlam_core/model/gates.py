"""A gated recurrent unit (Cho et al. 2014) with its gradient written out.

r = σ(W_r x + U_r h), z = σ(W_z x + U_z h), c = tanh(W_c x + r U_c h), h' = c + z (h - c), each sum with its biases.
As a chain of single operations the elementwise part costs more than the products around it. Here each gate is a
tensor of its own, products add up in place, and inputs that come in pieces need not be joined first.
Dims: N rows, h hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def run_cell(
    cell: nn.GRUCell,
    inputs: Sequence[Tensor],  # pieces of x, [N, ...] each; the first one's dtype is computed in
    hidden: Tensor | None,  # [N, h]; None stands for zeros, and spares the products with them
) -> Tensor:  # [N, h]
    """cell(inputs joined, hidden)."""
    dtype = inputs[0].dtype
    pieces = [piece.to(dtype) for piece in inputs]
    before = None if hidden is None else hidden.to(dtype)
    weights = (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    after: Tensor = _Cell.apply(before, *(weight.to(dtype) for weight in weights), *pieces)  # type: ignore[no-untyped-call]
    return after


def _gates(weight: Tensor) -> tuple[Tensor, ...]:  # in torch's order: reset, update, candidate
    return weight.chunk(3)


def _sum_of_products(bias: Tensor, rows: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    total = torch.addmm(bias, rows[0], weights[0].t())
    for piece, weight in zip(rows[1:], weights[1:], strict=True):
        torch.addmm(total, piece, weight.t(), out=total)
    return total


class _Cell(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor | None,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        widths = [piece.shape[1] for piece in inputs]
        by_gate = [torch.split(weight, widths, 1) for weight in _gates(weight_ih)]
        recurrent, own, biases = _gates(weight_hh), _gates(bias_ih), _gates(bias_hh)
        opened = []
        for k in (0, 1):
            rows, weights = (inputs, by_gate[k]) if hidden is None else ((*inputs, hidden), (*by_gate[k], recurrent[k]))
            opened.append(_sum_of_products(own[k] + biases[k], rows, weights).sigmoid_())
        reset, update = opened
        past = biases[2][None] if hidden is None else torch.addmm(biases[2], hidden, recurrent[2].t())
        candidate = _sum_of_products(own[2], inputs, by_gate[2]).addcmul_(reset, past).tanh_()
        ctx.save_for_backward(hidden, weight_ih, weight_hh, reset, update, candidate, past, *inputs)
        if hidden is None:
            return torch.addcmul(candidate, update, candidate, value=-1)
        return torch.lerp(candidate, hidden, update)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight_ih, weight_hh, reset, update, candidate, past, *inputs = ctx.saved_tensors
        aten = torch.ops.aten  # their names for grad * y (1 - y) and grad * (1 - y^2)
        kept = upstream * update
        to_candidate = aten.tanh_backward(upstream - kept, candidate)
        change = candidate.neg() if hidden is None else hidden - candidate
        to_update = aten.sigmoid_backward(change.mul_(upstream), update)
        to_reset = aten.sigmoid_backward(to_candidate * past, reset)
        to_past = reset.mul(to_candidate)

        outer = (to_reset, to_update, to_candidate)
        to_inputs = torch.split(_through(outer, weight_ih), [piece.shape[1] for piece in inputs], 1)
        to_weight_ih = torch.cat([torch.cat([to.t() @ piece for piece in inputs], 1) for to in outer])
        sums = [to.sum(0) for to in (*outer, to_past)]
        to_bias_ih, to_bias_hh = torch.cat(sums[:3]), torch.cat([*sums[:2], sums[3]])
        if hidden is None:
            return None, to_weight_ih, None, to_bias_ih, to_bias_hh, *to_inputs
        inner = (to_reset, to_update, to_past)
        to_weight_hh = torch.cat([to.t() @ hidden for to in inner])
        return kept.add_(_through(inner, weight_hh)), to_weight_ih, to_weight_hh, to_bias_ih, to_bias_hh, *to_inputs


def _through(upstream: Sequence[Tensor], weight: Tensor) -> Tensor:
    """The gradient of what the gates' products read."""
    first, *rest = zip(upstream, _gates(weight), strict=True)
    total = first[0] @ first[1]
    for to, gate in rest:
        torch.addmm(total, to, gate, out=total)
    return total
