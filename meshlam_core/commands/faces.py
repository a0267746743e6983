"""Which faces a photo shows, for those who are to choose one: their places, the photo, a strip of small pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.commands.sessions import Sessions
from meshlam_core.files.outputs import check_output_file, write_file
from meshlam_core.files.png import encode_png
from meshlam_core.progress import Progress

TILE = 96  # px, side of each small picture
SHOWN = 1280  # px, the longer side of the photo that is shown
_ROOM = 1.7  # sides of the face's box that a small picture shows


def faces_file(
    photo: Path,
    out: Path,
    device: str,
    sessions: Sessions,
    progress: Progress,
    landmarks: str = "mediapipe",
) -> dict[str, Any]:
    """Photo -> PNG with one tile a face, from left to right, and the upright photo beside it, no larger than SHOWN.

    The boxes are in pixels of the upright photo at its full size.
    """
    check_output_file(out)
    progress("starting", 0.0, "loading the models")
    from meshlam_core.files.images import load_photo
    from meshlam_core.tracker.landmarks import choose_face

    session = sessions.get_tracker(device, landmarks)
    progress("landmarks", 0.3, photo.name)
    picture = load_photo(photo)
    found = session.detector.detect(picture.pixels)
    choose_face(found, source=photo.name)  # says so where there is none
    shown = out.with_name(f"{out.stem} photo.png")
    write_file(shown, encode_png(_shown(picture.pixels)))
    write_file(out, encode_png(np.concatenate([_tile(picture.pixels, face.box) for face in found], axis=1)))
    boxes = [[round(float(side) / picture.scale, 1) for side in face.box] for face in found]
    return {"out": str(out), "shown": str(shown), "size": list(picture.native_size), "boxes": boxes}


def _shown(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:  # [H, W, 3] -> [h, w, 3]
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN, SHOWN))
    return np.asarray(image)


def _tile(
    pixels: NDArray[np.uint8],  # [H, W, 3]
    box: tuple[float, float, float, float],  # px
) -> NDArray[np.uint8]:  # [TILE, TILE, 3]
    from PIL import Image

    x0, y0, x1, y1 = box
    side = _ROOM * max(x1 - x0, y1 - y0)
    left, top = (x0 + x1 - side) / 2, (y0 + y1 - side) / 2
    cut = Image.fromarray(pixels).crop((round(left), round(top), round(left + side), round(top + side)))
    return np.asarray(cut.resize((TILE, TILE)))
