"""What the photo shows of a turned head's far side."""

from __future__ import annotations

import numpy as np
import torch

from meshlam_core.head.model import HeadModel
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.sight import doubt_far_strips


def test_a_strip_seen_beyond_what_a_turned_head_hides_is_not_believed(head: HeadModel, atlas: Atlas) -> None:
    place = atlas.at_texels(torch.from_numpy(np.array(head.template))).numpy()
    skin = np.zeros(len(place), bool)
    skin[np.concatenate([atlas.rows_of("face").numpy(), atlas.rows_of("scalp").numpy()])] = True
    eyes = head.landmarks(np.array(head.template))[[33, 263], 1].mean()
    brow = skin & (place[:, 1] > eyes + 0.015) & (place[:, 1] < eyes + 0.05) & (place[:, 2] > 0.04)
    strip = brow & (place[:, 0] > 0.055) & (place[:, 0] < 0.060)
    photo = torch.zeros(len(place), 5)
    photo[torch.from_numpy(skin & (place[:, 0] < 0.03)), 4] = 1.0  # what the head does not hide
    photo[torch.from_numpy(strip), 4] = 0.6
    before = photo[:, 4].clone().numpy()
    doubt_far_strips(photo, 0.0, atlas)
    assert (photo[:, 4].numpy() == before).all()
    doubt_far_strips(photo, 1.0, atlas)
    after = photo[:, 4].numpy()
    assert strip.sum() > 50
    assert after[strip].mean() < 0.1
    assert after[brow & (place[:, 0] < 0)].min() > 0.99
    assert after[brow & (place[:, 0] > 0) & (place[:, 0] < 0.015)].mean() > 0.9
