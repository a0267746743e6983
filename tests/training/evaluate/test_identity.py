from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshlam_core.files.images import load_photo
from meshlam_core.tracker.landmarks import MediaPipeDetector
from training.evaluate.identity import FaceIdentity
from training.metrics import cosine


def test_the_same_person_smaller_and_darker_is_more_alike_than_somebody_else(
    shared_data: Path, assets: dict[str, Path]
) -> None:
    who = FaceIdentity.open()
    if who is None:
        pytest.skip("dlib and its model are not installed: pip install 'meshlam[evaluate]'")
    detector = MediaPipeDetector(assets["face_landmarker"])
    someone, other = (load_photo(path).pixels for path in sorted((shared_data / "hires").glob("*.jpg"))[:2])
    smaller = np.asarray(Image.fromarray(someone).resize((500, 500), Image.Resampling.BOX))
    darker = (smaller * 0.7).astype(np.uint8)
    first, again, stranger = (
        who(picture, detector.detect(picture)[0].landmarks) for picture in (someone, darker, other)
    )
    assert first.shape == (128,)
    assert cosine(first, again) > 0.98
    assert cosine(first, stranger) < 0.93
