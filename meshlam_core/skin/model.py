"""The skin of people: a mean albedo and how it varies, on the vertices and on the texels of a head model.

Frame: avatar frame for normals, UV for texels (see frames.py). Colours are logarithms of linear albedo.
Dims:   V vertices, K modes, S = 256 texels along a side, P texels of skin, D detail maps.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_rows, checked_array, read_npz, readable, write_npz
from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.fingerprint import layout_digest
from meshlam_core.head.io import load_head
from meshlam_core.head.model import ById, HeadModel
from meshlam_core.head.surface import vertex_normals
from meshlam_core.skin.fit import LightPrior
from meshlam_core.skin.harmonics import COUNT, basis

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]

SKIN_MODEL = Path(__file__).resolve().parent.parent / "data" / "skin_model.npz"
FORMAT, VERSION = "meshlam-skin", 1
SIDE = 256  # texels
GAMMA = 2.2  # between the logarithms of coded and linear colours, everywhere in this package
DARK = 0.02  # coded, below which a colour is noise
DETAIL_SIDE = 512  # texels
FACING = 0.5  # of normals that look ahead, as most of a face does
DETAIL_STEP = 1 / 127  # of the logarithm that a step of the detail maps means
MEAN_STEP = 1 / 4096  # and one of the mean
_ARRAYS: dict[str, tuple[str, type[np.generic], type[np.generic]]] = {  # shape, type in use, type in the file
    "mean": ("V 3", np.float32, np.float16),
    "basis": ("K V 3", np.float32, np.float16),
    "texel": ("P", np.int32, np.int32),
    "texel_mean": ("P 3", np.int16, np.int16),
    "texel_basis": ("K P 3", np.int8, np.int8),
    "texel_scale": ("K", np.float32, np.float16),
    "detail": ("D S S", np.int8, np.int8),
    "detail_tone": ("D", np.float32, np.float16),
    "transfer": ("V 9", np.float32, np.float16),
    "normals": ("V 3", np.float32, np.float16),
    "openness": ("V", np.float32, np.float16),
    "describes": ("V", np.bool_, np.bool_),
    "light_mean": ("27", np.float64, np.float32),
    "light_covariance": ("27 27", np.float64, np.float32),
}
_REBUILD = "Rebuild it with `python -m training.skin.build`."


@dataclass(frozen=True)
class SkinModel:
    """What is known of skin before a photo is seen."""

    mean: F32  # [V, 3]
    basis: F32  # [K, V, 3] for coefficients of unit variance
    texel: NDArray[np.int32]  # [P] row * S + column
    texel_mean: F32  # [P, 3]
    texel_basis: I8  # [K, P, 3]
    texel_scale: F32  # [K] what 1 in texel_basis means
    detail: I8  # [D, 512, 512] fine detail of complete skins
    detail_tone: F32  # [D] their tone
    transfer: F32  # [V, 9] of the template: how much of each harmonic of the light arrives
    normals: F32  # [V, 3] of the template
    openness: F32  # [V] 0..1, ambient occlusion
    describes: NDArray[np.bool_]  # [V] where the model says something
    prior: LightPrior

    @cached_property
    def spread(self) -> F32:  # [V]
        """Standard deviation, among people, of how bright a place is beside their whole face: beards, brows, noses."""
        light = self.basis.astype(np.float32).mean(axis=2)
        light -= light[:, self.describes & (self.normals[:, 2] > FACING)].mean(axis=1, keepdims=True)
        return np.asarray(np.sqrt((light**2).sum(axis=0)))

    def transfer_of(self, normals: NDArray[np.floating]) -> F32:  # [V, 3] unit -> [V, 9]
        """The template's transfer where the surface has these normals; it shadows itself as the template does."""
        turned = basis(np.asarray(normals, np.float64)) - basis(self.normals.astype(np.float64))
        return np.asarray(self.transfer + turned * self.openness[:, None], np.float32)

    def vertices_of(self, coefficients: F64) -> F32:  # [K] -> [V, 3]
        """A person's skin at the vertices."""
        return np.asarray(self.mean + np.tensordot(coefficients, self.basis, 1), np.float32)

    def texture_of(self, coefficients: F64) -> F32:  # [K] -> [S, S, 3]
        """A person's skin on texels, 0 where there is none."""
        strength = (coefficients * self.texel_scale).astype(np.float32)
        rows = np.tensordot(strength, self.texel_basis.astype(np.float32), 1)
        whole = np.zeros((SIDE * SIDE, 3), np.float32)
        whole[self.texel] = self.texel_mean + rows
        return whole.reshape(SIDE, SIDE, 3)


