"""What the landmark detector gets wrong, measured: `python -m training.synthetic.detector_errors`.

Drawn photographs go through the detector; what its landmarks and coefficients differ from the truth by becomes one
Gaussian of few components around a mean that depends on how the head is turned, stored beside this file for tracked.py.
Nothing is before the faces: behind a hand or a mask the detector is wrong in another way. Every photograph counts
mirrored too. Photographs in which no face is found are counted.

Landmarks err in face heights, upright in the picture (y down), coefficients in their own unit.
Dims: N photographs, L landmarks, A coefficients, E = 2 L + A errors, C components, D how a head is turned, S quantiles.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES, reorder
from meshlam_core.assets import asset_path
from meshlam_core.errors import InputError
from meshlam_core.files.images import Photo
from meshlam_core.frames import project, rotation_from_axis_angle, yaw_of
from meshlam_core.head.model import HeadModel
from meshlam_core.opencv import set_threads
from meshlam_core.points import CHIN, FOREHEAD, MIRROR
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.track import find_face
from meshlam_core.tracker.types import Detection
from training.synthetic.camera import Shot, take

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STORED = Path(__file__).with_suffix(".npz")
SIZE = 512  # px, long side of the photographs
COMPONENTS = 100
QUANTILES = 21
FRONTAL, TURNED = np.radians(15), np.radians(35)
OTHER = {"Left": "Right", "Right": "Left"}
# [A] the coefficient that takes this one's place in the mirrored picture
TWINS = np.array([ARKIT_NAMES.index(re.sub("Left|Right", lambda side: OTHER[side[0]], name)) for name in ARKIT_NAMES])


@dataclass(frozen=True)
class DetectorErrors:
    """landmarks and coefficients = truth + mean(turn) + size (components' x normal + spread x normal).

    In most photographs the detector errs little, in a few much: `sizes` are the quantiles of how much.
    """

    mean: F32  # [D, E] over what `directions` says of the turn
    components: F32  # [C, E]
    spread: F32  # [E]
    sizes: F32  # [S] from the least to the most
    sideways: float  # how much stronger errors are at a yaw of 60 degrees
    gain: F32  # [A] how much of a coefficient is read, about

    @classmethod
    def load(cls, path: Path = STORED) -> DetectorErrors:
        """The errors as they were measured."""
        with np.load(path, allow_pickle=False) as stored:
            names = ("mean", "components", "spread", "sizes", "gain")
            mean, components, spread, sizes, gain = (stored[name].astype(np.float32) for name in names)
            return cls(mean, components, spread, sizes, float(stored["sideways"]), gain)

    def detect(
        self,
        head: HeadModel,
        posed: F64,  # [L, 3] m, view frame, the true landmarks
        shot: Shot,
        rng: np.random.Generator,
    ) -> Detection:
        """What the detector would say of a face, in px of the shot's camera."""
        turn = looked_at(rotation_from_axis_angle(shot.rotation), posed.mean(axis=0))
        noise = rng.standard_normal(len(self.components)) @ self.components
        noise = noise + self.spread * rng.standard_normal(len(self.spread))
        size = np.interp(rng.random(), np.linspace(0, 1, len(self.sizes)), self.sizes)
        error = directions(turn) @ self.mean + size * strength(yaw_of(turn), self.sideways) * noise
        count = 2 * len(posed)
        pixels = project(posed, shot.camera).astype(np.float64)
        moved = pixels[:, :2] + shot.face * error[:count].reshape(-1, 2) @ upright(pixels)
        depth = (posed[:, 2].mean() - posed[:, 2]) * shot.camera.focal / -posed[:, 2].mean()
        true = reorder(shot.expression, head.blendshape_names, ARKIT_NAMES)
        read = np.clip(self.gain * true + error[count:], 0, 1).astype(np.float32)
        (x0, y0), (x1, y1) = moved.min(axis=0).tolist(), moved.max(axis=0).tolist()
        return Detection(np.column_stack([moved, depth]).astype(np.float32), read, (x0, y0, x1, y1), 1.0)


def looked_at(turn: F64, point: F64) -> F64:  # [3, 3], [3] m, view frame -> [3, 3]
    """How a head is turned to a camera that looks straight at a point of it, as the fit's does."""
    ray, ahead = point / np.linalg.norm(point), np.array([0.0, 0.0, -1.0])
    axis = np.cross(ray, ahead)
    sine = float(np.linalg.norm(axis))
    angle = np.arctan2(sine, ray @ ahead)
    return np.asarray(rotation_from_axis_angle(axis * (angle / max(sine, 1e-9))) @ turn)


def directions(turn: F64) -> F64:  # [3, 3] -> [D]
    """What the mean error depends on: yaw, its square, pitch, both."""
    yaw, pitch = np.sin(yaw_of(turn)), turn[1, 2]
    return np.array([1.0, yaw, yaw**2, pitch, yaw * pitch])


def strength(yaw: float, sideways: float) -> float:
    """How strong errors are at a yaw in rad."""
    return float(1 + sideways * min(abs(yaw) / np.radians(60), 1.2) ** 2)


def upright(pixels: NDArray[np.floating]) -> F64:  # [L, 2 or 3] px -> [2, 2]
    """The picture's x and y axes of a face as rows: rightwards and down along it."""
    down = pixels[CHIN, :2] - pixels[FOREHEAD, :2]
    x, y = down / max(float(np.linalg.norm(down)), 1e-9)
    return np.array([[y, -x], [x, y]], np.float64)


def errors_of(
    head: HeadModel,
    posed: F64,  # [L, 3] m, view frame
    shot: Shot,
    found: Detection,
) -> tuple[F64, F64, F64, float]:  # [E], [A] the true coefficients, [D], rad
    """How a detection differs from the truth."""
    turn = looked_at(rotation_from_axis_angle(shot.rotation), posed.mean(axis=0))
    pixels = project(posed, shot.camera).astype(np.float64)
    offset = (found.landmarks[:, :2] - pixels[:, :2]) / shot.face @ upright(pixels).T
    true = reorder(shot.expression, head.blendshape_names, ARKIT_NAMES).astype(np.float64)
    return np.concatenate([offset.ravel(), found.coefficients - true]), true, directions(turn), yaw_of(turn)


def mirrored(error: F64, true: F64, turned: F64, yaw: float) -> tuple[F64, F64, F64, float]:
    """The same of the mirrored photograph."""
    count = 2 * len(MIRROR)
    offset = error[:count].reshape(-1, 2)[MIRROR] * [-1, 1]
    error = np.concatenate([offset.ravel(), error[count:][TWINS]])
    return error, true[TWINS], turned * [1, -1, 1, 1, -1], -yaw


def gaussian(
    errors: F64,  # [N, E]
    true: F64,  # [N, A]
    turned: F64,  # [N, D]
    yaw: F64,  # [N] rad
) -> dict[str, NDArray[np.floating]]:
    """Mean by turn, how much of a coefficient is read, strongest components and what is left of the spread."""
    count = errors.shape[1] - true.shape[1]
    centred = true - true.mean(axis=0)
    off = errors[:, count:] - errors[:, count:].mean(axis=0)
    gain = 1 + (centred * off).sum(axis=0) / ((centred**2).sum(axis=0) + 0.01 * len(true))
    errors = np.concatenate([errors[:, :count], errors[:, count:] - (gain - 1) * true], axis=1)
    mean, usual = np.zeros((turned.shape[1], errors.shape[1])), np.full(errors.shape, np.inf)
    for _ in range(3):  # a few failures are not what is usual
        expected = turned @ mean
        kept = expected + (errors - expected).clip(-usual, usual)
        mean = np.linalg.solve(turned.T @ turned + 0.01 * np.eye(turned.shape[1]), turned.T @ kept)
        usual = np.broadcast_to(4 * 1.48 * np.median(np.abs(errors - turned @ mean), axis=0).clip(1e-4), errors.shape)
    rest = (errors - turned @ mean).clip(-usual, usual)
    scale = rest.std(axis=0).clip(1e-6)
    unit = rest / scale
    size = (unit**2).mean(axis=1)
    frontal, aside = np.abs(yaw) < FRONTAL, np.abs(yaw) > TURNED
    ratio = float(np.sqrt(size[aside].mean() / size[frontal].mean())) if aside.any() and frontal.any() else 1.0
    sideways = max(0.0, ratio - 1)
    unit = unit / np.array([strength(one, sideways) for one in yaw])[:, None]
    size = np.sqrt((unit**2).mean(axis=1))
    unit = unit / size[:, None]
    _, s, v = np.linalg.svd(unit, full_matrices=False)
    components = v[:COMPONENTS] * (s[:COMPONENTS] / np.sqrt(len(unit)))[:, None]
    left = np.sqrt((unit.var(axis=0) - (components**2).sum(axis=0)).clip(0))
    return {
        "mean": mean.astype(np.float16),
        "components": (components * scale).astype(np.float16),
        "spread": (left * scale).astype(np.float16),
        "sizes": np.quantile(size, np.linspace(0, 1, QUANTILES)).astype(np.float16),
        "sideways": np.float32(sideways),
        "gain": gain.astype(np.float16),
    }


def main() -> None:
    """Draw, detect, fit, store."""
    from training.synthetic import open_engine
    from training.synthetic.draw import pose_person
    from training.synthetic.occluders import SHARES
    from training.synthetic.people import draw_person
    from training.synthetic.sample import Engine, photograph

    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--cache", type=Path, default=None, help="folder that keeps prepared skins")
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--out", type=Path, default=STORED)
    chosen = options.parse_args()

    def look(engine: Engine, detector: LandmarkDetector, seed: int) -> tuple[F64, F64, F64, float]:
        world, rng = engine.world, np.random.default_rng((7, seed))
        person = draw_person(world, engine.hair, rng)
        shot = take(world.head, person.vertices, SIZE, rng, whole=True)
        pixels = photograph(world, person, shot, rng, SIZE, dict.fromkeys(SHARES, 0.0)).picture
        width, height = shot.filled
        picture = np.ascontiguousarray(pixels[:height, :width])
        found = find_face(Photo(picture, None, "", Path(f"{seed}.png"), (width, height), 1.0), detector)
        posed = world.head.landmarks(pose_person(person, shot, world, person.bald).numpy()).astype(np.float64)
        return errors_of(world.head, posed, shot, found)

    set_threads(1)
    engine = open_engine(chosen.data, chosen.cache)
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    found, failures = [], 0
    for seed in range(chosen.count):
        try:
            one = look(engine, detector, seed)
        except InputError:
            failures += 1
        else:
            found += [one, mirrored(*one)]
    errors, true, turned, yaw = (np.array(column) for column in zip(*found, strict=True))
    fitted = gaussian(errors, true, turned, yaw)
    np.savez_compressed(chosen.out, allow_pickle=False, **fitted)
    offset = np.linalg.norm(errors[:, : 2 * len(MIRROR)].reshape(len(errors), -1, 2), axis=2)
    print(
        f"{len(found) // 2} detected, {failures} without a face; landmarks off by {np.median(offset):.4f} face heights "
        f"(median), sideways {float(fitted['sideways']):.2f}"
    )


if __name__ == "__main__":
    main()
