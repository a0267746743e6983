"""What the tracker and the hull fit would deliver for a drawn photograph, with their measured errors.

The tracker's errors are one Gaussian over focal length, rotation, expression and identity together, fitted to what the
real tracker made of drawn heads (tracker_errors.py); where it places the head then follows from the landmarks, as in
the real fit. The hull fit is simulated by what it does: growth is the mean given what the outline shows.

Frames and units: frames.py. Dims: V vertices, L landmarks, N identity modes, K blendshapes, Q hair vertices, M modes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, axis_angle_from_rotation, project, rotation_from_axis_angle
from meshlam_core.head.model import HeadModel
from training.synthetic.camera import Shot
from training.synthetic.hair import Hair, HairSource
from training.synthetic.world import World

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STORED = Path(__file__).with_name("tracker_errors.npz")
STYLES = 400  # drawn to learn the prior of growth
MODES = 40
OUTLINE = 0.006  # m from the outline within which a vertex is what the outline shows
GROWTH_NOISE = 0.004  # m, of one vertex; and of all together
GROWTH_BIAS = 0.003


@dataclass(frozen=True)
class TrackerErrors:
    """error = mean + components' x normal + spread x normal, over [log focal, rotation, expression, identity]."""

    mean: F32  # [E]
    components: F32  # [C, E]
    spread: F32  # [E]
    sideways: float  # how much stronger errors are at a yaw of 60 degrees

    def draw(self, yaw: float, rng: np.random.Generator) -> F64:  # [E]
        """The errors of one photograph; `yaw` in rad."""
        strength = 1 + self.sideways * min(abs(yaw) / np.radians(60), 1.2) ** 2
        noise = rng.standard_normal(len(self.components)) @ self.components
        return np.asarray(self.mean + strength * (noise + self.spread * rng.standard_normal(len(self.spread))))


def load_errors(head: HeadModel, path: Path = STORED) -> TrackerErrors:
    """The measured errors."""
    with np.load(path, allow_pickle=False) as stored:
        return TrackerErrors(
            *(stored[name].astype(np.float32) for name in ("mean", "components", "spread")), float(stored["sideways"])
        )


@dataclass(frozen=True)
class Tracked:
    """What the network gets to know of a head, beside the picture."""

    camera: Camera  # of the canvas
    rotation: F32  # [3]
    translation: F32  # [3] m
    expression: F32  # [K]
    bald: F32  # [V, 3] the tracker's neutral head
    start: F32  # [V, 3] with the hull fit's hair: V_0


def simulate_tracker(
    head: HeadModel,
    world: World,
    identity: F32,  # [N]
    posed: F32,  # [V, 3] view frame, the true bald head
    shot: Shot,
    errors: TrackerErrors,
    rng: np.random.Generator,
) -> Tracked:
    """The tracker's result; its start is still bald."""
    turn = rotation_from_axis_angle(shot.rotation)
    yaw = float(np.arctan2(turn[0, 2], turn[2, 2]))
    error = errors.draw(yaw, rng)
    count = len(shot.expression)
    expression = np.clip(shot.expression + error[4 : 4 + count], 0, 1).astype(np.float32)
    bald = (head.template + ((identity + error[4 + count :]).astype(np.float32) @ world.identity).reshape(-1, 3)).astype(
        np.float32
    )
    focal = shot.camera.focal * float(np.exp(error[0]))
    camera = Camera(focal, shot.camera.centre, shot.camera.size)
    turn = rotation_from_axis_angle(error[1:4]) @ turn
    shaped = bald + (expression @ head.blendshapes.reshape(count, -1)).reshape(-1, 3)
    seen = project(head.landmarks(posed).astype(np.float64), shot.camera)[:, :2]
    translation = placed(head.landmarks(shaped) @ turn.T, seen, camera, head.landmark_weight)
    rotation = axis_angle_from_rotation(turn).astype(np.float32)
    return Tracked(camera, rotation, translation.astype(np.float32), expression, bald, bald)


