from __future__ import annotations

import torch
from torch.autograd import gradcheck

from meshlam_core.model.gates import gru_gates


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_the_gates_are_those_of_torchs_cell() -> None:
    cell = torch.nn.GRUCell(5, 4, dtype=torch.float64)
    inputs, hidden = noise(7, 5), noise(7, 4)
    x = torch.nn.functional.linear(inputs, cell.weight_ih, cell.bias_ih)
    y = torch.nn.functional.linear(hidden, cell.weight_hh, cell.bias_hh)
    torch.testing.assert_close(gru_gates(x, y, hidden), cell(inputs, hidden))
    torch.testing.assert_close(gru_gates(x, cell.bias_hh[None], None), cell(inputs, torch.zeros_like(hidden)))


def test_the_written_gradient_is_the_true_one() -> None:
    x, y, hidden = (noise(6, n).requires_grad_() for n in (12, 12, 4))
    assert gradcheck(gru_gates, (x, y, hidden))
    biases = noise(1, 12).requires_grad_()
    assert gradcheck(lambda x, b: gru_gates(x, b, None), (x, biases))
