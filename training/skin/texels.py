"""The basis of skin on texels, and the fine detail of complete skins.

What people's coefficients say at the vertices is known; each texel then asks what it adds to that: one ridge regression
a texel on the same coefficients, both sides of every face together. Where no portrait shows a texel, the vertices stand
and the complete skins give the mean's detail.

Colours are linear, their logarithms natural. Dims: I people, V vertices, P covered texels, R texels of skin, K modes.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.model import HeadModel
from meshlam_core.skin.fit import LightFit, shading
from meshlam_core.skin.model import DARK, DETAIL_SIDE, DETAIL_STEP, GAMMA
from meshlam_core.texture.atlas import Atlas, build_atlas
from training.skin.delight import Ground, Model, People
from training.synthetic.skins import load_skins

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

MEAN_RIDGE, RIDGE = 3.0, 12.0  # how many people's word no deviation is worth
ONLY = (1, 3, 7, 10)  # skins, by the order of their names, whose detail is sharp and no hair
FINE = 12.0  # texels of DETAIL_SIDE, scale above which a difference is no detail
DOUBTED = 0.35  # of the logarithm, beside the vertices' word, from which a texel counts half
BLOCK = 2000  # texels solved together


def linear(coded: NDArray[np.floating]) -> F32:
    """Logarithm of the linear colour."""
    return np.asarray(GAMMA * np.log(np.maximum(coded, DARK)), np.float32)


def texel_basis(
    paths: list[Path],  # of the unwrapped portraits, in the order of `people`
    people: People,
    fits: list[LightFit],
    model: Model,
    ground: Ground,
    skins: F32,  # [N, P, 3] coded, complete
    atlas: Atlas,
) -> tuple[NDArray[np.int32], F32, F32]:  # [R], [R, 3], [K, R, 3]
    """Mean and basis at the texels of the skin."""
    own = atlas.skin.numpy()
    rows = np.flatnonzero(own)
    twin = atlas.mirror_texel.numpy()[rows]
    coefficients = np.stack([fit.coefficients for fit in fits])  # [I, K]
    design = np.concatenate([np.ones((len(fits), 1)), coefficients], axis=1)
    off, weight = _residuals(paths, people, fits, model, ground, atlas)
    smooth = _at(model.mean, atlas)
    start = np.stack([linear(skin) - smooth for skin in skins]) - _at(ground.complete.mean(axis=0) - model.mean, atlas)
    start = start.mean(axis=0)
    start = (start[rows] + start[twin]) / 2
    mean = smooth[rows].copy()
    basis = np.stack([_at(mode, atlas)[rows] for mode in model.basis])
    ridge = np.diag(np.concatenate([[MEAN_RIDGE], np.full(coefficients.shape[1], RIDGE)]))
    for first in range(0, len(rows), BLOCK):
        block = slice(first, first + BLOCK)
        here, there = rows[block], twin[block]
        total = weight[:, here] + weight[:, there]  # [I, B]
        both = (off[:, here] * weight[:, here, None] + off[:, there] * weight[:, there, None]).astype(np.float64)
        left = np.einsum("ib,ij,ik->bjk", total, design, design, optimize=True) + ridge
        right = np.einsum("ibc,ij->bjc", both, design, optimize=True)
        right[:, 0] += MEAN_RIDGE * start[block]
        solved = np.linalg.solve(left, right)  # [B, K + 1, 3]
        mean[block] += solved[:, 0]
        basis[:, block] += np.moveaxis(solved[:, 1:], 1, 0)
    return atlas.places.numpy()[rows], mean, basis.astype(np.float32)


def _residuals(
    paths: list[Path], people: People, fits: list[LightFit], model: Model, ground: Ground, atlas: Atlas
) -> tuple[NDArray[np.float16], F32]:  # [I, P, 3], [I, P]
    """What each portrait shows beside its light and its coefficients, and how far it is believed."""
    count = len(atlas.corners)
    face = (1 - (atlas.neck + atlas.scalp).numpy()).clip(0)
    off, weight = np.zeros((len(paths), count, 3), np.float16), np.zeros((len(paths), count), np.float32)
    for index, (path, fit) in enumerate(zip(paths, fits, strict=True)):
        with np.load(path, allow_pickle=False) as stored:
            skin, cover = stored["skin"].astype(np.float32) / 255, stored["cover"].astype(np.float32)
        person = model.mean + np.tensordot(fit.coefficients, model.basis, 1)
        lit = np.log(shading(ground.transfer_of(people.normals[index]), fit.light))
        error = linear(skin[:, :3]) - _at(person + lit, atlas)
        bare = (1 - _at(cover[:, None], atlas)[:, 0]) * (1 - 2 * skin[:, 3]).clip(0) * face
        weight[index] = skin[:, 4] * bare / (1 + (error.mean(axis=1) / DOUBTED) ** 2)
        off[index] = error.clip(-2, 2)
    return off, weight


def complete_skins(data: Path, head: HeadModel, chosen: list[int], side: int, cache: Path) -> F32:  # [N, P, 3] coded
    """Complete skins at the covered texels of a texture of this side."""
    fine = load_skins(data, head, DETAIL_SIDE, cache)[chosen]
    small = np.stack([cv2.resize(skin, (side, side), interpolation=cv2.INTER_AREA) for skin in fine])
    return np.asarray(small.reshape(len(small), -1, 3)[:, build_atlas(head, side).places.numpy()] / np.float32(255))


def fine_detail(data: Path, head: HeadModel, cache: Path) -> tuple[NDArray[np.int8], F32]:  # [D, S, S], [D]
    """The pores, lines and folds of some complete skins, as a logarithm beside their smooth colours; and their tone."""
    atlas = build_atlas(head, DETAIL_SIDE)
    flat = np.zeros(DETAIL_SIDE**2, np.float32)
    flat[atlas.places.numpy()] = atlas.skin.numpy()
    own = flat.reshape(DETAIL_SIDE, DETAIL_SIDE)
    maps, tones = [], []
    for skin in load_skins(data, head, DETAIL_SIDE, cache)[list(ONLY)]:
        light = linear(skin / np.float32(255)).mean(axis=2)
        smooth = cv2.GaussianBlur(light * own, (0, 0), FINE) / cv2.GaussianBlur(own, (0, 0), FINE).clip(1e-3)
        maps.append(((light - smooth) * own / DETAIL_STEP).clip(-127, 127).round().astype(np.int8))
        tones.append(float(light[own > 0].mean()))
    return np.stack(maps), np.array(tones, np.float32)


def _at(values: NDArray[np.floating], atlas: Atlas) -> F32:  # [V, C] -> [P, C]
    return np.asarray(atlas.at_texels(torch.from_numpy(np.asarray(values, np.float32))).numpy())
