"""The folds of an expression, taken out of the texture and kept so that they come back with its keys.

A smile paints lines beside the mouth, a squint those beside the eyes. Of the contrast that a texture shows between a
texel and the skin around it, part is the person's and part the expression's. How much either varies is known of every
texel from portraits (training/skin/folds.py), so that the expression's part is what a Wiener filter expects:

    fold = e mean + e spread / (rest_spread + e spread) (contrast - rest - e mean)

with e the coefficient in the photo. Where the expression changes nothing on people, nothing is taken out.

The lids of an open eye are another kind: what little of them shows would be drawn out by a blink, so that its fold is
all that the texture differs by from a bare lid.

Colours are sRGB; contrasts and folds are natural logarithms of linear colours. Textures have any size; the folds' maps
have the same layout with SIDE x SIDE texels, those of the lids as many as the texture. Dims: G groups of keys, P texels
of the face.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.avatar.record import FOLD_STEP, Fold
from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_rows, checked_array, read_npz, readable, write_npz
from meshlam_core.head.lids import BLINKS
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.opencv import cv2
from meshlam_core.skin.model import DARK, GAMMA, SIDE, texels_of
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.mathematics import luminance, smooth_step

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

FOLD_MODEL = Path(__file__).resolve().parent.parent / "data" / "folds.npz"
FORMAT, VERSION = "meshlam-folds", 1
GROUPS = {"smile": ("mouthSmileLeft", "mouthSmileRight"), "squint": ("eyeSquintLeft", "eyeSquintRight")}
AROUND = 10.0  # texels, standard deviation of the mean that a contrast is measured against
COARSE = 4  # texels in one, for that mean
ACTIVE = 0.05  # coefficient from which an expression is taken for one
DEEPER = 8.0  # times the variance that an expression usually adds, at most
FINEST = 1024  # texels of a side, at which its lines are looked for
LINE = 1.5  # of SIDE's texels: standard deviation of what lies beside a line
PORES = 0.04  # how much darker a texel is than that in skin without lines
OPENING = (0.5, 0.9)  # and of nostrils and corners of the mouth, which are no line
CREASE = (0.04, 0.15)  # how dark a fold is from which a line beside it is its own
STEP = 1 / 127  # of the stored maps, in units of their scales
_MAPS = {"rest": "P", "rest_spread": "P", "left": "P", "mean": "G P", "spread": "G P"}
_VARIANCES = ("rest_spread", "spread")  # their roots are stored
_REBUILD = "Rebuild it with `python -m training.skin.folds`."


@dataclass(frozen=True)
class FoldModel:
    """Contrasts of the skin, and what expressions do to them."""

    texel: NDArray[np.int32]  # [P] row * SIDE + column
    rest: F32  # [P] mean contrast of faces at rest
    rest_spread: F32  # [P] variance of it among people
    left: F32  # [P] 1 on the subject's left, 0 on the right, soft in the middle
    mean: F32  # [G, P] what coefficient 1 of both sides adds
    spread: F32  # [G, P] and the variance that it adds


def find_folds(
    texture: U8,  # [S, S, 3]
    expression: F32,  # [K] in the photo
    model: HeadModel,
) -> tuple[Fold, ...]:
    """What the photo's expression has painted; nothing for a face at rest, or where no folds are known."""
    known, names = fold_model(model), model.blendshape_names
    if known is None:
        return ()
    sides = [[max(0.0, float(expression[names.index(key)])) for key in keys] for keys in GROUPS.values()]
    if np.max(sides) < ACTIVE:
        return ()
    valid = np.zeros(SIDE * SIDE, np.float32)
    valid[known.texel] = 1
    shown = contrast(_logarithm(texture), torch.from_numpy(valid.reshape(SIDE, SIDE)))
    off = shown.reshape(3, -1).numpy()[:, known.texel] - known.rest
    active = np.stack([right + known.left * (left - right) for left, right in sides])  # [G, P]
    mean, spread = active * known.mean, active * known.spread
    # a fold deeper than people's mean: what is more than a face at rest varies by is the expression's
    excess = ((off.mean(axis=0) - mean.sum(axis=0)) ** 2 - known.rest_spread) / np.maximum(spread.sum(axis=0), 1e-9)
    spread = spread * excess.clip(1, DEEPER)
    gain = spread / np.maximum(known.rest_spread + spread.sum(axis=0), 1e-9)
    shown_groups = [group for group, side in enumerate(sides) if max(side) >= ACTIVE]
    coarse = np.zeros((len(shown_groups), SIDE * SIDE, 3), np.float32)
    values = mean[:, None] + gain[:, None] * (off - mean.sum(axis=0))
    coarse[:, known.texel] = values[shown_groups].transpose(0, 2, 1)
    pictures = _with_lines(texture, torch.from_numpy(coarse.reshape(-1, SIDE, SIDE, 3)).permute(0, 3, 1, 2))
    described = list(GROUPS.items())
    return tuple(
        Fold(*described[group], float(np.mean(sides[group])), picture)
        for group, picture in zip(shown_groups, pictures, strict=True)
    )


