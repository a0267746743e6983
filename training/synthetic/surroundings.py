"""What stands behind and below a head: places, walls, other photos' corners, shoulders and collars.

Image frame. Colours linear. Dims: H canvas side.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.synthetic.world import CLOTHES, NECK, World, to_linear

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
SECOND_PERSON = 0.06  # how often the background is a whole portrait


def background(world: World, size: int, rng: np.random.Generator) -> F32:  # [H, H, 3]
    """A piece of a panorama, a plain wall, the corner of a portrait, or a portrait."""
    kind = rng.random()
    if kind < 0.45:
        panorama = world.panoramas[rng.integers(len(world.panoramas))]
        side = int(np.exp(rng.uniform(np.log(60), np.log(320))))
        y, x = int(rng.integers(90, 512 - 60 - min(side, 360))), int(rng.integers(0, 1024 - side))
        piece = panorama[y : y + side, x : x + side]
    elif kind < 0.75:
        piece = _wall(rng)
    else:
        with Image.open(world.portraits[rng.integers(len(world.portraits))]) as photo:
            whole = np.asarray(photo.convert("RGB"))
        if kind < 1 - SECOND_PERSON:
            side = int(rng.integers(35, 60))
            x = 0 if rng.random() < 0.5 else whole.shape[1] - side
            piece = whole[:side, x : x + side]
        else:
            piece = whole
    found = cv2.resize(np.ascontiguousarray(piece), (size, size), interpolation=cv2.INTER_LINEAR)
    linear = to_linear(found)
    if rng.random() < 0.5:
        linear = cv2.GaussianBlur(linear, (0, 0), float(np.exp(rng.uniform(np.log(0.8), np.log(10)))))
    gain = np.exp(rng.normal(0, 0.3)) * np.exp(rng.normal(0, 0.06, 3))
    return np.asarray(linear * gain.astype(np.float32), np.float32)


def _wall(rng: np.random.Generator) -> U8:
    corners = rng.uniform(20, 235) + rng.normal(0, 22, 3) + rng.normal(0, 1, (3, 3, 3)) * rng.exponential(10)
    if rng.random() < 0.3:
        corners = corners * 0 + rng.choice([0, 12, 128, 235, 255]) + rng.normal(0, 3, (3, 3, 3))
    wall = cv2.resize(corners.astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wall.clip(0, 255), np.uint8)


def shoulders(
    colour: F32,  # [H, H, 3] drawn into
    label: U8,  # [H, H]
    neck: NDArray[np.floating],  # [N, 2] px, the border of the neck
    face: float,  # px, height of the face
    skin: F32,  # [3]
    rng: np.random.Generator,
) -> None:
    """A body below the neck, before the head is laid over it."""
    low, high = neck.min(axis=0), neck.max(axis=0)
    middle, width = (low + high) / 2, float(high[0] - low[0])
    top = middle[1] - 0.04 * face
    wide, slope = face * rng.uniform(0.95, 1.5), face * rng.uniform(0.25, 0.6)
    t = np.linspace(0, 1, 12)
    side = np.stack([0.42 * width + (wide - 0.42 * width) * t, slope * t**1.6], axis=1)
    side = np.concatenate([side, [[wide * 1.1, 4 * face + 10]]])
    outline = np.concatenate([side * [-1, 1], side[::-1]]) + np.array([middle[0], top])
    body = np.zeros(label.shape, np.uint8)
    cv2.fillPoly(body, [outline.round().astype(np.int32)], 1)
    inside = body > 0
    tint = np.exp(rng.normal(-2.2, 1.1)) * np.exp(rng.normal(0, 0.35, 3))
    if rng.random() < 0.25:
        tint = np.full(3, 0.75) * rng.uniform(0.7, 1.1)  # a white shirt
    noise = cv2.resize(rng.random((10, 10)).astype(np.float32), label.shape[::-1], interpolation=cv2.INTER_CUBIC)
    cloth = tint.clip(0, 0.9).astype(np.float32) * (0.6 + 0.7 * noise)[..., None]
    if rng.random() < 0.2:  # stripes
        rows = np.arange(label.shape[0]) * rng.uniform(0.1, 1.0)
        cloth = cloth * (0.75 + 0.25 * np.sign(np.sin(rows)))[:, None, None].astype(np.float32)
    colour[inside], label[inside] = cloth[inside], CLOTHES
    opening = np.array([[-0.45 * width, 0], [0.45 * width, 0], [0, face * rng.uniform(0.05, 0.5)]])
    opening = opening + np.array([middle[0], top])
    open_part = np.zeros(label.shape, np.uint8)
    cv2.fillPoly(open_part, [opening.round().astype(np.int32)], 1)
    bare = (open_part > 0) & inside
    colour[bare], label[bare] = skin * rng.uniform(0.6, 0.9), NECK


def collar(
    colour: F32,  # [H, H, 3] drawn into
    label: U8,  # [H, H]
    neck: NDArray[np.floating],  # [N, 2] px
    face: float,  # px
    rng: np.random.Generator,
) -> None:
    """Cloth before the lower part of the neck."""
    low, high = neck.min(axis=0), neck.max(axis=0)
    middle, width = (low + high) / 2, float(high[0] - low[0])
    rise, thick = face * rng.uniform(0.02, 0.16), face * rng.uniform(0.12, 0.3)
    t = np.linspace(-1, 1, 15)
    upper = np.stack([middle[0] + 0.56 * width * t, middle[1] - rise * np.abs(t) ** 1.5], axis=1)
    ring = np.concatenate([upper, upper[::-1] + np.array([0, thick])]).round().astype(np.int32)
    mask = np.zeros(label.shape, np.uint8)
    cv2.fillPoly(mask, [ring], 1)
    tint = np.exp(rng.normal(-1.6, 1.0)) * np.exp(rng.normal(0, 0.2, 3))
    colour[mask > 0], label[mask > 0] = tint.clip(0, 0.9), CLOTHES
