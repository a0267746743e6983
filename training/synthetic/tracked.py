"""What the tracker and the hull fit would deliver for a drawn photograph, with their measured errors.

The tracker's errors are one Gaussian over focal length, expression and identity together, fitted to what the real
tracker made of drawn heads (tracker_errors.py); how it turns and places the head then follows from the landmarks, as in
the real fit. The hull fit is the real one, on masks that are wrong as real ones are.

Frames and units: frames.py. Dims: V vertices, L landmarks, N identity modes, K blendshapes, R, H sides of masks,
canvas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera, axis_angle_from_rotation, project, rotation_from_axis_angle, yaw_of
from meshlam_core.head.hair import HairModel
from meshlam_core.head.io import load_head
from meshlam_core.head.lay_over import similarity
from meshlam_core.head.model import HeadModel
from meshlam_core.tracker.hair import fit_hair
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import HairHull
from training.synthetic.camera import Shot
from training.synthetic.world import EARS, NECK, SKIN, World

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STORED = Path(__file__).with_name("tracker_errors.npz")
BARE = (SKIN, EARS, NECK)
LANDMARK_NOISE = 0.004  # of the face height
ROUNDS = 4
RESOLVED = 0.0007  # m, what an identity basis need not explain
OUTER = ("face", "ears", "neck", "scalp", "eyelids", "lips")  # parts by which identities are compared


@dataclass(frozen=True)
class TrackerErrors:
    """error = mean + components' x normal + spread x normal, over [log focal, expression, identity].

    Without EXIF the fit hardly learns the focal length from a face and keeps near to the usual one: its logarithm is
    `focal_line` applied to the true one's, and the error is what is left.
    """

    mean: F32  # [E]
    components: F32  # [C, E]
    spread: F32  # [E]
    sideways: float  # how much stronger errors are at a yaw of 60 degrees
    focal_line: tuple[float, float]  # offset and slope, of log focal lengths in long sides of the photo

    def draw(self, yaw: float, rng: np.random.Generator) -> F64:  # [E]
        """The errors of one photograph; `yaw` in rad."""
        strength = 1 + self.sideways * min(abs(yaw) / np.radians(60), 1.2) ** 2
        noise = rng.standard_normal(len(self.components)) @ self.components
        return np.asarray(self.mean + strength * (noise + self.spread * rng.standard_normal(len(self.spread))))


def load_errors(head: HeadModel, path: Path = STORED) -> TrackerErrors:
    """The errors measured on the open head; those of identity become other models' coefficients by correspondence."""
    with np.load(path, allow_pickle=False) as stored:
        mean, components, spread = (stored[name].astype(np.float32) for name in ("mean", "components", "spread"))
        found = TrackerErrors(mean, components, spread, float(stored["sideways"]), tuple(stored["focal_line"].tolist()))
    return found if head.correspondence is None else on_other_head(found, load_head(), head)


def on_other_head(errors: TrackerErrors, source: HeadModel, head: HeadModel) -> TrackerErrors:
    """The same wrong faces in another model's coefficients, and the keys that it has.

    What a mode of the open head does to a face is said by the model's modes as well as they can; errors of single
    modes, no longer of one coefficient each, become components.
    """
    assert head.correspondence is not None
    size = float(np.ptp(head.correspondence.laid[:, 1]) / np.ptp(source.template[:, 1]))
    skin = np.isin(np.array(head.parts)[head.part], OUTER)
    theirs = size * head.correspondence.to_model(source.identity_basis)[:, skin]
    theirs, ours = (  # the roots may lie elsewhere: a shift is no other face
        (shapes - shapes.mean(axis=1, keepdims=True)).reshape(len(shapes), -1).astype(np.float64) / RESOLVED
        for shapes in (theirs, head.identity_basis[:, skin])
    )
    modes = np.linalg.solve(ours @ ours.T + np.eye(len(ours)), ours @ theirs.T)  # [N', N]
    names = source.blendshape_names
    keys = [1 + names.index(name) for name in head.blendshape_names]
    first = 1 + len(names)

    def carry(rows: F32) -> F32:  # [..., E] -> [..., E']
        return np.concatenate([rows[..., :1], rows[..., keys], rows[..., first:] @ modes.T], axis=-1).astype(np.float32)

    alone = np.diag(errors.spread)
    spread = carry(errors.spread)
    spread[1 + len(keys) :] = 0
    components = np.concatenate([errors.components, alone[first:]])
    return replace(errors, mean=carry(errors.mean), components=carry(components), spread=spread)


@dataclass(frozen=True)
class Tracked:
    """What the network gets to know of a head, beside the picture."""

    camera: Camera  # of the canvas
    rotation: F32  # [3]
    translation: F32  # [3] m
    expression: F32  # [K]
    bald: F32  # [V, 3] the tracker's neutral head
    start: F32  # [V, 3] with the hull fit's hair: V_0
    landmarks: F32  # [L, 2] px of the canvas, as detected
    regions: Regions | None = None  # of what the photo fills of the canvas, once the hull fit has looked
    hair: HairHull | None = None


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
    yaw = yaw_of(turn)
    error = errors.draw(yaw, rng)
    count = len(shot.expression)
    expression = np.clip(shot.expression + error[1 : 1 + count], 0, 1).astype(np.float32)
    other = (identity + error[1 + count :]).astype(np.float32)
    bald = (head.template + (other @ world.identity).reshape(-1, 3)).astype(np.float32)
    offset, slope = errors.focal_line
    longer = offset + slope * np.log(shot.lens) + error[0] - np.log(shot.lens)
    camera = replace(shot.camera, focal=shot.camera.focal * float(np.exp(longer)))
    shaped = bald + (expression @ head.blendshapes.reshape(count, -1)).reshape(-1, 3)
    seen = project(head.landmarks(posed).astype(np.float64), shot.camera)[:, :2]
    seen = seen + LANDMARK_NOISE * shot.face * rng.standard_normal(seen.shape)
    turn, translation = placed(head.landmarks(shaped).astype(np.float64), seen, turn, camera, head.landmark_weight)
    rotation = axis_angle_from_rotation(turn).astype(np.float32)
    pose = (rotation, translation.astype(np.float32), expression)
    return Tracked(camera, *pose, bald, bald, seen.astype(np.float32))


