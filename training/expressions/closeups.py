"""Drawn people who put out their tongues, or do what is most easily taken for it, as close looks.

Every person does all of it, mostly over the photo that the person is made of, so that neither skin nor surroundings
tell a key. What a drawn tongue lacks is varied: how far it hangs down, its colour and light. A tongue counts as far as
it is seen in front of lips and skin.
Frames and units: frames.py. Dims: M pictures, V vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from meshlam_core.avatar.record import Avatar
from meshlam_core.files.images import load_photo
from meshlam_core.frames import Camera, rotation_from_axis_angle
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.tracker.close_look import KEY, close_region
from meshlam_core.tracker.landmarks import choose_face
from meshlam_core.tracker.sampling import Region, sample_region
from meshlam_core.viewing.viewer import AvatarRenderer, Pose
from training.expressions.people import random_expression
from training.expressions.sitter import FACE, NOSE, before_camera
from training.synthetic.spoil import spoiled

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

ROOM = 1.3  # of the region that the network looks at, so that training may shift and turn it
STORED = 112  # px
SIDE = 320  # px of drawn pictures, their longer side
AJAR = 0.15  # jawOpen
OVER_PHOTO = 0.7  # of the pictures
UNLIT = 0.35  # of the pictures: skin that bends keeps its light
OUT = 0.3  # of the lips and the skin that a tongue hides which is wholly out: from here on it is called out
INSIDE = 0.1  # of the same: a tongue that shows less in front of the lower teeth is called in
TURN = (0.14, 0.30, 0.08)  # rad, standard deviations of nodding, turning, tilting


KINDS: tuple[tuple[str, int], ...] = (  # and how many pictures of each a person gives
    ("tongue", 4),
    ("puff", 1),
    ("rest", 1),
    ("pucker", 2),
    ("funnel", 1),
    ("smile", 1),
    ("dark mouth", 1),
    ("teeth", 1),
    ("tongue inside", 1),
    ("pressed", 1),
    ("sideways", 1),
    ("anything", 1),
    ("photo", 2),
)
NAMES = [name for name, _ in KINDS]
_SET: dict[str, tuple[tuple[str, ...], ...]] = {  # one of these is set
    "pucker": (
        ("mouthPucker",),
        ("mouthPucker", "mouthPressLeft", "mouthPressRight"),
        ("mouthPucker", "mouthFunnel"),
        ("mouthPucker", "mouthShrugLower", "mouthShrugUpper"),
        ("mouthPucker", "mouthFrownLeft", "mouthFrownRight"),
    ),
    "funnel": (("mouthFunnel",), ("mouthFunnel", "jawOpen")),
    "smile": (
        ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
        ("mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft", "cheekSquintRight", "jawOpen"),
        ("mouthSmileLeft", "mouthSmileRight"),
    ),
    "dark mouth": (("jawOpen",), ("jawOpen", "mouthUpperUpLeft", "mouthUpperUpRight")),
    "teeth": (
        ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight"),
        ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
    ),
    "tongue inside": (("jawOpen",), ("jawOpen", "mouthFunnel")),
    "pressed": (
        ("mouthPressLeft", "mouthPressRight"),
        ("mouthRollLower", "mouthRollUpper"),
        ("mouthShrugLower", "mouthFrownLeft", "mouthFrownRight"),
        ("mouthShrugLower", "mouthShrugUpper"),
    ),
    "sideways": (("mouthLeft",), ("mouthRight",), ("jawLeft",), ("jawRight",), ("mouthDimpleLeft",)),
}


@dataclass(frozen=True)
class CloseUps:
    """Close looks with room around them, and what they show."""

    crops: U8  # [M, STORED, STORED, 3]
    truth: F32  # [M] how far the tongue is out; nan: neither seen nor unseen
    kind: U8  # [M] of NAMES


def stored_crop(
    picture: U8,  # [H, W, 3]
    landmarks: F32,  # [L, >=2] px
) -> U8:  # [STORED, STORED, 3]
    """A close look with room around it."""
    region = close_region(landmarks)
    return sample_region(picture, Region(region.centre, ROOM * region.side, region.roll), STORED)


def draw_closeups(path: Path, session: Session, seed: int) -> CloseUps:
    """A person out of a photo, and the photo itself."""
    rng = np.random.default_rng(seed)
    photo = load_photo(path).pixels
    options = ReconstructOptions(weights="none", texture="photo", texture_size=512)
    actor = Actor(reconstruct(path, options, session).avatar, photo)
    crops, truth, kinds = [], [], []
    for number, (kind, count) in enumerate(KINDS):
        for _ in range(count):
            clean, seen_truth = (actor.ground, 0.0) if kind == "photo" else actor.picture(kind, rng)
            picture = spoiled((clean / 255).astype(np.float32), rng)[0]
            found = session.detector.detect(picture, every=False)
            seen = session.detector.follow(picture, choose_face(found)) if found else None
            if seen is not None:
                crops.append(stored_crop(picture, seen.landmarks))
                truth.append(seen_truth)
                kinds.append(number)
    return CloseUps(
        np.array(crops, np.uint8).reshape(-1, STORED, STORED, 3),
        np.array(truth, np.float32),
        np.array(kinds, np.uint8),
    )


def mouth_expression(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """A face of a kind, whose brows and eyes do anything."""
    anything = random_expression(rng) | {KEY: 0.0}
    if kind == "anything":
        return anything
    little = float(rng.uniform(0, 0.3)) * (rng.random() < 0.7)
    values = {name: value if name.startswith(("brow", "eye")) else little * value for name, value in anything.items()}
    values["mouthClose"] = 0.0
    if kind == "tongue":
        # with a closed jaw the drawn tongue passes through the lips, which looks like one between them
        jaw = rng.uniform(0.0, AJAR) if rng.random() < 0.5 else rng.uniform(0.2, 0.55)
        return values | {"tongueOut": float(rng.uniform(0.6, 1.0)), "jawOpen": float(jaw)}
    if kind == "puff":
        values |= {"cheekPuff": float(rng.uniform(0.4, 1.0)), "jawOpen": 0.0}
        if rng.random() < 0.5:
            for name in ("mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRollLower", "mouthShrugLower"):
                values[name] = float(max(rng.normal(0.1, 0.25), 0.0))
        return values
    choices = _SET.get(kind, ((),))
    for name in choices[rng.integers(len(choices))]:
        values[name] = float(rng.uniform(0.3, 1.0))
    if kind == "tongue inside":
        values["tongueOut"] = float(rng.uniform(0.0, 0.4))
    return values


class Actor:
    """An avatar whose tongue and light vary."""

    def __init__(self, avatar: Avatar, photo: U8) -> None:
        self.names = list(avatar.blendshape_names)
        self._avatar = avatar
        self._renderer = AvatarRenderer(avatar)
        self._light = self._renderer.mesh.light.clone()  # [V + G, 1]
        self._tongue, self._inside, self._teeth, self._outer = (
            np.isin(avatar.part, [avatar.parts.index(name) for name in names if name in avatar.parts])
            for names in (
                ("tongue",),
                ("mouth_interior", "teeth_upper", "teeth_lower"),
                ("teeth_lower",),
                ("lips", "face"),
            )
        )
        z = avatar.vertices[self._tongue, 2]
        self._tip: F32 = ((z - z.min()) / max(float(np.ptp(z)), 1e-6)).astype(np.float32)
        self._faces = torch.from_numpy(avatar.faces.copy())
        self._rest = self._normals(torch.from_numpy(avatar.vertices.copy()))
        fit = avatar.photo
        camera = Camera(fit.focal, tuple(fit.centre.tolist()), tuple(fit.size.tolist()))
        self._camera = camera.scaled(SIDE / max(photo.shape[:2]))
        self._small = np.asarray(Image.fromarray(photo).resize(self._camera.size, Image.Resampling.BOX))
        self.ground = _squared(self._small)
        whole = np.array([float(name == "tongueOut") for name in self.names], np.float32)
        rest = np.zeros((len(avatar.joints), 3), np.float32)
        front = Camera(SIDE / FACE, (SIDE / 2, SIDE / 2), (SIDE, SIDE))
        posed = self._renderer.posed(Pose(whole, rest))
        self._most, _ = self._tongue_seen(posed, whole, rest, -NOSE - [0, 0, 1], front)

    def picture(self, kind: str, rng: np.random.Generator) -> tuple[U8, float]:  # [SIDE, SIDE, 3]
        """The person in any light, over the photo or before something else; and how far the tongue is out."""
        avatar, fit = self._avatar, self._avatar.photo
        settings = mouth_expression(kind, rng)
        expression = np.array([settings.get(name, 0.0) for name in self.names], np.float32)
        if rng.random() < OVER_PHOTO:  # on top of a part of the photo's own expression
            own = float(rng.uniform(0, 0.4)) * fit.expression
            own[self.names.index(KEY)] = 0.0
            expression = np.maximum(expression, own).clip(0, 1).astype(np.float32)
            camera, rotations, translation = self._camera, fit.rotations, fit.translation
            ground = self._small.astype(np.float32)
        else:
            turn, distance = rng.standard_normal(3) * TURN, float(np.exp(rng.normal(0.0, 0.3)))
            rotations, translation, camera = before_camera(len(avatar.joints), turn, distance, SIDE)
            ground = self._ground(rng)
        vertices = self._renderer.posed(Pose(expression, rotations))
        turned = rotation_from_axis_angle(rotations[0].astype(np.float64))
        vertices = self._hung(vertices, turned, settings, rng) if kind == "tongue" else vertices
        self._renderer.mesh.light = self._lit(vertices, turned, kind, rng)
        placed = vertices + torch.tensor(np.asarray(translation, np.float32))
        drawn = self._renderer.draw(placed, camera, folded=self._renderer.folded(expression))
        alpha = drawn[..., 3:].astype(np.float32) / 255
        picture = np.asarray(drawn[..., :3] * alpha + ground * (1 - alpha) + 0.5, np.uint8)
        tongue = 0.0
        if settings["tongueOut"] > 0:
            out, shown = np.divide(
                self._tongue_seen(vertices, expression, rotations, translation, camera), max(self._most, 1e-9)
            )
            tongue = float(min(out, 1.0)) if out > OUT else np.nan if shown > INSIDE else 0.0
        return _squared(picture), tongue

    def _tongue_seen(
        self,
        vertices: Tensor,  # [V + G, 3] m, avatar frame's axes
        expression: F32,  # [K]
        rotations: F32,  # [J, 3] rad
        translation: F32 | F64,  # [3] m
        camera: Camera,
    ) -> tuple[float, float]:  # m^2 across the view
        """How much of the lips and the skin a tongue hides; and how much of it is seen in front of the lower teeth."""
        without = expression.copy()
        without[self.names.index("tongueOut")] = 0.0
        moved = torch.tensor(np.asarray(translation, np.float32))
        seen, bare = (
            self._renderer.mesh.samples(one + moved, camera)
            for one in (vertices, self._renderer.posed(Pose(without, rotations)))
        )
        tongue, outer = torch.zeros_like(seen.mask), torch.zeros_like(bare.mask)
        for part, mask, sampled in ((self._tongue, tongue, seen), (self._outer, outer, bare)):
            whole = torch.zeros(len(self._renderer.mesh.faces), dtype=torch.bool)
            whole[: len(self._avatar.faces)] = torch.from_numpy(part[self._avatar.faces].all(axis=1))
            mask[sampled.mask] = whole[sampled.face]
        forward = torch.tensor(rotation_from_axis_angle(rotations[0].astype(np.float64))[:, 2], dtype=torch.float32)
        front = float((vertices[torch.from_numpy(np.flatnonzero(self._teeth))] @ forward).max())
        before = tongue[seen.mask] & ((seen.points - moved) @ forward > front)
        pixel = (float(-translation[2] - NOSE[2]) / camera.focal) ** 2
        return float((tongue & outer).sum()) * pixel, float(before.sum()) * pixel

    def _ground(self, rng: np.random.Generator) -> F32:  # [SIDE, SIDE, 3]
        if rng.random() < 0.4:
            return np.broadcast_to(rng.uniform(10, 245, 3), (SIDE, SIDE, 3)).astype(np.float32)
        height, width = self._small.shape[:2]
        x, y = rng.uniform(-0.3, 0.3, 2) * (width, height)
        cut = sample_region(self._small, Region((width / 2 + x, height / 2 + y), width * rng.uniform(0.5, 1.2)), SIDE)
        return (cut * rng.uniform(0.4, 1.2)).clip(0, 255).astype(np.float32)

    def _hung(self, vertices: Tensor, turned: F64, settings: dict[str, float], rng: np.random.Generator) -> Tensor:
        """No two tongues are as long and hang as far."""
        out = settings["tongueOut"]
        moved = np.zeros((len(self._tip), 3), np.float32)
        moved[:, 2] = out * rng.uniform(-0.010, 0.008) * self._tip
        moved[:, 1] = -out * rng.uniform(-0.008, 0.010) * self._tip ** rng.uniform(1.5, 3)
        moved[:, 0] = out * rng.normal(0, 0.004) * self._tip**2
        place = torch.from_numpy(np.flatnonzero(self._tongue))
        return vertices.index_add(0, place, torch.from_numpy((moved @ turned.T).astype(np.float32)))

    def _lit(self, vertices: Tensor, turned: F64, kind: str, rng: np.random.Generator) -> Tensor:  # [V + G, 3]
        """Skin that bends catches other light; what is in the mouth gets any light, and a tongue has any colour."""
        count = len(self._avatar.vertices)
        light = self._light.expand(-1, 3).clone()
        towards = torch.tensor(rng.normal((0, 0.5, 0.8), (0.7, 0.5, 0.2)), dtype=torch.float32)
        soft = 1.0 if rng.random() < UNLIT else float(rng.uniform(0.3, 1.0))  # 1: no shading at all
        unposed = vertices[:count] @ torch.tensor(turned, dtype=torch.float32)
        now, then = (
            soft + (1 - soft) * (normals @ functional.normalize(towards, dim=0)).clamp_min(0)
            for normals in (self._normals(unposed), self._rest)
        )
        light[:count] *= (now / then).clamp(0.5, 1.6)[:, None]
        inside = float(rng.uniform(0.1, 0.6) if kind == "dark mouth" else rng.uniform(0.5, 1.4))
        light[:count][torch.from_numpy(self._inside)] *= inside
        own = self._light[:count][torch.from_numpy(self._tongue)]
        bright = float(rng.uniform(0.4, 1.0) if kind == "tongue" else rng.uniform(0.0, 0.9))
        tint = np.exp(rng.normal((0.25, 0.3, 0.3), 0.12) + rng.normal(0, 0.3) + rng.normal(0, 0.15) * np.eye(3)[0])
        tint = tint * (inside if kind == "dark mouth" else 1.0)
        x = self._avatar.vertices[self._tongue, 0]
        groove = 1 - rng.uniform(-0.1, 0.3) * np.exp(-((x / 0.004) ** 2))
        spot = np.exp(-(((x - rng.normal(0, 0.008)) / 0.005) ** 2) - ((self._tip - rng.uniform(0.6, 1)) / 0.15) ** 2)
        shade = groove * (1 + rng.uniform(0, 0.8) * spot)
        mixed = ((1 - bright) * own + bright) * torch.tensor(shade[:, None] * tint, dtype=torch.float32)
        light[:count][torch.from_numpy(self._tongue)] = mixed.clamp(0.05, 2.2)
        return light

    def _normals(self, vertices: Tensor) -> Tensor:  # [V, 3]
        return vertex_normals(vertices[None], self._faces)[0]


def _squared(picture: U8) -> U8:  # [SIDE, SIDE, 3]
    return np.pad(picture, (*((0, SIDE - length) for length in picture.shape[:2]), (0, 0)), mode="edge")