def placed(
    points: F64,  # [L, 3] turned, not yet moved
    pixels: F64,  # [L, 2]
    camera: Camera,
    weight: F32,  # [L]
) -> F64:  # [3] m
    """The translation that lays points onto pixels best: linear least squares on the rays."""
    u, v = (pixels - camera.centre).T
    f, zero = np.full(len(u), camera.focal), np.zeros(len(u))
    system = np.concatenate([np.stack([f, zero, u], 1), np.stack([zero, f, -v], 1)])
    wanted = np.concatenate([-u * points[:, 2] - f * points[:, 0], v * points[:, 2] - f * points[:, 1]])
    twice = np.concatenate([weight, weight])[:, None]
    return np.asarray(np.linalg.lstsq(system * twice, wanted * twice[:, 0], rcond=None)[0])


def as_seen(
    vertices: F32,  # [V, 3] neutral, true
    shot: Shot,
    tracked: Tracked,
    head: HeadModel,
    bald: F32,  # [V, 3] neutral, true, without hair
) -> F32:  # [V, 3]
    """The true head for whoever believes the tracker's camera and pose: on the same pixels, as deep in proportion.

    Learning the head in its own frame would ask for what the picture contradicts: the pose stays the tracker's.
    """
    turn, other = rotation_from_axis_angle(shot.rotation), rotation_from_axis_angle(tracked.rotation)
    view = vertices @ turn.T + shot.translation
    depth = float(-(head.landmarks(bald) @ turn.T + shot.translation)[:, 2].mean())
    depth_there = float(-(head.landmarks(tracked.bald) @ other.T + tracked.translation)[:, 2].mean())
    pixels = project(view, shot.camera)
    scale = (depth_there / tracked.camera.focal) / (depth / shot.camera.focal)
    z = depth_there + scale * (pixels[:, 2] - depth)
    ray = (pixels[:, :2] - tracked.camera.centre) / tracked.camera.focal * [1, -1]
    there = np.concatenate([ray * z[:, None], -z[:, None]], axis=1)
    return np.asarray((there - tracked.translation) @ other, np.float32)


@dataclass(frozen=True)
class GrowthPrior:
    """Mean and modes of hair's growth."""

    mean: F64  # [Q]
    modes: F64  # [M, Q] at one standard deviation

    @classmethod
    def of(cls, hair: HairSource, seed: int = 3) -> GrowthPrior:
        """From many styles."""
        rng = np.random.default_rng(seed)
        growth = np.stack([hair.sample(rng).growth for _ in range(STYLES)]).astype(np.float64)
        mean = growth.mean(axis=0)
        _, s, v = np.linalg.svd(growth - mean, full_matrices=False)
        return cls(mean, v[:MODES] * (s[:MODES] / np.sqrt(STYLES))[:, None])

    def given(
        self,
        growth: F64,  # [Q] m, true
        shown: NDArray[np.bool_],  # [Q] what the outline shows
        rng: np.random.Generator,
    ) -> F32:  # [Q] m
        """The mean of all styles that agree with what is shown, up to noise."""
        noise = rng.normal(0, GROWTH_BIAS) + rng.normal(0, GROWTH_NOISE, int(shown.sum()))
        seen = self.modes[:, shown] / GROWTH_NOISE
        thinned = 1 / np.sqrt(max(1.0, shown.sum() / 40))  # neighbours tell the same
        seen, offset = seen * thinned, (growth[shown] + noise - self.mean[shown]) / GROWTH_NOISE * thinned
        weights = np.linalg.solve(seen @ seen.T + np.eye(len(seen)), seen @ offset)
        return np.asarray((self.mean + weights @ self.modes).clip(0, None), np.float32)


def with_hull(
    tracked: Tracked,
    hair: HairSource,
    style: Hair,
    prior: GrowthPrior,
    near: NDArray[np.bool_],  # [V] vertices on the outline
    rng: np.random.Generator,
) -> Tracked:
    """The tracker's head with the hair that the hull fit would find."""
    growth = prior.given(style.growth.astype(np.float64), near[hair.indices], rng)
    hidden = tuple(float(np.clip(h + rng.normal(0, 0.25), 0, 1)) for h in style.hidden)
    found = replace(style, growth=growth, hidden=hidden)
    return replace(tracked, start=hair.hull(tracked.bald, found))
