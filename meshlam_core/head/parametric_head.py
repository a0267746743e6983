"""FLAME and its like as head models: adopted by registration, with ARKit keys made of their own parameters.

Frame: avatar frame (the model's own axes; the origin moves to the root joint), metres. Dims: V vertices, K keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.adopt import Adopted, Foreign, adopt
from meshlam_core.head.arkit_keys import KeyFit, fit_keys
from meshlam_core.head.carry import Layout
from meshlam_core.head.deformation_transfer import transfer
from meshlam_core.head.model import HeadModel, RawKeys
from meshlam_core.head.parametric import Parametric
from meshlam_core.head.surface import vertex_areas

F64 = NDArray[np.float64]

IDENTITY_MODES = 120
WEIGHT = {"mouth_interior": 0.1, "eye_sockets": 0.02, "scalp": 0.3, "neck": 0.3, "ears": 0.3}  # in the keys' fit
INNER = ("tongue", "teeth_upper", "teeth_lower")  # parts inside the mouth whose movement is asked for too
TURNS = tuple(f"{joint}_{axis}" for joint in ("jaw", "left_eye", "right_eye") for axis in "xyz")


@dataclass(frozen=True)
class Description:
    """What a loader says about a parametric model."""

    name: str
    licence: str
    expression_names: tuple[str, ...]
    raw_names: tuple[str, ...] = ()  # expressions and identities to keep as shape keys
    raw_shapes: NDArray[np.floating] | None = None  # [R, V, 3]
    known_parts: Mapping[str, NDArray[np.integer]] = field(default_factory=dict)  # vertices by part name
    layout: Layout | None = None  # None: the open head's
    jaw: bool = True  # whether the jaw is a joint


def parametric_head(
    model: Parametric,
    source: HeadModel,  # the open head
    about: Description,
    keys: str = "own",  # or "transferred": the open head's shapes themselves, whether the model can say them or not
) -> tuple[HeadModel, list[KeyFit]]:
    """The head model and how well it says each of its 52 keys."""
    foreign = Foreign(
        name=about.name,
        licence=about.licence,
        template=model.template,
        faces=model.faces,
        identity=model.shapes[:IDENTITY_MODES],
        regressor=model.regressor,
        weights=model.weights,
        correctives=model.correctives,
        known_parts=about.known_parts,
        layout=about.layout,
    )
    adopted = adopt(foreign, source)
    head = adopted.head
    # the model's function needs all its joints; what it lacks has been found by now
    model = replace(model, regressor=head.joint_regressor.astype(np.float64))
    wanted, looked_at = wanted_shapes(source, adopted)
    parameters, shapes, fits = fit_keys(model, source, wanted, looked_at, counts_of(adopted, model), about.jaw)
    if keys == "transferred":
        shapes[:, looked_at] = wanted[:, looked_at]
    raw = about.raw_shapes
    return (
        replace(
            head,
            blendshapes=shapes.astype(np.float32),
            blendshape_names=source.blendshape_names,
            blendshape_ranges=np.tile(np.array([0, 1], np.float32), (len(shapes), 1)),
            raw=RawKeys(
                names=about.raw_names,
                shapes=np.zeros((0, *model.template.shape), np.float32) if raw is None else raw.astype(np.float32),
                parameter_names=(*about.expression_names, *TURNS),
                parameters=parameters.astype(np.float32),
            ),
        ),
        fits,
    )


def wanted_shapes(source: HeadModel, adopted: Adopted) -> tuple[F64, NDArray[np.intp]]:  # [K, V, 3] m
    """The open head's shapes on the model, and the vertices that are looked at: skin, tongue and teeth."""
    head, place = adopted.head, adopted.place
    wanted = transfer(source, place, head.template.astype(np.float64), head.faces, adopted.skin)
    inner = np.flatnonzero(np.isin(np.array(head.parts)[head.part], INNER))
    if len(inner):
        size = place.scale(source.template)
        wanted[:, inner] = size * place.to_model(source.blendshapes)[:, inner]
    return wanted, np.concatenate([adopted.skin.vertices, inner])


def counts_of(adopted: Adopted, model: Parametric) -> F64:  # [V]
    """How much each vertex counts in the keys' fit: its area, and whether it is seen."""
    head = adopted.head
    return np.asarray(
        vertex_areas(model.template, model.faces) * np.array([WEIGHT.get(name, 1.0) for name in head.parts])[head.part]
    )


def numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{i + 1:03d}" for i in range(count))
