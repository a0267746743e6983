from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import gradcheck

from meshlam_core.model.gates import run_cell
from tests.tolerance import round_off


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_the_cell_is_torchs() -> None:
    cell = torch.nn.GRUCell(5, 4, dtype=torch.float64)
    inputs, hidden = noise(7, 5), noise(7, 4)
    for pieces in ([inputs], [inputs[:, :2], inputs[:, 2:]]):
        allowed = round_off(inputs, hidden, *cell.parameters(), layers=10)
        torch.testing.assert_close(run_cell(cell, pieces, hidden), cell(inputs, hidden), **allowed)
        torch.testing.assert_close(run_cell(cell, pieces, None), cell(inputs, torch.zeros_like(hidden)), **allowed)


def test_the_written_gradients_are_torchs() -> None:
    cell = torch.nn.GRUCell(5, 4, dtype=torch.float64)
    inputs, hidden = noise(7, 5).requires_grad_(), noise(7, 4).requires_grad_()
    for before in (hidden, None):
        found = []
        for ours in (True, False):
            wanted = [inputs, *cell.parameters()] if before is None else [inputs, before, *cell.parameters()]
            if ours:
                after = run_cell(cell, [inputs[:, :2], inputs[:, 2:]], before)
            else:
                after = cell(inputs, torch.zeros_like(hidden) if before is None else before)
            found.append(torch.autograd.grad(after.square().sum(), wanted, materialize_grads=True))
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b, **round_off(b, inputs, hidden, layers=20))


def test_the_gradient_to_inputs_and_memory_is_exact() -> None:
    cell = torch.nn.GRUCell(3, 2, dtype=torch.float64)
    inputs, hidden = noise(4, 3).requires_grad_(), noise(4, 2).requires_grad_()
    assert gradcheck(lambda x, h: run_cell(cell, [x], h), (inputs, hidden))
