"""Measure what the real tracker gets wrong: `python -m training.synthetic.tracker_errors`.

Drawn photographs go through landmarks and fit; the differences from the truth, in focal length, expression and
identity, become one Gaussian of few components, stored beside this file for tracked.py. Photographs in which no face is
found are counted. Dims: N photographs, E errors, C components.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.errors import InputError
from meshlam_core.files.images import Photo
from meshlam_core.frames import axis_angle_from_rotation, rotation_from_axis_angle, yaw_of
from meshlam_core.opencv import set_threads
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.track import track_photo
from training.synthetic import open_engine
from training.synthetic.camera import take
from training.synthetic.people import draw_person
from training.synthetic.sample import Engine, photograph
from training.synthetic.tracked import OUTER, RESOLVED, STORED

F64 = NDArray[np.float64]

SIZE = 512  # px, long side of the photographs
COMPONENTS = 24
FRONTAL, TURNED = np.radians(15), np.radians(35)


def errors_of(engine: Engine, detector: LandmarkDetector, seed: int) -> tuple[F64, float, float, float]:
    """The errors [log focal, expression (K), identity (N)]; turn off the truth and yaw, rad; log of the lens."""
    world, rng = engine.world, np.random.default_rng((7, seed))
    person = draw_person(world, engine.hair, rng)
    shot = take(world.head, person.vertices, SIZE, rng, whole=True)
    pixels = photograph(world, person, shot, rng, SIZE).picture
    width, height = shot.filled
    picture = np.ascontiguousarray(pixels[:height, :width])
    photo = Photo(picture, None, "", Path(f"{seed}.png"), (width, height), 1.0)
    found = track_photo(photo, detector, world.head)
    turn, truth = rotation_from_axis_angle(found.rotations[0]), rotation_from_axis_angle(shot.rotation)
    identity = _coefficients(engine, found.vertices.astype(np.float64) - person.bald)
    error = np.concatenate(
        [
            [np.log(found.camera.focal / shot.camera.focal)],
            found.expression - shot.expression,
            identity,
        ]
    )
    off = float(np.linalg.norm(axis_angle_from_rotation(turn @ truth.T)))
    return error, off, yaw_of(truth), float(np.log(shot.lens))


def _coefficients(engine: Engine, difference: F64) -> F64:  # [V, 3] m -> [N]
    """The identity that explains a difference between heads best."""
    head = engine.world.head
    used = np.isin(head.part, [head.parts.index(name) for name in OUTER])
    basis = head.identity_basis[:, used].reshape(len(head.identity_basis), -1).astype(np.float64) / RESOLVED
    wanted = (difference[used] / RESOLVED).ravel()
    return np.asarray(np.linalg.solve(basis @ basis.T + np.eye(len(basis)), basis @ wanted))


def gaussian(errors: F64, yaw: F64, lens: F64) -> dict[str, NDArray[np.floating]]:  # [N, E], [N], [N]
    """Mean, strongest components and what is left of the spread; how much worse turned heads are; the focal line."""
    slope, begin = np.polyfit(lens, lens + errors[:, 0], 1)
    errors = np.concatenate([(lens + errors[:, 0] - begin - slope * lens)[:, None], errors[:, 1:]], axis=1)
    mean = np.median(errors, axis=0)
    offset = errors - mean
    limit = 4 * 1.48 * np.median(np.abs(offset), axis=0).clip(1e-4)  # a few failures are not what is usual
    offset = offset.clip(-limit, limit)
    scale = offset.std(axis=0).clip(1e-6)
    unit = offset / scale
    size = (unit**2).mean(axis=1)
    frontal, turned = np.abs(yaw) < FRONTAL, np.abs(yaw) > TURNED
    ratio = float(np.sqrt(size[turned].mean() / size[frontal].mean())) if turned.any() and frontal.any() else 1.0
    sideways = max(0.0, ratio - 1)
    unit = unit / (1 + sideways * np.minimum(np.abs(yaw) / np.radians(60), 1.2) ** 2)[:, None]
    _, s, v = np.linalg.svd(unit, full_matrices=False)
    components = v[:COMPONENTS] * (s[:COMPONENTS] / np.sqrt(len(unit)))[:, None]
    rest = np.sqrt((unit.var(axis=0) - (components**2).sum(axis=0)).clip(0))
    return {
        "mean": mean.astype(np.float32),
        "components": (components * scale).astype(np.float16),
        "spread": (rest * scale).astype(np.float32),
        "sideways": np.float32(sideways),
        "focal_line": np.array([begin, slope], np.float32),
    }


def main() -> None:
    """Draw, track, fit, store."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path("../shared/data"))
    options.add_argument("--cache", type=Path, default=None, help="folder that keeps prepared skins")
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--out", type=Path, default=STORED)
    chosen = options.parse_args()
    set_threads(1)
    engine = open_engine(chosen.data, chosen.cache)
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    found, failures = [], 0
    for seed in range(chosen.count):
        try:
            found.append(errors_of(engine, detector, seed))
        except InputError:
            failures += 1
    errors, turn, yaw, lens = (np.array(column) for column in zip(*found, strict=True))
    fitted = gaussian(errors, yaw, lens)
    np.savez(chosen.out, allow_pickle=False, **fitted)
    offset, slope = fitted["focal_line"]
    print(
        f"{len(found)} tracked, {failures} without a face; median focal {np.median(np.abs(errors[:, 0])):.3f} (log), "
        f"rotation {np.median(np.degrees(turn)):.2f} degrees, sideways {float(fitted['sideways']):.2f}, "
        f"focal line {offset:.2f} + {slope:.2f} log f"
    )


if __name__ == "__main__":
    main()
