"""What is loaded once: the head, skins, irises, light, backgrounds, strands of hair, and where the head shades itself.

Frames and units: frames.py. Dims: V vertices, S texels along a side, P covered texels, R texels of both eyes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from meshlam_core.errors import UnreadableInput
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.model.state import Rig
from training.hairstyles.field import neck_border
from training.rigs import training_rig, without_lashes
from training.splits import held_out
from training.synthetic.hands import Hands
from training.synthetic.light import Light, Openness, load_light, measure_openness
from training.synthetic.skins import skins_on

LABELS = ("background", "skin", "hair", "ears", "neck", "clothes", "glasses", "other", "mask", "hand")
BACKGROUND, SKIN, HAIR, EARS, NECK, CLOTHES, GLASSES, OTHER, MASK, HAND = range(10)

U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

TEXTURE = 256  # texels
BALL = ((75.0, 180.0), 67.0)  # centre of an eye and its px per rad in an iris map of 256 px
STRANDS = (256, 1024)  # rows along the hair, columns across, of a strand picture
STRAND_PICTURES = 6


@dataclass(frozen=True)
class World:
    """Everything that people and photographs are drawn from."""

    head: HeadModel
    rig: Rig
    drawn_faces: Tensor  # [F', 3] without lashes
    drawn_uv_faces: Tensor  # [F', 3]
    face_part: NDArray[np.intp]  # [F'] index into the head's parts
    part_labels: U8  # [parts] index into LABELS
    hairy: F32  # [parts] 1 where hair may cover the part
    neck_border: NDArray[np.intp]  # the open lower end of the neck
    identity: F32  # [N, 3 V] m, the identity basis in rows
    skins: F32  # [N, S, S, 3] linear
    irises: F32  # [7, 256, 256, 3] linear
    eye_texel: NDArray[np.intp]  # [R] row * S + column
    eye_at: F32  # [R, 2] px of an iris map
    teeth: NDArray[np.intp]  # [T] row * S + column of their texels, which the skins do not know
    scalp: F32  # [S, S, 1] 0..1, where hair grows in the texture
    template_at: F32  # [S, S, 3] m, the template's places; the open head's own where the model is another
    places: F32  # [V, 3] m, the same at the vertices
    lights: tuple[Light, ...]
    panoramas: tuple[U8, ...]  # [512, 1024, 3] sRGB, of the same maps
    portraits: tuple[Path, ...]  # of which the surroundings are used
    openness: Openness
    strands: F32  # [n, *STRANDS] about 0..1, mean 0.5
    hands: Hands


def load_world(
    data: Path,
    cache: Path | None = None,
    portraits: tuple[Path, ...] | None = None,
    model: Path | None = None,  # the head model's file; None: the open head
) -> World:
    """Read the shared data. `portraits` may be trained on; where none are named, all that are not held out."""
    if not (data / "light").is_dir():
        raise UnreadableInput(f"The data folder {data}: expected light, skins and irises in it.", "See DATA in README.")
    source = load_head()
    head = source if model is None else load_head(model)
    place = head.correspondence
    rig = training_rig(head)
    drawn = without_lashes(rig, head)
    names = sorted((data / "light").glob("*.npy"))
    places = head.template if place is None else place.to_model(source.template)
    template_at = rig.uv_map(TEXTURE).spread(torch.from_numpy(places.copy())[None], rig.faces)[0].numpy()
    eye_texel, eye_at = _eyes(head, rig)
    return World(
        head=head,
        rig=rig,
        drawn_faces=drawn.faces,
        drawn_uv_faces=drawn.uv_faces,
        face_part=rig.part[drawn.faces[:, 0]].numpy(),
        part_labels=np.array([{"ears": EARS, "neck": NECK}.get(name, SKIN) for name in head.parts], np.uint8),
        hairy=np.array([name in ("face", "scalp", "neck", "ears") for name in head.parts], np.float32),
        neck_border=np.flatnonzero(neck_border(head)),
        identity=head.identity_basis.reshape(len(head.identity_basis), -1),
        skins=to_linear(skins_on(data, head, source, TEXTURE, cache)),
        irises=to_linear(np.stack([_read(path, (256, 256)) for path in sorted((data / "irises").glob("*.jpg"))])),
        eye_texel=eye_texel,
        eye_at=eye_at,
        teeth=_texels(rig, [i for i, name in enumerate(head.parts) if name.startswith("teeth")]),
        scalp=_scalp(head, rig),
        template_at=template_at,
        places=places,
        lights=tuple(load_light(path) for path in names),
        panoramas=tuple(_read(path.with_suffix(".jpg"), (1024, 512)) for path in names),
        portraits=tuple(path for path in sorted((data / "portraits").glob("*.jpg")) if not held_out(path.name))
        if portraits is None
        else portraits,
        openness=_with_lit_teeth(measure_openness(head), head),
        strands=_strands(data),
        hands=Hands(data),
    )


def looked_up(
    picture: F32,  # [H, W] or [H, W, C]
    x: NDArray[np.floating],  # [P] px, 0 at the first pixel's centre
    y: NDArray[np.floating],  # [P]
) -> F32:  # [P] or [P, C]
    """Bilinear, beyond the border as at it."""
    count, width = len(x), 1024  # OpenCV's pictures have less than 32 768 pixels a side
    rows = -(-count // width)
    at = np.zeros((2, rows * width), np.float32)
    at[0, :count], at[1, :count] = x, y
    grid = at.reshape(2, rows, width)
    found = cv2.remap(picture, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(rows * width, *picture.shape[2:])[:count])


def to_linear(srgb: U8) -> F32:
    """sRGB bytes to linear light."""
    table = np.arange(256) / 255
    table = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    return np.asarray(table.astype(np.float32)[srgb])


def to_srgb(linear: F32) -> F32:
    """Linear light to sRGB 0..1; what is brighter than white fades into it."""
    soft = np.where(linear > 0.8, 0.8 + 0.2 * np.tanh((linear - 0.8) / 0.2 * 0.7), linear).clip(0, 1)
    return np.asarray(np.where(soft <= 0.0031308, 12.92 * soft, 1.055 * soft ** (1 / 2.4) - 0.055), np.float32)


def _read(path: Path, size: tuple[int, int]) -> U8:
    return np.asarray(Image.open(path).convert("RGB").resize(size, Image.Resampling.BOX))


def _with_lit_teeth(openness: Openness, head: HeadModel) -> Openness:
    """Teeth are only seen when the mouth is open, and get about the light of the lips then; the template's is shut."""
    lips = head.part == head.parts.index("lips")
    teeth = np.isin(head.part, [i for i, name in enumerate(head.parts) if name.startswith("teeth")])
    free, ambient = openness.free.astype(np.float32), openness.ambient.copy()
    free[teeth], ambient[teeth] = free[lips].mean(axis=0), ambient[lips].mean()
    return replace(openness, free=free, ambient=ambient)


