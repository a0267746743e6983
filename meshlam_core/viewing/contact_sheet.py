"""A contact sheet: one picture that shows whether an avatar is any good.

Photo, mesh over the photo, textured front, three-quarter, side and back, and four expressions.
Image frame: frames.py. Arrays are [H, W, C] uint8 sRGB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera
from meshlam_core.progress import Progress, silent
from meshlam_core.viewing.viewer import (
    VIEW_YAW,
    AvatarRenderer,
    neutral_pose,
    photo_camera,
    render_yaw,
)

U8 = NDArray[np.uint8]

CELL = 400  # px
GAP = 14
BORDER = 44
LABEL = 40
TITLE = 86
COLUMNS = 5
CORNER = 10  # px, radius of the cells' corners

PAPER = (24, 25, 28)
INK = (226, 224, 220)
SOFT_INK = (140, 140, 146)
CELL_CENTRE, CELL_EDGE = np.array([74, 76, 82.0]), np.array([40, 41, 45.0])
MESH_OPACITY = 0.78
EXPRESSION_YAW = -18.0  # degrees

EXPRESSIONS: dict[str, dict[str, float]] = {
    "Jaw open": {"jawOpen": 0.75},
    "Smile": {
        "mouthSmileLeft": 0.85, "mouthSmileRight": 0.85, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5,
        "mouthUpperUpLeft": 0.25, "mouthUpperUpRight": 0.25,
    },
    "Blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "Brows up, pucker": {
        "browInnerUp": 1.0, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8, "mouthPucker": 0.8,
        "eyeWideLeft": 0.4, "eyeWideRight": 0.4,
    },
}  # fmt: skip


def contact_sheet(avatar: Avatar, progress: Progress = silent, device: str = "cpu", title: str = "") -> U8:  # [H, W, 3]
    """The whole sheet. Expressions that the head model does not have are left out of a cell, not an error."""
    renderer = AvatarRenderer(avatar, device)
    cells: list[tuple[str, U8]] = [("Photo", _photo(avatar)), ("Mesh on the photo", _mesh_on_photo(avatar, renderer))]
    views = {"Front": "front", "Three-quarter": "three-quarter", "Side": "left", "Back": "back"}
    for index, (label, view) in enumerate(views.items()):
        progress("rendering", 0.2 + 0.1 * index, label)
        cells.append((label, _on_cell(render_yaw(renderer, neutral_pose(avatar), VIEW_YAW[view], CELL))))
    for index, (label, wanted) in enumerate(EXPRESSIONS.items()):
        progress("rendering", 0.6 + 0.1 * index, label)
        settings = {name: value for name, value in wanted.items() if name in avatar.blendshape_names}
        cells.append((label, _on_cell(render_yaw(renderer, neutral_pose(avatar, settings), EXPRESSION_YAW, CELL))))
    return _lay_out(cells, title or _title(avatar), _facts(avatar))


def _window(avatar: Avatar) -> tuple[float, float, float]:  # px of the photo: x0, y0, side
    """The largest square of the crop that lies inside the photo, as near to the crop's middle as can be."""
    low, high = avatar.photo.crop[:2].astype(float), avatar.photo.crop[2:].astype(float)
    first, last = np.maximum(low, 0), np.minimum(high, avatar.photo.size)
    if (last <= first).any():
        first, last = low, high
    side = float((last - first).min())
    corner = np.clip((low + high - side) / 2, first, last - side)
    return float(corner[0]), float(corner[1]), side


def _photo(avatar: Avatar) -> U8:
    """The photo around the head."""
    x0, y0, side = _window(avatar)
    crop = avatar.photo.crop.astype(float)
    scale = avatar.photo_image.shape[1] / (crop[2] - crop[0])
    left, top = (x0 - crop[0]) * scale, (y0 - crop[1]) * scale
    box = (left, top, left + side * scale, top + side * scale)
    seen: U8 = np.array(Image.fromarray(avatar.photo_image).resize((CELL, CELL), Image.Resampling.LANCZOS, box))
    return seen


def _mesh_on_photo(avatar: Avatar, renderer: AvatarRenderer) -> U8:
    """The posed mesh as clay over the photo, through its camera."""
    x0, y0, side = _window(avatar)
    seen = photo_camera(avatar).cropped(x0, y0, 1, 1).scaled(CELL / side)
    camera = Camera(seen.focal, seen.centre, (CELL, CELL))
    photo = avatar.photo
    mesh = renderer.draw_pose(photo.expression, photo.rotations, photo.translation, camera, "clay")
    return _over(mesh, _photo(avatar), MESH_OPACITY)


def _on_cell(picture: U8) -> U8:
    return _over(picture, _backdrop(), 1.0)


def _over(
    picture: U8,  # [H, W, 4]
    ground: U8,  # [H, W, 3]
    opacity: float,
) -> U8:  # [H, W, 3]
    alpha = picture[..., 3:].astype(np.float32) * (opacity / 255)
    mixed: U8 = (picture[..., :3] * alpha + ground * (1 - alpha) + 0.5).astype(np.uint8)
    return mixed


def _backdrop() -> U8:  # [CELL, CELL, 3]
    """A quiet studio wall, brighter behind the head."""
    y, x = np.mgrid[0:CELL, 0:CELL] / CELL - 0.5
    away = np.clip(np.hypot(x, y + 0.08) / 0.62, 0, 1)[..., None] ** 1.5
    # half a grey step of noise keeps the gradient from showing bands
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (CELL, CELL, 1))
    wall: U8 = (CELL_CENTRE * (1 - away) + CELL_EDGE * away + noise + 0.5).astype(np.uint8)
    return wall


def _lay_out(cells: list[tuple[str, U8]], title: str, facts: str) -> U8:
    rows = -(-len(cells) // COLUMNS)
    width = 2 * BORDER + COLUMNS * CELL + (COLUMNS - 1) * GAP
    height = BORDER + TITLE + rows * (CELL + LABEL) + (rows - 1) * GAP + BORDER // 2
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((BORDER, BORDER - 6), title, INK, ImageFont.load_default(34))
    draw.text((width - BORDER, BORDER + 6), facts, SOFT_INK, ImageFont.load_default(19), anchor="ra")
    mask = _rounded()
    for index, (label, picture) in enumerate(cells):
        x = BORDER + index % COLUMNS * (CELL + GAP)
        y = BORDER + TITLE - 12 + index // COLUMNS * (CELL + LABEL + GAP)
        sheet.paste(Image.fromarray(picture), (x, y), mask)
        draw.text((x + 4, y + CELL + 9), label, SOFT_INK, ImageFont.load_default(20))
    return np.array(sheet)


def _rounded() -> Image.Image:
    mask = Image.new("L", (4 * CELL, 4 * CELL), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * CELL - 1, 4 * CELL - 1), 4 * CORNER, fill=255)
    return mask.resize((CELL, CELL), Image.Resampling.LANCZOS)


def _title(avatar: Avatar) -> str:
    name = avatar.provenance.get("photo")
    return name.rsplit(".", 1)[0] if isinstance(name, str) and name else "Avatar"


def _facts(avatar: Avatar) -> str:
    parts = [f"{len(avatar.vertices):,} vertices", f"{len(avatar.faces):,} triangles"]
    parts += [f"{len(avatar.blendshapes)} expressions", f"{avatar.albedo.shape[1]} px texture"]
    return "  ·  ".join(parts)