def layout_hash(head: HeadModel) -> str:
    """Identifies mesh and texture layout."""
    return layout_digest(head).hexdigest()


def texels_of(head: HeadModel) -> str | None:
    """The layout_hash whose texels a head has: its own or the open head's; None where it has a layout of its own."""
    place = head.correspondence
    if place is None:
        return layout_hash(head)
    return layout_hash(load_head()) if place.shares_layout else None


def load_skin_model(head: HeadModel) -> SkinModel | None:
    """The skin of a head model, or None where there is none for its mesh and layout.

    A model in the open head's layout has the open head's texels, and its vertices by correspondence. Carried once.
    """
    return _skin_of(ById(head))


@lru_cache(maxsize=4)
def _skin_of(key: ById) -> SkinModel | None:
    head, layout = key.model, texels_of(key.model)
    found = None if layout is None else _load(layout, SKIN_MODEL)
    return found if found is None or head.correspondence is None else carried_skin(found, head, head.correspondence)


def carried_skin(skin: SkinModel, head: HeadModel, place: Correspondence) -> SkinModel:
    """The open head's skin on the mesh of another model."""
    carry = place.to_model
    return replace(
        skin,
        mean=carry(skin.mean),
        basis=carry(skin.basis),
        transfer=carry(skin.transfer),
        normals=vertex_normals(head.template.astype(np.float64), head.faces).astype(np.float32),
        openness=carry(skin.openness[:, None])[:, 0],
        describes=skin.describes[place.strongest()],
    )


@cache
def _load(layout: str, path: Path) -> SkinModel | None:
    if not path.is_file():
        return None
    with readable(f"The skin model {path}", _REBUILD):
        header, arrays = read_npz(path)
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.", _REBUILD)
    if header.get("layout") != layout:
        return None
    sizes = {"3": 3, "9": 9, "27": 3 * COUNT, "S": DETAIL_SIDE}
    label = f"The skin model {path}"
    checked = {
        name: checked_array(arrays, name, shape, kind, sizes, label) for name, (shape, kind, _) in _ARRAYS.items()
    }
    check_rows(checked, {"texel": SIDE * SIDE}, label)
    prior = LightPrior(checked.pop("light_mean"), checked.pop("light_covariance"))
    checked["texel_mean"] = checked["texel_mean"].astype(np.float32) * np.float32(MEAN_STEP)
    return SkinModel(**checked, prior=prior)


def save_skin_model(model: SkinModel, head: HeadModel, path: Path, notes: dict[str, object]) -> None:
    """Write the file; equal models give equal bytes."""
    header = {"format": FORMAT, "version": VERSION, "layout": layout_hash(head), "licence": "CC0-1.0", "notes": notes}
    values = {
        **{name: getattr(model, name) for name in _ARRAYS if not name.startswith("light_")},
        "texel_mean": np.round(model.texel_mean / MEAN_STEP),
        "light_mean": model.prior.mean,
        "light_covariance": model.prior.covariance,
    }
    arrays = {"json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)}
    write_npz(path, arrays | {name: values[name].astype(stored) for name, (_, _, stored) in _ARRAYS.items()})
