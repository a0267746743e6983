"""The sheet of stage G: truth, start and result of heads that are never learnt from."""

from __future__ import annotations

import numpy as np
import torch

from meshlam_core.frames import Camera
from meshlam_core.model.borders import SIDE
from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_photo, tiny_preset
from training.data.record import Record
from training.geometry import curve
from training.geometry.curve import YAWS, HeldOut
from training.geometry.stage import without_errors


def record(network: MeshLAM, grown: float) -> Record:
    """The tiny head, whose start misses what hair has grown."""
    photo = tiny_photo(1)
    with torch.no_grad():
        features = network.pooled(photo.resized(network.preset.backbone_size).image)[0].half().numpy()
    start = TINY_HEAD.template.astype(np.float16)
    full = np.full((SIDE, SIDE), 255, np.uint8)
    return Record(
        features, full, full, (SIDE, SIDE), start, (start * grown).astype(np.float16),
        np.zeros((len(start), 3), np.int8), np.ones(len(start), np.uint8), photo.joints[0].numpy(),
        Camera(140.0, (32.0, 32.0), (64, 64)), np.zeros(3, np.float32), photo.translation[0].numpy(),
        photo.expression[0].numpy(), 0.0, "bob",
    )  # fmt: skip


def test_the_sheet_shows_truth_start_and_result_below_each_other() -> None:
    network = without_errors(MeshLAM(tiny_preset()).eval())  # untrained: the start stands
    held_out = HeldOut([record(network, 1.2), record(network, 1.0)], TINY_RIG)
    sheet = held_out.sheet(network)
    side = curve.SIDE
    assert sheet.shape == (3 * side, 2 * len(YAWS) * side, 3)
    rows = sheet.reshape(3, side, 2, len(YAWS) * side, 3).astype(int)
    truth, start, result = rows[:, :, 0]
    assert np.abs(start - result).max() <= 1
    assert (truth.max(-1) > 0).sum() > 1.2 * (start.max(-1) > 0).sum()  # the first head should have grown
    assert np.array_equal(rows[0, :, 1], rows[1, :, 1])  # the second one is right from the start