def _with_lines(
    texture: U8,  # [S, S, 3]
    coarse: Tensor,  # [G, 3, SIDE, SIDE]
) -> list[U8]:  # G of [h, w, 3] coded, as fine as the texture, up to FINEST
    """The folds with the thin dark lines at their bottoms, which are finer than what is known of people."""
    side = min(FINEST, texture.shape[0])
    if side <= SIDE:
        return [_coded(fold) for fold in coarse]
    image = np.asarray(cv2.resize(texture, (side, side), interpolation=cv2.INTER_AREA))
    light = GAMMA * luminance(torch.from_numpy(image).float() / 255).clamp_min(DARK).log()
    depth = _enlarged(-coarse.mean(1), side)  # [G, h, w] how dark each fold is
    total = depth.sum(0)
    light += total
    sigma = LINE * side / SIDE
    fine = light - torch.from_numpy(cv2.GaussianBlur(light.numpy(), (0, 0), sigma))
    near = torch.from_numpy(cv2.dilate(total.numpy(), np.ones((2 * round(sigma) + 1,) * 2, np.uint8)))
    line = (fine + PORES).clamp_max(0) * smooth_step(near, *CREASE) * (1 - smooth_step(-fine, *OPENING))
    share = depth.clamp_min(0) + 1e-6
    line = line / share.sum(0)
    return [_coded(_enlarged(fold, side) + own * line) for fold, own in zip(coarse, share, strict=True)]


def _enlarged(maps: Tensor, side: int) -> Tensor:  # [C, SIDE, SIDE] -> [C, side, side]
    return functional.interpolate(maps[None], (side, side), mode="bilinear")[0]


