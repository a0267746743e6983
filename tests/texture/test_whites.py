from __future__ import annotations

import numpy as np
import pytest

from meshlam_core.points import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from meshlam_core.texture.whites import white_of_eyes

WHITE = (190, 180, 170)


def _eyes(width: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Two open eyes before skin, brown irises in their whites."""
    crop = np.full((200, 400, 3), (200, 150, 130), np.uint8)
    landmarks = np.zeros((478, 2), np.float32)
    row, column = np.indices(crop.shape[:2])
    for ring, iris, middle in ((LEFT_EYE, LEFT_IRIS, 280.0), (RIGHT_EYE, RIGHT_IRIS, 120.0)):
        angle = np.linspace(np.pi, -np.pi, 16, endpoint=False)
        landmarks[ring] = np.stack([middle + width / 2 * np.cos(angle), 100 - 0.2 * width * np.sin(angle)], axis=1)
        inside = ((column + 0.5 - middle) / (width / 2)) ** 2 + ((row + 0.5 - 100) / (0.2 * width)) ** 2 < 1
        far = np.hypot(column + 0.5 - middle, row + 0.5 - 100)
        crop[inside] = WHITE
        crop[inside & (far < 0.2 * width)] = (60, 40, 30)
        landmarks[iris] = middle, 100
        landmarks[iris + 1 : iris + 5] = np.array([middle, 100]) + 0.2 * width * np.array(
            [[1, 0], [0, 1], [-1, 0], [0, -1]]
        )
    return crop, landmarks


def test_the_white_is_read_beside_the_iris() -> None:
    found = white_of_eyes(*_eyes(60.0))
    assert found is not None
    np.testing.assert_allclose(255 * found, WHITE, atol=1)


@pytest.mark.parametrize("width", [12.0, 20.0])
def test_small_eyes_say_nothing(width: float) -> None:
    assert white_of_eyes(*_eyes(width)) is None
