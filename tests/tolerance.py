"""How far apart two results of the same formula may lie when other kernels computed them.

Another batch size, thread count or instruction set adds the same numbers in another order. Each layer then rounds its
sums differently, by about one unit in the last place of the largest number that it handles, and the layers stand one
behind another. So the allowance follows from the size of the numbers on the way and from the count of the layers; it
says nothing about values near zero, which are differences of large ones.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def round_off(*values: Tensor | ArrayLike, layers: int) -> dict[str, float]:
    """`rtol` and `atol` for numpy's and torch's assertions; `values` hold the largest numbers met on the way."""
    arrays = [value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value) for value in values]
    largest = max(float(np.abs(array).max()) for array in arrays)
    coarsest = max(float(np.finfo(array.dtype).eps) for array in arrays)
    return {"rtol": 0.0, "atol": layers * coarsest * largest}


def features_on_the_way(network: torch.nn.Module, *inputs: object) -> tuple[Tensor, ...]:
    """The largest output of any layer of the network while it looks at the inputs, as round_off wants it."""
    seen: list[Tensor] = []

    def note(_: torch.nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor):
            seen.append(output.detach().abs().max())

    hooks = [layer.register_forward_hook(note) for layer in network.modules()]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(seen)