def _texels(rig: Rig, parts: list[int]) -> NDArray[np.intp]:  # row * S + column
    layout = rig.uv_map(TEXTURE)
    found = layout.texel[torch.isin(rig.part[rig.faces[layout.face, 0]], torch.tensor(parts))]
    return np.asarray(found.numpy(), np.intp)


def _eyes(head: HeadModel, rig: Rig) -> tuple[NDArray[np.intp], F32]:
    layout = rig.uv_map(TEXTURE)
    part = rig.part[rig.faces[layout.face, 0]].numpy()
    rows, places = [], []
    for name in ("eyeball_left", "eyeball_right"):
        index = head.parts.index(name)
        centre = head.template[head.part == index].mean(axis=0)
        arms = torch.from_numpy(head.template - centre)[None]
        own = np.flatnonzero(part == index)
        direction = layout.attribute(arms, rig.faces)[0].numpy()[own]
        direction /= np.linalg.norm(direction, axis=1, keepdims=True).clip(1e-9)
        theta = np.arccos(direction[:, 2].clip(-1, 1)).clip(0, 1.0)
        phi = np.arctan2(direction[:, 1], direction[:, 0])
        (x, y), scale = BALL
        places.append(np.stack([x + scale * theta * np.cos(phi), y - scale * theta * np.sin(phi)], axis=1))
        rows.append(layout.texel.numpy()[own])
    return np.concatenate(rows).astype(np.intp), np.concatenate(places).astype(np.float32)


def _scalp(head: HeadModel, rig: Rig) -> F32:
    own = torch.from_numpy((head.part == head.parts.index("scalp")).astype(np.float32))[None, :, None]
    mask = rig.uv_map(TEXTURE).spread(own, rig.faces)[0].numpy()
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 3)[..., None], np.float32)


def _strands(data: Path) -> F32:
    """Noise that hangs together along the hair, and pieces of painted hair."""
    rng = np.random.default_rng(11)
    height, width = STRANDS
    pictures = []
    for _ in range(STRAND_PICTURES):
        total = np.zeros(STRANDS, np.float32)
        for across, along, strength in ((0.7, 40, 1.0), (2.0, 50, 1.0), (6.0, 60, 1.2), (20.0, 60, 1.0)):
            noise = rng.standard_normal((height, 3 * width)).astype(np.float32)
            noise = cv2.GaussianBlur(np.concatenate([noise] * 3, 0), (0, 0), across, sigmaY=along)
            middle = noise[height : 2 * height, width : 2 * width]
            total += strength * middle / middle.std()
        pictures.append(total)
    for path in sorted((data / "hair_cards").glob("*.png")):
        card = np.asarray(Image.open(path).convert("RGBA").resize((1024, 1024), Image.Resampling.BOX)).astype(
            np.float32
        )
        solid = cv2.boxFilter(card[..., 3], -1, (160, 160))
        y, x = np.unravel_index(int(solid[80:-80, 80:-80].argmax()), (864, 864))
        patch = card[y : y + 160, x : x + 160, :3].mean(axis=2)
        patch = patch - cv2.GaussianBlur(patch, (0, 0), 40)
        tile = cv2.resize(np.concatenate([patch, patch[:, ::-1]], 1), (width, height))
        pictures.append(3 * tile / max(float(tile.std()), 1e-6))
    stacked = np.stack(pictures)
    return np.asarray((0.5 + 0.16 * stacked / stacked.std(axis=(1, 2), keepdims=True)).clip(0, 1), np.float32)