def _coded(logarithm: Tensor) -> U8:  # [3, h, w] -> [h, w, 3]
    return (logarithm / FOLD_STEP + 128).round_().clamp_(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def lid_folds(
    texture: U8,  # [S, S, 3]
    tones: Tensor,  # [V, 3] of bare lids
    spread: Tensor,  # [V] how far a blink would stretch what shows, 0 off the lids
    model: HeadModel,
    atlas: Atlas,
) -> tuple[Fold, ...]:
    """What a blink makes of each eye's lids."""
    rows = atlas.skin & (atlas.lids > 0)
    rows &= atlas.at_texels(spread[:, None])[:, 0] > 0
    some = rows.nonzero()[:, 0]
    places = atlas.places[some].long()
    shown = torch.from_numpy(texture.reshape(-1, 3))[places].float() / 255
    change = GAMMA * (_log(atlas.at_texels(tones, some)) - _log(shown)) * (1 - atlas.lash_line[some, None])
    folds = []
    for key in BLINKS:
        if key not in model.blendshape_names or not len(some):
            continue
        moved = np.abs(model.blendshapes[model.blendshape_names.index(key)]).max(axis=1) > 0
        share = atlas.at_texels((spread * torch.from_numpy(moved))[:, None], some)
        picture = torch.full((texture.size // 3, 3), 128, dtype=torch.uint8)
        picture[places] = (share * change / FOLD_STEP + 128).round().clamp(0, 255).byte()
        folds.append(Fold(key.replace("eyeBlink", "blink_").lower(), (key,), 1.0, picture.view(*texture.shape).numpy()))
    return tuple(folds)


def _log(colour: Tensor) -> Tensor:
    return colour.clamp_min(DARK).log()


def without_folds(
    texture: U8,  # [S, S, 3]
    folds: tuple[Fold, ...],
) -> U8:  # [S, S, 3]
    """The texture of the face at rest."""
    if not folds:
        return texture
    total = torch.from_numpy(np.sum([fold.logarithm for fold in folds], axis=0, dtype=np.float32))
    size = (texture.shape[0], texture.shape[1])
    whole = functional.interpolate((-total / GAMMA).permute(2, 0, 1)[None], size, mode="bilinear")[0]
    rested = torch.from_numpy(texture).float() * whole.exp().permute(1, 2, 0)
    return np.asarray((rested + 0.5).clamp(0, 255).to(torch.uint8).numpy())


def _logarithm(texture: U8) -> Tensor:  # [3, SIDE, SIDE]
    image = torch.from_numpy(texture).permute(2, 0, 1)[None].float() / 255
    small = functional.interpolate(image, (SIDE, SIDE), mode="area")[0]
    return GAMMA * small.clamp_min(DARK).log()


def contrast(
    values: Tensor,  # [C, SIDE, SIDE] logarithm
    weight: Tensor,  # [SIDE, SIDE] 0..1 how far a texel counts
) -> Tensor:  # [C, SIDE, SIDE] 0 where nothing counts
    """Each texel beside the mean of the skin around it."""
    stacked = torch.cat([values * weight, weight[None]])[None]
    small = functional.avg_pool2d(stacked, COARSE)
    reach = round(3 * AROUND / COARSE)
    line = torch.arange(-reach, reach + 1).float()
    bell = (-0.5 * (line * COARSE / AROUND) ** 2).exp()
    bell = bell / bell.sum()
    channels = small.shape[1]
    for shape in ((1, -1), (-1, 1)):
        kernel = bell.view(1, 1, *shape).expand(channels, -1, -1, -1)
        small = functional.conv2d(small, kernel, padding=(0, reach) if shape[1] == -1 else (reach, 0), groups=channels)
    around = functional.interpolate(small, values.shape[1:], mode="bilinear")[0]
    return (values - around[:-1] / around[-1:].clamp_min(1e-3)) * (weight > 0)


def fold_model(model: HeadModel) -> FoldModel | None:
    """What is known of a head model's folds, the open head's where it has that one's texels; read once."""
    if not all(key in model.blendshape_names for keys in GROUPS.values() for key in keys):
        return None
    return _folds_of(ById(model))


@lru_cache(maxsize=4)
def _folds_of(key: ById) -> FoldModel | None:
    layout = texels_of(key.model)
    return None if layout is None else load_fold_model(layout, FOLD_MODEL)


@cache
def load_fold_model(layout: str, path: Path) -> FoldModel | None:
    """None for another layout than it was learnt on; AssetError for a damaged file."""
    if not path.is_file():
        return None
    with readable(f"The model of folds {path}", _REBUILD):
        header, arrays = read_npz(path)
        made_for = (header["format"], header["version"], header["layout"], header["groups"])
        scale = {name: float(header["scale"][name]) for name in _MAPS}
    if (*made_for[:2], made_for[3]) != (FORMAT, VERSION, list(GROUPS)):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.", _REBUILD)
    if made_for[2] != layout:
        return None
    label, sizes = f"The model of folds {path}", {"G": len(GROUPS)}
    texel = checked_array(arrays, "texel", "P", np.int32, sizes, label)
    check_rows({"texel": texel}, {"texel": SIDE * SIDE}, label)
    maps = {
        name: checked_array(arrays, name, shape, np.int8, sizes, label).astype(np.float32) * np.float32(scale[name])
        for name, shape in _MAPS.items()
    }
    return FoldModel(texel, **(maps | {name: maps[name] ** 2 for name in _VARIANCES}))


def save_fold_model(known: FoldModel, layout: str, path: Path, notes: dict[str, object]) -> None:
    """Write the file; equal models give equal bytes."""
    maps = {name: np.sqrt(value) if name in _VARIANCES else value for name in _MAPS for value in [getattr(known, name)]}
    scale = {name: max(float(np.abs(value).max()), 1e-9) * STEP for name, value in maps.items()}
    header = {
        "format": FORMAT,
        "version": VERSION,
        "layout": layout,
        "groups": list(GROUPS),
        "scale": scale,
        "licence": "CC0-1.0",
        "notes": notes,
    }
    arrays: dict[str, NDArray[Any]] = {
        "json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8),
        "texel": known.texel,
    }
    arrays |= {name: np.round(value / scale[name]).astype(np.int8) for name, value in maps.items()}
    write_npz(path, arrays)
