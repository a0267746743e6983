from __future__ import annotations

from dataclasses import replace

import numpy as np

from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import load_skin_model
from training.skin.scalp import bare_scalp


def test_scalps_get_bare_without_a_change_elsewhere(head: HeadModel) -> None:
    shipped = load_skin_model(head)
    assert shipped is not None
    scalp, ears = (head.part == head.parts.index(name) for name in ("scalp", "ears"))
    painted = replace(shipped, mean=(shipped.mean - 1.5 * scalp[:, None]).astype(np.float32))
    bared = bare_scalp(painted, head)
    assert (np.median(bared.mean[scalp], axis=0) > np.median(painted.mean[scalp], axis=0) + 0.7).all()
    np.testing.assert_array_equal(bared.mean[ears], painted.mean[ears])
    assert (bared.mean >= painted.mean).all()
    for name in ("basis", "texel", "texel_basis", "transfer", "describes"):
        np.testing.assert_array_equal(getattr(bared, name), getattr(painted, name))
