"""Texels, vertices and mirror images of the open head."""

from __future__ import annotations

import numpy as np
import torch

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas, build_atlas


def test_mirrored_texels_show_mirrored_points(head: HeadModel, atlas: Atlas) -> None:
    points = atlas.at_texels(torch.from_numpy(np.array(head.template)))
    twins = points[atlas.mirror_texel] * torch.tensor([-1.0, 1.0, 1.0])
    inside = atlas.uv_map.islands.view(-1)[atlas.uv_map.texel] & atlas.skin
    off = (twins - points).norm(dim=1)[inside]
    assert float(off.median()) < 1e-3
    assert float(off.quantile(0.99)) < 4e-3


def test_vertex_values_survive_the_way_to_the_texels_and_back(head: HeadModel, atlas: Atlas) -> None:
    points = torch.from_numpy(np.array(head.template))
    back, sure = atlas.at_vertices(torch.cat([atlas.at_texels(points), torch.ones(len(atlas.corners), 1)], 1))
    front = sure > 0.9
    assert float(front.float().mean()) > 0.3
    assert float((back - points).norm(dim=1)[front].median()) < 3e-3


def test_values_on_hidden_texels_do_not_count(atlas: Atlas) -> None:
    weight = torch.zeros(len(atlas.corners))
    weight[atlas.rows_of("scalp")] = 1.0
    colour = torch.where(weight[:, None] > 0, 0.25, 0.9).expand(-1, 3)
    mean, sure = atlas.at_vertices(torch.cat([colour, weight[:, None]], 1))
    torch.testing.assert_close(mean[sure > 0.01], torch.full_like(mean[sure > 0.01], 0.25))


def test_the_atlas_of_a_head_is_built_once(head: HeadModel, atlas: Atlas) -> None:
    assert build_atlas(head, atlas.uv_map.size) is atlas


def test_strands_and_grain_are_noise_of_unit_strength(atlas: Atlas) -> None:
    for noise in (atlas.grain, atlas.strands):
        assert abs(float(noise.mean())) < 0.1
        assert 0.8 < float(noise.std()) < 1.1


def test_strands_do_not_break_at_the_back_of_the_head(head: HeadModel, atlas: Atlas) -> None:
    """Texels just left and right of the midline behind the head, matched by height, look alike."""
    points = atlas.at_texels(torch.from_numpy(np.array(head.template)))
    behind = (points[:, 2] < -0.02) & (points[:, 0].abs() < 6e-4) & (points[:, 1] > 0.1)
    left, right = behind & (points[:, 0] > 0), behind & (points[:, 0] < 0)
    height, near = torch.cdist(points[left, 1:], points[right, 1:]).min(1)
    close = height < 1e-3
    assert int(close.sum()) > 5
    difference = (atlas.strands[left] - atlas.strands[right][near])[close]
    assert float(difference.abs().mean()) < 0.75  # of a unit; unrelated noise differs by 1.1
