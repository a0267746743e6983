from __future__ import annotations

import pytest
import torch

from meshlam_core.model.attention import CrossAttention
from meshlam_core.model.shape_branch import ShapeBranch
from meshlam_core.model.texture_branch import TextureBranch
from tests.model.tiny import tiny_preset
from tests.tolerance import features_on_the_way, round_off

PRESET = tiny_preset()


@pytest.fixture
def attention() -> CrossAttention:
    torch.manual_seed(1)
    return CrossAttention(PRESET.width, PRESET.heads, PRESET.layers, PRESET.mlp_ratio)


def test_vertex_features_follow_their_vertex_whatever_its_index(attention: CrossAttention) -> None:
    branch = ShapeBranch(PRESET)
    template, image = 0.1 * torch.randn(9, 3), torch.randn(2, 16, PRESET.width)
    order = torch.tensor([4, 2, 8, 0, 1, 3, 5, 6, 7])
    features = branch(template, image, attention)
    assert features.shape == (2, 9, PRESET.width)
    allowed = round_off(features, *features_on_the_way(branch, template, image, attention), layers=20)
    torch.testing.assert_close(branch(template[order], image, attention), features[:, order], **allowed)
    assert (features[0] - features[1]).abs().max() > 1e-3


def test_before_training_the_first_texture_is_the_start_texture(attention: CrossAttention) -> None:
    branch = TextureBranch(PRESET)
    start = torch.rand(2, 3, PRESET.texture_grid, PRESET.texture_grid)
    latent, texture = branch(torch.randn(2, 16, PRESET.width), attention, start)
    assert latent.shape == (2, PRESET.latent_width, PRESET.latent_grid, PRESET.latent_grid)
    assert torch.equal(texture, start)


def test_a_texture_token_changes_the_latent_at_its_own_place(attention: CrossAttention) -> None:
    branch = TextureBranch(PRESET)
    image = torch.randn(1, 16, PRESET.width)
    start = torch.zeros(1, 3, PRESET.texture_grid, PRESET.texture_grid)
    before, _ = branch(image, attention, start)
    with torch.no_grad():
        branch.tokens[0] += 3.0  # the top left one
    change = (branch(image, attention, start)[0] - before).abs().sum(1)[0]
    half = PRESET.latent_grid // 2
    row, column = divmod(int(change.argmax()), PRESET.latent_grid)
    assert change.max() > 1e-3
    assert max(row, column) < half
    assert change[half + 4 :, half + 4 :].max() == 0
