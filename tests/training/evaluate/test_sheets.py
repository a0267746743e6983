from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from meshlam_core.avatar.record import Avatar
from training.evaluate.photo import PhotoResult
from training.evaluate.sheets import CELL, LABEL, PEOPLE, VIEWS, SheetWriter, person_strip
from training.evaluate.truth import HeadTruth, Window

SHAPE = (60, 40)


def truth() -> HeadTruth:
    picture = np.full((*SHAPE, 3), 200, np.uint8)
    hair, outline, person, above, clothes = np.zeros((5, *SHAPE), bool)
    hair[:30] = person[:] = above[:] = True
    landmarks = np.zeros((478, 2), np.float32)
    return HeadTruth(Window(0, 0, 40, 60), picture, landmarks, hair, outline, person, above, clothes)


def test_a_strip_shows_the_photo_its_hair_and_the_head_from_all_sides(sample_avatar: Avatar) -> None:
    result = PhotoResult(Path("a.jpg"), None, "", truth(), None, sample_avatar)
    strip = person_strip(result)
    assert strip.shape == (LABEL + 2 * CELL, (2 + len(VIEWS)) * CELL, 3)
    top, middle = LABEL + CELL // 4, CELL // 2
    assert (strip[top, middle] == 200).all()  # the photo
    hair = strip[top + CELL, middle].astype(int)
    assert hair[0] > hair[1] + 60  # its hair in red
    cells = strip[LABEL : LABEL + CELL, 2 * CELL :].reshape(CELL, len(VIEWS), CELL, 3)
    assert (cells.std(axis=(0, 2)).max(axis=-1) > 1).all()  # every view shows something


def test_a_page_holds_so_many_people_and_failures_keep_their_place(tmp_path: Path) -> None:
    writer = SheetWriter(tmp_path, "set")
    failed = PhotoResult(Path("b.jpg"), None, "no face", truth())
    for _ in range(PEOPLE + 1):
        writer.add(replace(failed))
    writer.flush()
    pages = sorted(tmp_path.iterdir())
    assert [page.name for page in pages] == ["set-00.png", "set-01.png"]
    for page, people in zip(pages, (PEOPLE, 1), strict=True):
        with Image.open(page) as picture:
            assert picture.height == people * (LABEL + 2 * CELL)
