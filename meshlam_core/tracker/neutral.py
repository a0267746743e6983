"""A true neutral: what a fitted neutral head has of the photo's expression goes back to the expression.

A smile is wider on people than the open head's smile, so the fit widens the neutral mouth with it: over many portraits
the neutral head that is found depends on the expression it was found in, which no one's neutral head does. That
dependence is a field for each key of mouth, jaw, cheeks and nose (training/skin/rest.py). The key takes its field up
and the neutral head loses it as far as the key is active, so that in the photo's expression nothing moves:

    neutral - sum_k e_k field_k,    blendshape_k + field_k

Frame: avatar frame, metres. Dims: V vertices, K blendshapes, A keys with a field, M vertices that those move.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.npz import check_rows, checked_array, read_npz, readable, write_npz
from meshlam_core.head.correspondence import Correspondence
from meshlam_core.head.fingerprint import layout_digest
from meshlam_core.head.io import load_head
from meshlam_core.head.model import ById
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]

NEUTRAL_MODEL = Path(__file__).resolve().parent.parent / "data" / "neutral.npz"
FORMAT, VERSION = "meshlam-neutral", 1
STEPS = 127.0  # of the stored fields
_REBUILD = "Rebuild it with `python -m training.skin.rest`."


@dataclass(frozen=True)
class NeutralModel:
    """What each key does to people beyond the head model's blendshape."""

    keys: NDArray[np.intp]  # [A] among the head model's blendshapes
    moved: NDArray[np.int32]  # [M] vertices
    fields: F32  # [A, M, 3] m at coefficient 1


def at_rest(tracked: TrackedFace, model: HeadModel) -> TrackedFace:
    """The same face with a neutral head that does not smile; what nothing is known of stays as it is: other meshes
    without a correspondence, and other models whose keys are their own (ICT-FaceKit)."""
    known = neutral_model(model)
    if known is None:
        return tracked
    active = tracked.expression[known.keys]
    vertices = tracked.vertices.copy()
    vertices[known.moved] -= np.tensordot(active, known.fields, 1)
    blendshapes = np.array(model.blendshapes if tracked.blendshapes is None else tracked.blendshapes, np.float32)
    blendshapes[known.keys[:, None], known.moved] += known.fields
    return replace(tracked, vertices=vertices, blendshapes=blendshapes)


def neutral_model(model: HeadModel) -> NeutralModel | None:
    """The fields of a head model; read once per model."""
    return _cached(ById(model), NEUTRAL_MODEL)


@lru_cache(maxsize=4)
def _cached(key: ById, path: Path) -> NeutralModel | None:
    model = key.model
    if model.correspondence is None:
        return load_neutral_model(model, path)
    if model.raw is None:
        return None  # its keys were not made after the open head's
    source = load_head()
    known = load_neutral_model(source, path)
    return None if known is None else carried_neutral(known, source, model, model.correspondence)


def carried_neutral(
    known: NeutralModel,
    source: HeadModel,  # the open head, which it was learnt on
    model: HeadModel,
    place: Correspondence,
) -> NeutralModel:
    """The fields on the mesh of another model whose keys do what the open head's do."""
    whole = np.zeros((len(known.keys), len(source.template), 3), np.float32)
    whole[:, known.moved] = known.fields
    fields = place.to_model(whole * np.float32(place.scale(source.template)))
    moved = np.flatnonzero(fields.any(axis=(0, 2)))
    keys = [model.blendshape_names.index(source.blendshape_names[key]) for key in known.keys]
    return NeutralModel(np.array(keys, np.intp), moved.astype(np.int32), fields[:, moved])


def load_neutral_model(model: HeadModel, path: Path) -> NeutralModel | None:
    """None for another mesh or layout than it was learnt on; AssetError for a damaged file."""
    if not path.is_file():
        return None
    with readable(f"The model of neutral faces {path}", _REBUILD):
        header, arrays = read_npz(path)
        made_for = (header["format"], header["version"], header["layout"])
        names = [str(name) for name in header["keys"]]
    if made_for[:2] != (FORMAT, VERSION):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.", _REBUILD)
    if made_for[2] != layout_digest(model).hexdigest() or not set(names) <= set(model.blendshape_names):
        return None
    label, sizes = f"The model of neutral faces {path}", {"A": len(names), "3": 3}
    moved = checked_array(arrays, "moved", "M", np.int32, sizes, label)
    check_rows({"moved": moved}, {"moved": len(model.template)}, label)
    steps = checked_array(arrays, "fields", "A M 3", np.int8, sizes, label).astype(np.float32)
    scale = checked_array(arrays, "scale", "A", np.float32, sizes, label)
    keys = np.array([model.blendshape_names.index(name) for name in names], np.intp)
    return NeutralModel(keys, moved, steps * scale[:, None, None])


def save_neutral_model(known: NeutralModel, model: HeadModel, path: Path, notes: dict[str, object]) -> None:
    """Write the file; equal models give equal bytes."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "layout": layout_digest(model).hexdigest(),
        "keys": [model.blendshape_names[key] for key in known.keys],
        "licence": "CC0-1.0",
        "notes": notes,
    }
    scale = np.maximum(np.abs(known.fields).max(axis=(1, 2)), 1e-9) / STEPS
    arrays = {
        "json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8),
        "moved": known.moved.astype(np.int32),
        "fields": np.round(known.fields / scale[:, None, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
    }
    write_npz(path, arrays)
