"""The elementwise part of a gated recurrent unit (Cho et al. 2014), with its gradient written out.

r = σ(x_r + y_r), z = σ(x_z + y_z), c = tanh(x_c + r y_c), h' = c + z (h - c), where x = W inputs + b and y = U h + b'.
As a chain of single operations this costs more than the matrix products around it.
Dims: N rows, h hidden.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def gru_gates(
    from_inputs: Tensor,  # [N, 3 h] x, in torch's order: reset, update, new
    from_hidden: Tensor,  # [N, 3 h] y, or its biases [1, 3 h] where h is zero
    hidden: Tensor | None,  # [N, h]; None stands for zeros
) -> Tensor:  # [N, h] h'
    """The next hidden state."""
    out: Tensor = _Gates.apply(from_inputs, from_hidden, hidden)  # type: ignore[no-untyped-call]
    return out


class _Gates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, from_inputs: Tensor, from_hidden: Tensor, hidden: Tensor | None) -> Tensor:
        width = from_inputs.shape[1] // 3
        opened = (from_inputs[:, : 2 * width] + from_hidden[:, : 2 * width]).sigmoid_()
        reset, update = opened.chunk(2, 1)
        candidate = torch.addcmul(from_inputs[:, 2 * width :], reset, from_hidden[:, 2 * width :]).tanh_()
        ctx.save_for_backward(opened, candidate, from_hidden, hidden)
        if hidden is None:
            return torch.addcmul(candidate, update, candidate, value=-1)
        return torch.lerp(candidate, hidden, update)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        opened, candidate, from_hidden, hidden = ctx.saved_tensors
        width = candidate.shape[1]
        reset, update = opened.chunk(2, 1)
        kept = upstream * update
        to_inputs = upstream.new_empty(len(upstream), 3 * width)
        to_reset, to_update, to_new = to_inputs.chunk(3, 1)
        aten = torch.ops.aten  # their names for grad * y (1 - y) and grad * (1 - y^2)
        aten.tanh_backward(upstream - kept, candidate, grad_input=to_new)
        past = -candidate if hidden is None else hidden - candidate
        aten.sigmoid_backward(past.mul_(upstream), update, grad_input=to_update)
        aten.sigmoid_backward(to_new * from_hidden[:, 2 * width :], reset, grad_input=to_reset)
        if hidden is None:  # all rows share the biases
            sums = torch.cat([to_inputs[:, : 2 * width].sum(0), (to_new * reset).sum(0)])[None]
            return to_inputs, sums, None
        to_hidden = to_inputs.clone()
        to_hidden[:, 2 * width :].mul_(reset)
        return to_inputs, to_hidden, kept