def placed(
    points: F64,  # [L, 3] m, of the neutral pose
    pixels: F64,  # [L, 2]
    turn: F64,  # [3, 3] where to begin
    camera: Camera,
    weight: F32,  # [L]
) -> tuple[F64, F64]:  # [3, 3], [3] m
    """The pose that lays points onto pixels best (Gauss-Newton; the translation by linear least squares first)."""
    u, v = (pixels - camera.centre).T
    f, zero = np.full(len(u), camera.focal), np.zeros(len(u))
    twice = np.concatenate([weight, weight]).astype(np.float64)
    turned = points @ turn.T
    system = np.concatenate([np.stack([f, zero, u], 1), np.stack([zero, f, -v], 1)])
    wanted = np.concatenate([-u * turned[:, 2] - f * turned[:, 0], v * turned[:, 2] - f * turned[:, 1]])
    translation = np.linalg.lstsq(system * twice[:, None], wanted * twice, rcond=None)[0]
    for _ in range(ROUNDS):
        turned = points @ turn.T
        x, y, z = (turned + translation).T
        depth = (-z).clip(1e-3)
        across, up = f * x / depth, f * y / depth
        dx = np.stack([f / depth, zero, across / depth], 1)
        dy = np.stack([zero, -f / depth, -up / depth], 1)
        jacobian = np.concatenate(
            [np.concatenate([np.cross(turned, d), d], axis=1) for d in (dx, dy)]
        )  # a turn w moves a point p by w x p, and d . (w x p) = w . (p x d)
        residual = np.concatenate([u - across, v + up])
        step = np.linalg.lstsq(jacobian * twice[:, None], residual * twice, rcond=None)[0]
        turn, translation = rotation_from_axis_angle(step[:3]) @ turn, translation + step[3:]
    return turn, np.asarray(translation)


def laid_on_face(
    vertices: F32,  # [V, 3] neutral, true
    bald: F32,  # [V, 3] neutral, true, without hair
    tracked: Tracked,
    head: HeadModel,
) -> F32:  # [V, 3]
    """The true head where the tracker has it: scaled, turned and shifted so that the faces lie on each other.

    Distance and focal length, and with them scale and part of the pose, are not to be had from one photo; asking for
    them would drown the hair's shape in an error that nobody can mend.
    """
    own, other = (head.landmarks(face).astype(np.float64) for face in (bald, tracked.bald))
    scale, rotation, shift = similarity(own, other)
    return np.asarray(scale * vertices @ rotation.T + shift, np.float32)


def with_hull(
    tracked: Tracked,
    head: HeadModel,
    model: HairModel,
    hair: F32,  # [R, R] 0..1, masks over the square canvas, as wrong as they come
    person: F32,  # [R, R]
    picture: NDArray[np.uint8],  # [H, H, 3] sRGB
    label: NDArray[np.uint8],  # [H, H]
    filled: tuple[int, int],  # px of H
) -> Tracked:
    """The tracker's head with the hair that the real hull fit finds in the masks."""
    size = len(label)
    width, height = filled
    masks = cv2.resize(np.stack([hair, person], axis=-1), (size, size), interpolation=cv2.INTER_LINEAR)
    hair_mask, person_mask = np.ascontiguousarray(np.moveaxis(masks, -1, 0)[:, :height, :width])
    shown = picture[:height, :width]
    skin = np.isin(label[:height, :width], BARE).astype(np.float32) * (1 - hair_mask) * person_mask
    regions = Regions(
        person=person_mask,
        hair=hair_mask,
        skin=skin,
        other=(person_mask - hair_mask - skin).clip(0, 1),
        skin_colour=_median(shown, skin, 127.0),
        hair_colour=_median(shown, hair_mask, _median(shown, skin, 127.0) * 255),
        hair_share=float(hair_mask.sum() / max(float(skin.sum()), 1.0)),
    )
    turn = rotation_from_axis_angle(tracked.rotation)
    count = len(tracked.expression)
    shaped = tracked.bald + (tracked.expression @ head.blendshapes.reshape(count, -1)).reshape(-1, 3)
    posed = (shaped @ turn.T + tracked.translation).astype(np.float32)
    found = fit_hair(regions, tracked.bald, posed, turn, tracked.camera, tracked.landmarks, head, model)
    return replace(tracked, start=tracked.bald + found.displacement, regions=regions, hair=found)


def _median(picture: NDArray[np.uint8], mask: F32, otherwise: float | F32) -> F32:  # [3] 0..1
    """The colour where a mask is sure."""
    where = mask > 0.5
    found = np.median(picture[where], axis=0) if where.any() else np.full(3, otherwise)
    return np.asarray(found / 255, np.float32)
