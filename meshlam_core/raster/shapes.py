"""One guard for the tensor boundaries of this package: says which tensor, what was expected and what came."""

from __future__ import annotations

from torch import Tensor


def check_shape(
    name: str,
    tensor: Tensor,
    pattern: str,  # dimension names or numbers, e.g. "B V 3"
    **sizes: int,  # dimensions already known from earlier tensors
) -> dict[str, int]:
    """Return `sizes` extended by the dimensions that `pattern` names, or raise ValueError."""
    wanted = pattern.split()
    found = dict(sizes)
    matches = tensor.ndim == len(wanted)
    for dim, actual in zip(wanted, tensor.shape, strict=False):
        matches = matches and actual == (int(dim) if dim.isdigit() else found.setdefault(dim, actual))
    if not matches:
        known = ", ".join(f"{dim}={sizes[dim]}" for dim in wanted if dim in sizes)
        raise ValueError(f"{name}: expected [{pattern}]{f' with {known}' if known else ''}, got {tuple(tensor.shape)}.")
    return found
