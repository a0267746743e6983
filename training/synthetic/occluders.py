"""Things before a head: glasses, headphones, hands, microphones. Drawn as flat shapes with their labels.

Image frame. Colours linear. Dims: H canvas side, L landmarks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE, LEFT_SIDE, RIGHT_EYE, RIGHT_SIDE
from training.synthetic.world import GLASSES, OTHER

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

FINE = 4  # bits of sub-pixel positions in OpenCV's drawing


def add_occluders(
    colour: F32,  # [H, H, 3] drawn into
    label: U8,  # [H, H]
    landmarks: F64,  # [L, 2] px
    hull: F64,  # [V, 2] px, all the head's vertices
    skin: F32,  # [3]
    rng: np.random.Generator,
) -> None:
    """Each of them now and then."""
    face = float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN]))
    if rng.random() < 0.22:
        _glasses(colour, label, landmarks, face, rng)
    if rng.random() < 0.05:
        _headphones(colour, label, landmarks, hull, face, rng)
    if rng.random() < 0.06:
        _hand(colour, label, landmarks, face, skin, rng)
    if rng.random() < 0.04:
        _microphone(colour, label, landmarks, face, rng)


def _paint(colour: F32, label: U8, mask: U8, tint: NDArray[np.floating], kind: int, strength: float = 1.0) -> None:
    """Lay a colour over what a mask of 0..255 covers."""
    share = (mask.astype(np.float32) * (strength / 255))[..., None]
    colour += share * (tint.astype(np.float32) - colour)
    label[mask > 127] = kind


def _line(mask: U8, points: F64, thickness: float, closed: bool = False) -> None:
    fixed = (points * 2**FINE).round().astype(np.int32)
    cv2.polylines(mask, [fixed], closed, 255, max(1, round(thickness)), cv2.LINE_AA, FINE)


def _glasses(colour: F32, label: U8, landmarks: F64, face: float, rng: np.random.Generator) -> None:
    mask, lens = np.zeros(label.shape, np.uint8), np.zeros(label.shape, np.uint8)
    tint = np.full(3, 0.02) if rng.random() < 0.6 else np.exp(rng.normal(-2, 1, 3)).clip(0, 0.9)
    thick = face * rng.uniform(0.008, 0.035)
    power, height = rng.uniform(2, 4.5), rng.uniform(0.6, 0.95)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across = landmarks[LEFT_EYE].mean(axis=0) - landmarks[RIGHT_EYE].mean(axis=0)
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6) * face * 0.2
    shape = np.stack([np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / power),
                      np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / power)], axis=1)  # fmt: skip
    inner = []
    for ring, side, temple in ((RIGHT_EYE, -1, RIGHT_SIDE), (LEFT_EYE, 1, LEFT_SIDE)):
        eye = landmarks[ring]
        wide = (eye[8] - eye[0]) * rng.uniform(0.78, 0.82) * 1.15
        outline = eye.mean(axis=0) + 0.15 * down + shape[:, :1] * wide + shape[:, 1:] * height * down
        _line(mask, outline, thick, closed=True)
        cv2.fillPoly(lens, [outline.round().astype(np.int32)], 255)
        along = outline @ across
        edge = outline[int((side * along).argmax())]
        inner.append(outline[int((side * along).argmin())])
        if side * float((landmarks[temple] - edge) @ across) > 0:
            _line(mask, np.stack([edge, landmarks[temple] - 0.25 * down]), thick)
    _line(mask, np.stack([inner[0], sum(inner) / 2 - 0.12 * down, inner[1]]), thick)
    dark = rng.uniform(0.4, 0.95) if rng.random() < 0.2 else rng.uniform(0, 0.12)
    keep = label.copy()
    _paint(colour, keep, lens, np.full(3, 0.01 if dark > 0.2 else 0.6), GLASSES, dark)
    if dark > 0.4:
        label[lens > 127] = GLASSES
    _paint(colour, label, mask, tint, GLASSES)


def _headphones(colour: F32, label: U8, landmarks: F64, hull: F64, face: float, rng: np.random.Generator) -> None:
    tint = np.full(3, 0.015) if rng.random() < 0.6 else rng.uniform(0.05, 0.8, 3)
    sides = landmarks[[RIGHT_SIDE, LEFT_SIDE]]
    up = landmarks[FOREHEAD] - landmarks[CHIN]
    up = up / max(float(np.linalg.norm(up)), 1e-6)
    out = sides[1] - sides[0]
    ears = sides + np.array([[-0.13], [0.13]]) * out + 0.05 * face * up
    top = float(((hull - ears.mean(axis=0)) @ up).max()) * 1.02
    t = np.linspace(np.pi, 0, 24)
    arc = ears.mean(axis=0) + np.cos(t)[:, None] * (ears[1] - ears[0]) / 2 + np.sin(t)[:, None] * top * up
    mask = np.zeros(label.shape, np.uint8)
    _line(mask, arc, face * rng.uniform(0.04, 0.09))
    angle = float(np.degrees(np.arctan2(out[1], out[0])))
    for ear in ears:
        size = (int(face * rng.uniform(0.07, 0.14)), int(face * rng.uniform(0.15, 0.22)))
        cv2.ellipse(mask, tuple(int(x) for x in ear), size, angle, 0, 360, 255, -1, cv2.LINE_AA)
    _paint(colour, label, mask, tint, OTHER)


def _hand(colour: F32, label: U8, landmarks: F64, face: float, skin: F32, rng: np.random.Generator) -> None:
    """A palm with fingers towards the face."""
    target = landmarks[CHIN] + rng.normal(0, 0.25, 2) * face
    away = np.array([rng.normal(0, 0.8), 1.0])
    away /= np.linalg.norm(away)
    across = np.array([-away[1], away[0]])
    mask = np.zeros(label.shape, np.uint8)
    for k in range(4):
        tip = target + across * (k - 1.5) * 0.1 * face - away * 0.05 * face * (k in (1, 2))
        _line(mask, np.stack([tip, tip + away * 0.45 * face]), face * 0.085)
    palm = target + away * 0.6 * face
    cv2.circle(mask, tuple(int(x) for x in palm), int(0.27 * face), 255, -1, cv2.LINE_AA)
    _line(mask, np.stack([palm, palm + away * 2 * face]), face * 0.33)
    shade = cv2.GaussianBlur(mask, (0, 0), max(0.03 * face, 0.5)).astype(np.float32)[..., None] / 255
    _paint(
        colour, label, mask, np.broadcast_to(skin * rng.uniform(0.7, 1.1), colour.shape) * (0.35 + 0.65 * shade), OTHER
    )


def _microphone(colour: F32, label: U8, landmarks: F64, face: float, rng: np.random.Generator) -> None:
    head = landmarks[CHIN] + np.array([rng.normal(0, 0.35), rng.uniform(-0.1, 0.3)]) * face
    mask = np.zeros(label.shape, np.uint8)
    cv2.circle(mask, tuple(int(x) for x in head), int(face * rng.uniform(0.08, 0.15)), 255, -1, cv2.LINE_AA)
    _line(mask, np.stack([head, head + np.array([rng.normal(0, 0.5), 1.5]) * face]), face * rng.uniform(0.06, 0.11))
    _paint(colour, label, mask, np.full(3, rng.uniform(0.01, 0.2)), OTHER)
