"""Drawn people whose expressions are known, as the detector sees them.

Dims: M pictures of one person, E the 52 expression names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.tracker.landmarks import choose_face
from meshlam_core.tracker.types import Detection
from training.expressions.sitter import SIDE, Sitter
from training.synthetic.spoil import spoiled

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

AT_REST = 0.1  # of the pictures
TURN = (0.14, 0.30, 0.10)  # rad, standard deviations of nodding, turning, tilting
SIDED = ("jaw", "mouth")  # jawLeft and mouthLeft are ways, not sides
GAZE = "eyeLook"


@dataclass(frozen=True)
class Seen:
    """Pictures of one person."""

    detections: list[Detection]  # [M]
    truth: F32  # [M, E]


def draw_person(photo: Path, session: Session, count: int, seed: int) -> Seen:
    """A person out of a photo in random expressions and poses, all before one camera."""
    rng = np.random.default_rng(seed)
    sitter = Sitter(reconstruct(photo, ReconstructOptions(weights="none"), session).avatar)
    detections, truth = [], []
    for _ in range(count):
        expression = random_expression(rng)
        turn = rng.standard_normal(3) * TURN
        distance = float(np.exp(rng.normal(0.2, 0.2)))
        clean = sitter.picture(expression, turn.tolist(), distance, rng.uniform(20, 235, 3).tolist())
        picture = spoiled(_lit(clean, rng), rng)[0]
        found = session.detector.detect(picture, every=False)
        if not found:
            continue
        # as frames of a clip are seen: one look where the face is
        seen = session.detector.follow(picture, choose_face(found))
        if seen is not None:
            detections.append(seen)
            truth.append([expression[name] for name in ARKIT_NAMES])
    return Seen(detections, np.array(truth, np.float32))


def _lit(picture: U8, rng: np.random.Generator) -> F32:
    """Brighter on one side than on the other."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 + rng.uniform(0, 0.7) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray((picture / 255 * slope[..., None]).clip(0, 1), np.float32)


def random_expression(rng: np.random.Generator) -> dict[str, float]:
    """A few keys at once, mostly on both sides, and a gaze."""
    values = dict.fromkeys(ARKIT_NAMES, 0.0)
    if rng.random() > AT_REST:
        keys = [name for name in ARKIT_NAMES if not name.startswith(GAZE)]
        for _ in range(rng.integers(1, 6)):
            name, value = keys[rng.integers(len(keys))], float(rng.beta(1.2, 1.2))
            for one in _with_other_side(name) if rng.random() < 0.65 else (name,):
                values[one] = float(np.clip(value + 0.1 * rng.standard_normal(), 0, 1))
        if rng.random() < 0.3:
            values["jawOpen"] = float(rng.beta(1, 1.6))
        if rng.random() < 0.25:
            values["eyeBlinkLeft"] = values["eyeBlinkRight"] = float(rng.random())
        # closed lips go with an open jaw, and a tongue needs room
        values["jawOpen"] = max(values["jawOpen"], values["mouthClose"], 0.25 * (values["tongueOut"] > 0))
    if rng.random() < 0.75:
        across, up = (0.45 * rng.standard_normal(2)).clip(-1, 1).tolist()
        for side, out in (("Left", across), ("Right", -across)):
            values |= {f"{GAZE}Out{side}": max(out, 0.0), f"{GAZE}In{side}": max(-out, 0.0)}
            values |= {f"{GAZE}Up{side}": max(up, 0.0), f"{GAZE}Down{side}": max(-up, 0.0)}
    return values


def _with_other_side(name: str) -> tuple[str, ...]:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        base = name.removesuffix(side)
        if base != name and base not in SIDED:
            return name, base + other
    return (name,)
