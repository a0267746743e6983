"""A performance read from a track file, and what artists do to it: a range, strengths, smoothing. Knows no Blender.

Frame: avatar frame (see axes.py). Units: metres, seconds, pixels. Dims: T frames, K expressions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .groups import group_of

F64 = NDArray[np.float64]
HEAD = "head"  # the strength of the head's own movement, beside those of groups.py


class MotionError(ValueError):
    """A track file that cannot be used; one sentence for the user."""


@dataclass(frozen=True)
class Motion:
    """What a face does, as seen by one camera."""

    times: F64  # [T] s
    names: tuple[str, ...]  # [K]
    values: F64  # [T, K]
    turns: F64  # [T, 3] axis-angle of the head, rad
    places: F64  # [T, 3] m, the head in the camera's frame
    focal: float  # px
    centre: tuple[float, float]  # px
    size: tuple[int, int]  # px
    source: str = ""

    @property
    def rate(self) -> float:
        """Frames a second; 24 where there is but one frame."""
        steps = np.diff(self.times)
        steps = steps[steps > 0]
        return float(1.0 / np.median(steps)) if len(steps) else 24.0


@dataclass(frozen=True)
class Shaping:
    """How a performance is to be changed on its way to the head."""

    first: float = 0.0  # s
    last: float = 0.0  # s; 0: to the end
    smoothing: float = 0.0  # s, the width (standard deviation) of the window
    strengths: dict[str, float] = field(default_factory=dict)  # by group, 1 where it is not named


def read_motion(path: Path) -> Motion:
    """Read a track file; MotionError says in one sentence what is wrong with it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != "meshlam-track" or data["version"] != 1:
            raise MotionError(f"{path.name} is no track file of version 1; make one with `meshlam track`.")
        return _parse(data)
    except MotionError:
        raise
    except OSError as error:
        raise MotionError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise MotionError(f"{path.name} is no track file that can be used ({error!r}); make it again.") from error


def shaped(motion: Motion, shaping: Shaping) -> Motion:
    """The performance within the range, smoothed, as strong as wished; its times begin at 0."""
    last = shaping.last if shaping.last > 0 else np.inf
    chosen = (motion.times >= shaping.first - 1e-6) & (motion.times <= last + 1e-6)
    if not chosen.any():
        raise MotionError(f"Nothing lies between {shaping.first:.2f} s and {shaping.last:.2f} s; choose another range.")
    strengths = np.array([shaping.strengths.get(group_of(name).key, 1.0) for name in motion.names])
    head = shaping.strengths.get(HEAD, 1.0)
    times, places = motion.times[chosen], motion.places[chosen]
    sigma = shaping.smoothing * motion.rate  # frames
    values, turns, places = (_smooth(part, sigma) for part in (motion.values[chosen], motion.turns[chosen], places))
    middle = np.median(places, axis=0)
    return replace(
        motion,
        times=times - times[0],
        values=values * strengths,
        turns=turns * head,
        places=middle + (places - middle) * head,
    )


def quaternions(
    turns: F64,  # [T, 3] axis-angle, rad
) -> F64:  # [T, 4] w, x, y, z, each on the side of its predecessor, so that curves between them are short
    half = 0.5 * np.linalg.norm(turns, axis=1, keepdims=True)
    out = np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * turns], axis=1)
    against = (out[1:] * out[:-1]).sum(axis=1) < 0
    signs = np.concatenate([[1.0], np.cumprod(np.where(against, -1.0, 1.0))])
    return np.asarray(out * signs[:, None])


def _parse(data: dict[str, Any]) -> Motion:
    camera, frames, names = data["camera"], data["frames"], tuple(str(name) for name in data["names"])
    motion = Motion(
        times=_column(frames, "time", 1)[:, 0],
        names=names,
        values=_column(frames, "coefficients", len(names)),
        turns=_column(frames, "head_rotation", 3),
        places=_column(frames, "translation", 3),
        focal=float(camera["focal"]),
        centre=(float(camera["centre"][0]), float(camera["centre"][1])),
        size=(int(camera["size"][0]), int(camera["size"][1])),
        source=str(data.get("source", "")),
    )
    numbers = (motion.times, motion.values, motion.turns, motion.places, [motion.focal, *motion.centre])
    if not frames or not all(np.isfinite(part).all() for part in numbers):
        raise ValueError("no frames, or numbers that are not finite")
    if min(motion.size) <= 0 or motion.focal <= 0 or (np.diff(motion.times) < 0).any():
        raise ValueError("an impossible camera, or times that run backwards")
    return replace(motion, turns=_unwrapped(motion.turns))


def _column(frames: list[dict[str, Any]], name: str, width: int) -> F64:  # [T, width]
    return np.array([frame[name] for frame in frames], np.float64).reshape(len(frames), width)


def _unwrapped(
    turns: F64,  # [T, 3]
) -> F64:  # the same rotations, each written with the angle nearest to its predecessor's
    out = turns.copy()
    for index in range(1, len(out)):
        angle = float(np.linalg.norm(out[index]))
        if angle > 1e-9:
            other = out[index] * (1 - 2 * np.pi / angle)
            if np.linalg.norm(other - out[index - 1]) < np.linalg.norm(out[index] - out[index - 1]):
                out[index] = other
    return out


def _smooth(
    values: F64,  # [T, C]
    sigma: float,  # frames
) -> F64:
    """A Gaussian window that gets narrower nowhere and weighs only what is there at the ends."""
    reach = min(int(np.ceil(3 * sigma)), len(values) - 1)
    if reach < 1:
        return values
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    there = np.convolve(np.ones(len(values)), window)[reach:-reach]
    return np.stack([np.convolve(column, window)[reach:-reach] / there for column in values.T], axis=1)
