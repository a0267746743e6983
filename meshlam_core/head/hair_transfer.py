"""The open head's hair on another head model: where hair can move it, and how hairstyles vary.

Each of the model's vertices takes the growths of the open head's at its place; rays and reach are blended with them.
An ear that is laid flat lies where the open head's flat ear lies on the model, spanned between the model's own
vertices around its root.

Frame: avatar frame, metres. Dims: O, Q, E, R of the open head (hair.py), V, Q', E', R' of the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.hair import HairModel, load_hair_model
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]

LEAST = 0.0005  # m of reach from which hair moves a vertex
BALD = ("eye", "teeth", "tongue", "mouth", "lash")  # beginnings of parts on which nothing grows
TAKEN = 0.5  # share of a vertex on the ear's patch from which an ear takes it along


def hair_of(head: HeadModel) -> HairModel | None:
    """The hair of any head model: its own, or the open head's by correspondence; None where there is neither."""
    if head.correspondence is None:
        return load_hair_model(head)
    source = load_head()
    hair = load_hair_model(source)
    return None if hair is None else carried_hair(hair, source, head, head.correspondence)


def carried_growth(
    growth: F32,  # [Q] m, of the open head's rays
    hair: HairModel,  # the open head's
    carried: HairModel,  # that of another model
    place: Correspondence,
) -> F32:  # [Q'] m
    """A hairstyle of the open head on another model."""
    whole = np.zeros((len(place.laid), 1), np.float32)
    whole[hair.indices, 0] = growth
    found: F32 = place.to_model(whole)[carried.indices, 0]
    return found


def carried_hair(
    hair: HairModel,
    source: HeadModel,  # the open head
    head: HeadModel,
    place: Correspondence,
) -> HairModel:
    """A HairModel of the model's topology."""
    size = len(source.template)

    def on_model(values: NDArray[np.floating]) -> F32:  # [..., Q, d] -> [..., V, d]
        whole = np.zeros((*values.shape[:-2], size, values.shape[-1]), np.float32)
        whole[..., hair.indices, :] = values
        return place.to_model(whole)

    bald = [name for name in head.parts if name.startswith(BALD)]
    skin = ~np.isin(np.array(head.parts)[head.part], bald)
    reach = on_model(hair.reach[:, None])[:, 0] * skin
    rows = np.flatnonzero(reach > LEAST)
    directions = on_model(hair.directions)[rows]
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    side = np.zeros(size, np.int8)
    side[hair.indices] = hair.ear
    places = place.to_model(source.template)[rows]
    mirror = cKDTree(places).query(places * np.array([-1, 1, 1], np.float32))[1]
    return replace(
        hair,
        indices=rows.astype(np.int32),
        directions=directions,
        ear=side[place.strongest()[rows]],
        reach=reach[rows],
        fade=on_model(hair.fade[:, None])[rows, 0],
        mirror=mirror.astype(np.int32),
        mean=on_model(hair.mean[:, None])[rows, 0],
        modes=on_model(hair.modes[..., None])[:, rows, 0],
        **flat_ears(hair, head, place, size),
    )


def flat_ears(hair: HairModel, head: HeadModel, place: Correspondence, size: int) -> dict[str, NDArray[Any]]:
    """The arrays of the ears' patch."""
    position = np.full(size, -1)
    position[hair.patch] = np.arange(len(hair.patch))
    belongs = (position >= 0).astype(np.float32)[:, None]
    patch = np.flatnonzero(place.to_model(belongs)[:, 0] > TAKEN)
    # blended among the corners that the ear takes along
    inside = np.where(position[place.on_open[patch]] >= 0, place.on_open_bary[patch], 0)
    inside /= inside.sum(axis=1, keepdims=True)
    corner = position[place.on_open[patch]].clip(0)
    laid = place.laid
    flat = laid[hair.patch] + hair.ear_displacement(laid)  # [E, 3] the open head's flat ears, on the model
    wanted = np.einsum("ek,ekd->ed", inside, flat[corner])
    spans = np.einsum("ek,ekr->er", inside, hair.around_weights[corner])  # [E', R]
    candidates = np.setdiff1d(np.arange(len(head.template)), patch)
    nearest = candidates[cKDTree(head.template[candidates]).query(laid[hair.around])[1]]
    around, column = np.unique(nearest, return_inverse=True)
    weights = np.zeros((len(patch), len(around)), np.float32)
    np.add.at(weights.T, column, spans.T)
    return {
        "patch": patch.astype(np.int32),
        "patch_side": hair.patch_side[corner[np.arange(len(patch)), inside.argmax(axis=1)]],
        "around": around.astype(np.int32),
        "around_weights": weights,
        "bend": (wanted - weights @ head.template[around]).astype(np.float32),
    }
