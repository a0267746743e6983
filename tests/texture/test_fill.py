"""Filling over a graph."""

from __future__ import annotations

import torch

from meshlam_core.texture.fill import build_graph, smooth_fill
from tests.tolerance import round_off


def _chain(count: int) -> torch.Tensor:
    return torch.stack([torch.arange(count - 1), torch.arange(1, count)], 1)


def test_the_sum_over_neighbours_is_the_adjacency_matrix() -> None:
    edges = torch.tensor([[0, 1], [1, 2], [2, 0], [2, 3]])
    dense = torch.zeros(5, 5)
    for a, b in edges.tolist():
        dense[a, b] = dense[b, a] = 1
    values = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    expected = dense @ values
    torch.testing.assert_close(
        build_graph(edges, 5).sum_of_neighbours(values), expected, **round_off(expected, layers=3)
    )


def test_between_two_known_ends_values_change_evenly() -> None:
    target, weight = torch.zeros(11, 1), torch.zeros(11, 1)
    target[10], weight[0], weight[10] = 1.0, 1e4, 1e4
    filled = smooth_fill(build_graph(_chain(11), 11), target, weight)
    torch.testing.assert_close(filled[:, 0], torch.linspace(0, 1, 11), atol=2e-3, rtol=0)


def test_a_guide_carries_its_differences_but_not_its_level() -> None:
    """Only vertex 0 is known; the rest follow the guide's shape from there."""
    guide = torch.tensor([[5.0], [5.5], [4.0], [4.2], [7.0]])
    target, weight = torch.full((5, 1), 1.0), torch.tensor([[1e4], [0], [0], [0], [0]])
    filled = smooth_fill(build_graph(_chain(5), 5), target, weight, guide, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(filled, guide - 4.0, atol=5e-3, rtol=0)


def _filled_square(side: int, mass: float) -> torch.Tensor:
    """A square of side x side vertices, its left half wanted dark and its right half bright, both without force."""
    at = torch.arange(side * side).view(side, side)
    edges = torch.cat(
        [torch.stack([at[:, :-1], at[:, 1:]], -1).view(-1, 2), torch.stack([at[:-1], at[1:]], -1).view(-1, 2)]
    )
    target = (torch.arange(side) > side // 2).float().repeat(side)[:, None]
    graph = build_graph(edges, side * side, torch.full((side * side,), mass))
    return smooth_fill(graph, target, torch.full_like(target, 0.05)).view(side, side)


def test_a_border_is_as_soft_on_a_fine_mesh_as_on_a_coarse_one() -> None:
    coarse, fine = _filled_square(21, 1.0), _filled_square(41, 0.25)
    torch.testing.assert_close(fine[::2, ::2], coarse, atol=0.06, rtol=0)
    assert (_filled_square(41, 1.0)[::2, ::2] - coarse).abs().max() > 0.1


def test_the_result_minimises_the_stated_energy() -> None:
    generator = torch.Generator().manual_seed(1)
    edges = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 0], [1, 3], [3, 4]])
    target, weight = torch.rand(5, 2, generator=generator), torch.rand(5, 2, generator=generator)
    guide, guided = torch.rand(5, 2, generator=generator), torch.tensor([True, True, True, False, True])

    def energy(x: torch.Tensor) -> torch.Tensor:
        a, b = edges.T
        wanted = (guide[a] - guide[b]) * (guided[a] & guided[b])[:, None]
        return (weight * (x - target) ** 2).sum() + ((x[a] - x[b] - wanted) ** 2).sum()

    best = smooth_fill(build_graph(edges, 5), target, weight, guide, guided)
    for _ in range(20):
        assert energy(best) <= energy(best + 0.01 * torch.randn(5, 2, generator=generator)) + 1e-6


def test_vertices_that_nothing_reaches_get_the_mean_of_what_is_known() -> None:
    target, weight = torch.tensor([[0.4], [0.0], [0.0]]), torch.tensor([[10.0], [0.0], [0.0]])
    filled = smooth_fill(build_graph(torch.tensor([[1, 2]]), 3), target, weight)
    torch.testing.assert_close(filled[:, 0], torch.full((3,), 0.4), atol=1e-3, rtol=0)
