from __future__ import annotations

import numpy as np

from meshlam_core.avatar.record import Avatar
from meshlam_core.viewing.contact_sheet import BORDER, CELL, GAP, TITLE, contact_sheet


def test_the_sheet_has_ten_different_cells(sample_avatar: Avatar) -> None:
    sheet = contact_sheet(sample_avatar)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * BORDER + 5 * CELL + 4 * GAP
    middle = CELL // 2
    columns = [sheet[BORDER + TITLE :, BORDER + i * (CELL + GAP) + middle] for i in range(5)]
    assert len({column.tobytes() for column in columns}) == 5


def test_an_expression_the_head_does_not_have_is_left_out(sample_avatar: Avatar) -> None:
    from dataclasses import replace

    names = tuple(f"exp{i}" for i in range(52))
    assert contact_sheet(replace(sample_avatar, blendshape_names=names)).shape[2] == 3
