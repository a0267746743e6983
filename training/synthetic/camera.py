"""A photograph at random, and the crop that the pipeline would cut out of it.

Frames: frames.py. A photo is 1 unit high until it is cut; the crop fills a square canvas from its top-left corner, as
the pipeline lays it. Dims: V vertices, J joints, K blendshapes, L landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, axis_angle_from_rotation, rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from meshlam_core.points import CHIN, FOREHEAD
from meshlam_core.tracker.crop import RISE, SIDE

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FOV = (12.0, 75.0)  # degrees, of the photo's height
USUAL = 0.7  # of the photographs are taken with a lens of 18 to 48 degrees, the face not small
FACE = (0.1, 0.6)  # of the photo's height
NEAREST = 0.28  # m
ASPECT = (0.65, 1.6)


@dataclass(frozen=True)
class Shot:
    """How a head stands before the camera, on the crop's canvas."""

    camera: Camera  # of the square canvas
    filled: tuple[int, int]  # px, (width, height) of the canvas that the photo covers
    rotation: F32  # [3] axis-angle of the head
    translation: F32  # [3] m
    expression: F32  # [K]
    face: float  # px, height of the face


def take(
    head: HeadModel,
    vertices: F32,  # [V, 3] m, neutral
    size: int,  # px, of the canvas
    rng: np.random.Generator,
    portrait: bool = False,  # keep to the usual: a frontal face, not near the borders
    whole: bool = False,  # the whole photo instead of the crop
) -> Shot:
    """Stand a head before a camera."""
    turn = _turn(rng, portrait)
    expression = draw_expression(head, rng)
    shaped = vertices + (expression @ head.blendshapes.reshape(len(expression), -1)).reshape(-1, 3)
    points = head.landmarks(shaped.astype(np.float32)).astype(np.float64)
    usual = portrait or rng.random() < USUAL
    fov = np.exp(rng.uniform(np.log(18.0 if usual else FOV[0]), np.log(48.0 if usual else FOV[1])))
    focal = 0.5 / np.tan(np.radians(fov) / 2)
    tall = float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    share = rng.uniform(0.2, 0.45) if usual else np.exp(rng.uniform(np.log(FACE[0]), np.log(FACE[1])))
    distance = max(focal * tall / share, NEAREST)
    share = focal * tall / distance
    aspect = rng.uniform(*ASPECT)
    room = np.array([(aspect - 0.9 * share) / 2, (1 - 1.2 * share) / 2]).clip(0.02)
    place = rng.uniform(-room, room) * (0.4 if portrait else 1.0)
    middle = points.mean(axis=0)
    translation = distance * np.array([place[0] / focal, -place[1] / focal, -1.0]) - turn @ middle
    view = points @ turn.T + translation
    pixels = np.array([aspect / 2, 0.5]) + focal * np.array([1, -1]) * view[:, :2] / -view[:, 2:]
    corner, side = (np.zeros(2), np.array([aspect, 1.0])) if whole else _crop(pixels, (aspect, 1.0), rng)
    scale = size / side.max()
    camera = Camera(
        float(focal * scale),
        tuple((np.array([aspect / 2, 0.5]) - corner) * scale),
        (size, size),
    )
    filled = np.minimum(np.round(side * scale), size).astype(int)
    span = float(np.linalg.norm(pixels[FOREHEAD] - pixels[CHIN]) * scale)
    return Shot(
        camera,
        (int(filled[0]), int(filled[1])),
        axis_angle_from_rotation(turn).astype(np.float32),
        translation.astype(np.float32),
        expression,
        span,
    )


def _turn(rng: np.random.Generator, portrait: bool) -> F64:
    if portrait or rng.random() < 0.45:
        angles = rng.normal(0, [6, 10, 5])
    else:
        angles = np.array([rng.normal(0, 10), rng.uniform(-60, 60), rng.normal(0, 8)])
    pitch, yaw, roll = np.radians(np.clip(angles, -60, 60))
    x, y, z = np.eye(3)
    turn: F64 = (
        rotation_from_axis_angle(roll * z) @ rotation_from_axis_angle(pitch * x) @ rotation_from_axis_angle(yaw * y)
    )
    return turn


def _crop(pixels: F64, photo: tuple[float, float], rng: np.random.Generator) -> tuple[F64, F64]:
    """Corner and sides of what tracker/crop.py cuts, a little off."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    up = pixels[FOREHEAD] - pixels[CHIN]
    span = max(float(np.linalg.norm(up)), float((high - low).max()))
    side = SIDE * span * np.exp(rng.normal(0, 0.02))
    centre = (low + high) / 2 + up / max(float(np.linalg.norm(up)), 1e-9) * RISE * span + rng.normal(0, 0.015, 2) * span
    first = np.maximum(centre - side / 2, 0)
    last = np.minimum(centre + side / 2, np.array(photo))
    return first, np.maximum(last - first, 1e-3)


def draw_expression(head: HeadModel, rng: np.random.Generator) -> F32:
    """Mostly quiet faces, smiles and speech; both sides alike but for a little."""
    names = head.blendshape_names
    values = dict.fromkeys(names, 0.0)

    def raise_to(stem: str, amount: float) -> None:
        for side in ("Left", "Right"):
            if stem + side in values:
                values[stem + side] = float(np.clip(amount * rng.uniform(0.75, 1.25), 0, 1))
        if stem in values:
            values[stem] = float(np.clip(amount, 0, 1))

    kind = rng.random()
    if kind < 0.45:
        for stem, most in (("mouthSmile", 0.9), ("cheekSquint", 0.5), ("eyeSquint", 0.5), ("mouthUpperUp", 0.5)):
            raise_to(stem, rng.uniform(0, most))
        raise_to("jawOpen", max(0.0, rng.normal(0.02, 0.08)))
    elif kind < 0.75:
        raise_to("jawOpen", abs(rng.normal(0, 0.25)))
        for stem in ("mouthFunnel", "mouthPucker", "mouthLowerDown", "mouthPress", "mouthStretch"):
            raise_to(stem, abs(rng.normal(0, 0.2)))
    for stem in ("browInnerUp", "browDown", "browOuterUp", "eyeBlink", "eyeWide", "mouthFrown", "noseSneer"):
        if rng.random() < 0.3:
            raise_to(stem, abs(rng.normal(0, 0.25)))
    out = np.array([values[name] for name in names], np.float32)
    if rng.random() < 0.3:
        out = np.clip(out + (rng.random(len(out)) < 0.08) * rng.uniform(0, 0.4, len(out)), 0, 1).astype(np.float32)
    return out
