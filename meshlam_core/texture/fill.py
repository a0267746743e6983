"""Smooth colours over the mesh: what is known stays, the rest follows from its neighbours.

Dims: V vertices, E edges, C columns (colour channels and masks).

Working on the mesh rather than in the texture makes the result continuous over UV seams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MAX_STEPS = 300
LOOK = 4  # steps between two looks at what is left
TOLERANCE = 4e-5  # largest Jacobi step left; over a hole of n rings the error is about n^2 times that
FLOOR = 1e-5  # keeps vertices that nothing reaches solvable


@dataclass(frozen=True)
class Graph:
    """A mesh's edges, each of weight 1, as neighbour lists."""

    edges: Tensor  # [E, 2] int64, each once
    neighbours: Tensor  # [2 E] int32, vertex by vertex
    first: Tensor  # [V] int32 where each vertex's neighbours begin
    degree: Tensor  # [V]
    mass: Tensor | None = None  # [V] how much of the surface each vertex stands for; None: all alike

    def sum_of_neighbours(
        self,
        values: Tensor,  # [V, C]
    ) -> Tensor:  # [V, C]
        """The adjacency matrix times `values`."""
        return functional.embedding_bag(self.neighbours, values, self.first, mode="sum")


def build_graph(
    edges: Tensor,  # [E, 2] int64, each once
    count: int,  # V
    mass: Tensor | None = None,  # [V]
) -> Graph:
    """The graph of a mesh of `count` vertices."""
    here = torch.cat([edges[:, 0], edges[:, 1]])
    there = torch.cat([edges[:, 1], edges[:, 0]])
    degree = torch.bincount(here, minlength=count)
    first = degree.cumsum(0) - degree
    return Graph(edges, there[here.argsort(stable=True)].int(), first.int(), degree.float(), mass)


def smooth_fill(
    graph: Graph,
    target: Tensor,  # [V, C] wanted values
    weight: Tensor,  # [V, C] how firmly each is wanted, >= 0; 0 where nothing is known
    guide: Tensor | None = None,  # [V, C] values whose differences along edges are wanted
    guided: Tensor | None = None,  # [V] bool: edges between two of these follow the guide, others want no difference
    start: Tensor | None = None,  # [V, C] first guess
) -> Tensor:  # [V, C]
    """Minimise sum_v m_v w_v (x_v - t_v)^2 + sum_e (x_i - x_j - (g_i - g_j))^2 per column.

    The sum over edges is the same for a coarse and a fine mesh of a surface; masses m make the other one so too.

    The guided term is gradient-domain blending (Perez, Gangnet and Blake, "Poisson image editing", 2003) on a mesh.
    Solved by conjugate gradients with the diagonal as preconditioner.
    """
    if graph.mass is not None:
        weight = weight * graph.mass[:, None]
    diagonal = graph.degree[:, None] + weight + FLOOR
    mean = (weight * target).sum(0) / weight.sum(0).clamp_min(1e-6)
    right = weight * target + FLOOR * mean
    if guide is not None and guided is not None:
        right = right + _divergence(graph, guide, guided)
    x = mean.expand_as(target).clone() if start is None else start.clone()
    residual = right - (diagonal * x - graph.sum_of_neighbours(x))
    z = residual / diagonal
    direction = z.clone()
    rho = (residual * z).sum(0)
    for step in range(1, MAX_STEPS + 1):
        image = (diagonal * direction).sub_(graph.sum_of_neighbours(direction))
        length = rho / (direction * image).sum(0).clamp_min(1e-20)
        x.addcmul_(length, direction)
        residual.addcmul_(length, image, value=-1)
        z = residual / diagonal
        if step % LOOK == 0 and float(z.abs().max()) < TOLERANCE:
            break
        rho_next = (residual * z).sum(0)
        direction.mul_(rho_next / rho.clamp_min(1e-20)).add_(z)
        rho = rho_next
    return x


def _divergence(graph: Graph, guide: Tensor, guided: Tensor) -> Tensor:
    """[V, C] sum over a vertex's guided edges of its guide minus the neighbour's."""
    a, b = graph.edges[guided[graph.edges].all(1)].unbind(1)
    difference = guide[a] - guide[b]
    return torch.zeros_like(guide).index_add_(0, a, difference).index_add_(0, b, -difference)
