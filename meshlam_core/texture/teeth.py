"""The painted rows of teeth: their crowns, the gaps between them, and the gums.

Frame: avatar frame of the template (see frames.py). Colours are sRGB 0..1. Dims: R texels of one row of teeth.

A row is one smooth band; what makes it teeth is painted: crowns of their usual sizes that are round in width, corners
that fall back at the biting edge, gums that reach down between them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from meshlam_core.texture.mathematics import smooth_step

# m, from the middle backwards: widths and heights of the crowns (Wheeler's means, to half a millimetre)
WIDTHS = {"teeth_upper": (8.5, 6.5, 7.5, 7.0, 7.0, 10.0, 9.0), "teeth_lower": (5.0, 5.5, 7.0, 7.0, 7.0, 11.0, 10.5)}
HEIGHTS = {"teeth_upper": (10.5, 9.0, 10.0, 8.5, 8.5, 7.5, 7.0), "teeth_lower": (9.0, 9.5, 11.0, 8.5, 8.0, 7.5, 7.0)}
MILLIMETRE = 1e-3
BIN = 1.5e-3  # m along the arch, over which the biting edge is looked for
ROUND, GAP = 0.15, 0.2  # loss of light at a tooth's sides, and in the gap beside it
CORNER = 0.07  # of the crown's height, by which a tooth's corners are round
PAPILLA = 0.2  # of the crown's height, by which the gum reaches down between teeth
NECK, EDGE = (1.0, 0.95, 0.85), (0.93, 0.95, 0.97)  # factors: enamel is thin at the gum, and clear at the edge
DEEP = 0.55  # loss of light at the back of the mouth
BETWEEN = (0.7, 0.56, 0.53)  # factor where corners let the dark through


def paint_teeth(
    name: str,  # teeth_upper or teeth_lower
    points: Tensor,  # [R, 3] on the template, m
    enamel: Tensor,  # [3]
    gum: Tensor,  # [3]
) -> Tensor:  # [R, 3]
    """Colours of a row of teeth."""
    x, y, z = points.unbind(1)
    to_root = y if name == "teeth_upper" else -y
    radius = 0.5 * (x.max() - x.min())
    along = torch.atan2(x, z - (z.max() - radius)).abs() * radius  # m from the middle
    widths, heights = (MILLIMETRE * torch.tensor(table[name]) for table in (WIDTHS, HEIGHTS))
    ends = widths.cumsum(0)
    tooth = torch.searchsorted(ends, along.contiguous()).clamp_max(len(ends) - 1)
    side = (1 - 2 * (ends[tooth] - along) / widths[tooth]).abs().clamp_max(1)  # 0 in its middle, 1 at the gap
    up = (to_root - _biting_edge(along, to_root)) / heights[tooth]  # 0 at the edge, 1 at the neck
    depth = (z.max() - z) / (z.max() - z.min()).clamp_min(1e-6)

    tint = _mixed(torch.tensor(EDGE), torch.ones(3), smooth_step(up, 0.0, 0.3))
    tint = _mixed(tint, torch.tensor(NECK), smooth_step(up, 0.4, 1.0))
    shade = (1 - ROUND * side**3) * (1 - GAP * smooth_step(side, 0.88, 1.0))
    colour = enamel * tint * shade[:, None]
    corner = smooth_step(CORNER * side**4 - up, -0.04, 0.04) * smooth_step(side, 0.5, 0.8)
    colour = _mixed(colour, enamel * torch.tensor(BETWEEN), corner)
    # gum is round, too: lighter over a root than between two
    pink = gum * (1 - 0.15 * side**2)[:, None]
    colour = _mixed(colour, pink, smooth_step(up - 1 + PAPILLA * side**2, -0.06, 0.06))
    return colour * (1 - DEEP * depth)[:, None]


def _biting_edge(
    along: Tensor,  # [R] m
    to_root: Tensor,  # [R] m
) -> Tensor:  # [R] m
    """Where the band of teeth ends beside each of its texels."""
    place = along / BIN
    bins = int(place.max()) + 2
    lowest = torch.full((bins,), float("inf")).scatter_reduce(0, place.round().long(), to_root, "amin")
    known = torch.where(lowest.isfinite(), lowest, to_root.median())
    smooth = functional.avg_pool1d(functional.pad(known[None, None], (1, 1), mode="replicate"), 3, 1)[0, 0]
    before = place.long()
    return smooth[before] + (place - before) * (smooth[(before + 1).clamp_max(bins - 1)] - smooth[before])


def _mixed(
    one: Tensor,  # [..., 3]
    other: Tensor,  # [..., 3]
    share: Tensor,  # [R] of the other
) -> Tensor:  # [R, 3]
    return one + share[:, None] * (other - one)
