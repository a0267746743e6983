"""Stand-ins for head models that may not be shipped: files of exactly FLAME's and GNM's layout, of the open head.

The open head's skin is decimated to FLAME's counts (5023 vertices, 9976 triangles), its vertices slide off the old
ones, two spheres take the eyeballs' place, and everything is scaled, shifted and shuffled: another topology, another
person, another place. Frame: FLAME's (the avatar frame's axes, origin anywhere), metres.
"""

from __future__ import annotations

import heapq
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.head.pieces import connected_labels
from meshlam_core.head.surface import snap

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

VERTICES, TRIANGLES, EYE = 5023, 9976, 546
RINGS, SEGMENTS = 17, 32  # of an eyeball: 17 * 32 + 2 poles = 546
KEEP = {"eyelids": 4.0, "lips": 3.0, "face": 1.6, "ears": 1.5, "mouth_interior": 0.8, "eye_sockets": 0.5}
SCALE, SHIFT = 1.05, np.array([0.001, -0.1, 0.03])


@dataclass(frozen=True)
class StandIn:
    """FLAME's arrays, and where each vertex came from on the open head."""

    table: dict[str, Any]
    corners: I64  # [5023, 3] vertices of the open head
    bary: F64  # [5023, 3]
    eyeball: NDArray[np.bool_]  # [5023]

    def pickle(self, path: Path) -> Path:
        """As FLAME is distributed: protocol 2, the regressor sparse, arrays wrapped by chumpy."""
        chumpy, inner = ModuleType("chumpy"), ModuleType("chumpy.ch")
        kind = type("Ch", (), {"__module__": "chumpy.ch", "__qualname__": "Ch"})
        inner.Ch = chumpy.ch = kind  # type: ignore[attr-defined]
        sys.modules.update({"chumpy": chumpy, "chumpy.ch": inner})
        try:
            table: dict[str, Any] = dict(self.table)
            for name in ("v_template", "shapedirs", "weights"):
                wrapped = kind()
                wrapped.__dict__.update(x=np.asarray(table[name]), _dirty_vars=None)
                table[name] = wrapped
            table["J_regressor"] = sp.csc_matrix(table["J_regressor"])
            path.write_bytes(pickle.dumps(table, protocol=2))
        finally:
            del sys.modules["chumpy"], sys.modules["chumpy.ch"]
        return path

    def npz(self, path: Path) -> Path:
        np.savez(path, **{name: value for name, value in self.table.items() if isinstance(value, np.ndarray)})
        return path


@lru_cache(maxsize=1)
def flame_stand_in(seed: int = 7) -> StandIn:
    """A model with FLAME's counts: 300 identity and 100 expression directions, 36 pose correctives, 5 joints."""
    head, rng = load_head(), np.random.default_rng(seed)
    label = connected_labels(head.faces, len(head.template))
    skin = np.flatnonzero(label == np.bincount(label).argmax())
    faces = head.faces[np.isin(head.faces[:, 0], skin)].astype(np.int64)
    dear = np.array([KEEP.get(name, 1.0) for name in head.parts])[head.part]
    faces = collapsed(faces, head.template.astype(np.float64), dear, VERTICES - 2 * EYE, TRIANGLES - 2 * (2 * EYE - 4))
    kept = np.unique(faces)
    corners, bary = slid(head, kept, rng)
    eye_corners, eye_bary, eye_faces = eyeballs(head)
    corners, bary = np.concatenate([corners, eye_corners]), np.concatenate([bary, eye_bary])
    faces = np.concatenate([np.searchsorted(kept, faces), eye_faces + len(kept)])
    eyeball = np.arange(VERTICES) >= len(kept)

    order = rng.permutation(VERTICES)
    faces, corners, bary, eyeball = np.argsort(order)[faces], corners[order], bary[order], eyeball[order]

    def carry(values: NDArray[Any]) -> F64:  # [..., V, d] -> [..., 5023, d]
        return np.einsum("vk,...vkd->...vd", bary, values[..., corners, :].astype(np.float64))

    person = head.shaped(rng.normal(0, 0.4, len(head.identity_basis)).astype(np.float32))
    template = SCALE * carry(person) + SHIFT
    regressor = joint_rows(template, SCALE * head.joints(person).astype(np.float64) + SHIFT, eyeball)
    directions = np.zeros((VERTICES, 3, 400))
    count = len(head.identity_basis)
    directions[:, :, :count] = np.moveaxis(SCALE * carry(head.identity_basis), 0, 2)
    directions[:, :, count:300] = 1e-4 * rng.normal(size=(VERTICES, 3, 300 - count))
    directions[:, :, 300:] = np.moveaxis(expressions(SCALE * carry(head.blendshapes), head, rng), 0, 2)
    table = {
        "v_template": template,
        "f": faces.astype(np.uint32),
        "shapedirs": directions,
        "posedirs": rng.normal(0, 1e-4, (VERTICES, 3, 36)),
        "J_regressor": regressor,
        "weights": carry(head.weights[..., None].swapaxes(0, 1)).squeeze(-1).T,
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "J": regressor @ template,
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
    return StandIn(table, corners, bary, eyeball)


def expressions(shapes: F64, head: HeadModel, rng: np.random.Generator) -> F64:  # [100, 5023, 3]
    """Directions that hold all of the open head's shapes but the eyes' turns and the tongue, mixed and ordered."""
    told = [not name.startswith(("eyeLook", "tongue", "jaw")) for name in head.blendshape_names]
    flat = shapes[told].reshape(sum(told), -1)
    _, strength, axes = np.linalg.svd(flat, full_matrices=False)
    spanned = (strength[:, None] * axes / np.sqrt(len(flat))).reshape(len(flat), -1, 3)
    return np.concatenate([spanned, 1e-5 * rng.normal(size=(100 - len(spanned), *shapes.shape[1:]))])


def joint_rows(template: F64, joints: F64, eyeball: NDArray[np.bool_]) -> F64:  # [5, 5023], rows sum to 1
    """Sparse regressors that hit the joints: the eyes from their balls, the others from skin around them."""
    rows = np.zeros((5, len(template)))
    for joint, at in enumerate(joints):
        side = np.sign(at[0])
        chosen = np.flatnonzero(eyeball & (np.sign(template[:, 0] - SHIFT[0]) == side) if joint > 2 else ~eyeball)
        near = chosen if joint > 2 else chosen[np.argsort(np.linalg.norm(template[chosen] - at, axis=1))[:60]]
        system = np.concatenate([template[near].T - at[:, None], np.ones((1, len(near)))])
        rows[joint, near] = np.linalg.lstsq(system, np.array([0, 0, 0, 1.0]), rcond=None)[0]
    return rows


def slid(head: HeadModel, kept: I64, rng: np.random.Generator) -> tuple[I64, F64]:
    """Each vertex moves into one of its triangles; those on the border stay."""
    order = rng.permutation(len(head.faces))
    own = np.zeros(len(head.template), np.int64)
    for corner in range(3):
        own[head.faces[order, corner]] = order
    corners = head.faces[own[kept]].astype(np.int64)
    bary = rng.dirichlet([1, 1, 1], len(kept)) * 0.3 + 0.7 * (corners == kept[:, None])
    edges = np.sort(head.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    found, count = np.unique(edges, axis=0, return_counts=True)
    border = np.isin(kept, found[count == 1])
    bary[border] = corners[border] == kept[border, None]
    return corners, bary


def eyeballs(head: HeadModel) -> tuple[I64, F64, I64]:
    """Two spheres, each vertex taking the nearest of the open head's eyeball, left before right."""
    corners, barys, faces = [], [], []
    polar, around = np.arange(1, RINGS + 1) * np.pi / (RINGS + 1), np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    flat = np.stack([np.cos(around), np.sin(around)], 1)  # [32, 2]
    across = np.sin(polar)[:, None, None] * flat  # [17, 32, 2]
    along = np.broadcast_to(np.cos(polar)[:, None, None], (RINGS, SEGMENTS, 1))
    ring = np.concatenate([across, along], 2)
    sphere = np.concatenate([[[0, 0, 1.0]], ring.reshape(-1, 3), [[0, 0, -1.0]]])
    for name in ("eyeball_left", "eyeball_right"):
        ball = np.flatnonzero(head.part == head.parts.index(name))
        points = head.template[ball].astype(np.float64)
        centre, radius = points.mean(0), np.linalg.norm(points - points.mean(0), axis=1).mean()
        allowed = np.isin(head.faces[:, 0], ball)
        triangle, bary = snap(centre + radius * sphere, head.template, head.faces, allowed)
        corners.append(head.faces[triangle].astype(np.int64))
        barys.append(bary)
        faces.append(sphere_faces() + len(faces) * EYE)
    return np.concatenate(corners), np.concatenate(barys), np.concatenate(faces)


def sphere_faces() -> I64:  # [1088, 3]
    rows = []
    step = np.arange(SEGMENTS)
    after = (step + 1) % SEGMENTS
    rows.append(np.stack([np.zeros_like(step), 1 + step, 1 + after], 1))
    for ring in range(RINGS - 1):
        a, b = 1 + ring * SEGMENTS, 1 + (ring + 1) * SEGMENTS
        rows += [np.stack([a + step, b + step, a + after], 1), np.stack([a + after, b + step, b + after], 1)]
    last = 1 + (RINGS - 1) * SEGMENTS
    rows.append(np.stack([last + step, np.full_like(step, EYE - 1), last + after], 1))
    return np.concatenate(rows)


def collapsed(faces: I64, points: F64, dear: F64, vertices: int, triangles: int) -> I64:
    """Half-edge collapses, short edges of cheap vertices first, down to exact counts; border edges make them meet."""
    rows = {i: tuple(face) for i, face in enumerate(faces.tolist())}
    of: dict[int, set[int]] = {}
    for i, face in rows.items():
        for vertex in face:
            of.setdefault(vertex, set()).add(i)

    def ring(vertex: int) -> set[int]:
        return {v for i in of[vertex] for v in rows[i]} - {vertex}

    def on_border(vertex: int) -> bool:
        return len(ring(vertex)) != len(of[vertex])

    border_left = 2 * (len(of) - vertices) - (len(rows) - triangles)

    def cost(gone: int, stays: int) -> tuple[float, int, int]:
        return float(np.linalg.norm(points[gone] - points[stays]) * dear[gone]), gone, stays

    edges = {(face[k], face[k - 1]) for face in rows.values() for k in range(3)}
    queue = [cost(*edge) for edge in sorted(edges)]
    heapq.heapify(queue)
    while len(of) > vertices:
        _, gone, stays = heapq.heappop(queue)
        if gone not in of or stays not in of or stays not in ring(gone):
            continue
        shared = of[gone] & of[stays]
        at_border = len(shared) == 1
        if on_border(gone) and not (at_border and border_left > 0):
            continue
        if len(ring(gone) & ring(stays)) != len(shared) or (not at_border and len(of) - vertices <= border_left):
            continue
        moved = {i: tuple(stays if v == gone else v for v in rows[i]) for i in of[gone] - shared}
        before = np.array([rows[i] for i in moved]).reshape(-1, 3)
        after = np.array(list(moved.values())).reshape(-1, 3)
        if len(after) and (normal_cosines(points, before, after) < 0.5).any():
            continue
        for i in shared:
            for v in rows.pop(i):
                of[v].discard(i)
        rows.update(moved)
        of[stays] |= set(moved)
        del of[gone]
        border_left -= at_border
        for v in ring(stays):
            heapq.heappush(queue, cost(v, stays))
            heapq.heappush(queue, cost(stays, v))
    result = np.array(list(rows.values()))
    assert (len(np.unique(result)), len(result)) == (vertices, triangles)
    return result


def normal_cosines(points: F64, before: I64, after: I64) -> F64:
    normals = [np.cross(points[f[:, 1]] - points[f[:, 0]], points[f[:, 2]] - points[f[:, 0]]) for f in (before, after)]
    sizes = [np.linalg.norm(normal, axis=1) for normal in normals]
    return np.asarray((normals[0] * normals[1]).sum(1) / np.maximum(sizes[0] * sizes[1], 1e-20))


def own_layout(carried: HeadModel) -> dict[str, NDArray[Any]]:
    """FLAME's texture layout as its texture model's file has it: that of its converted file, smaller and turned."""
    faces = carried.uv_faces[:TRIANGLES]
    return {"vt": 0.95 - 0.9 * carried.uvs[: faces.max() + 1, ::-1].astype(np.float64), "ft": faces.astype(np.uint32)}


GNM_VERTICES = 17821
GNM_GROUPS = {
    "left_eye": "eyeball_left",
    "right_eye": "eyeball_right",
    "upper_teeth_and_gums": "teeth_upper",
    "lower_teeth_and_gums": "teeth_lower",
    "tongue": "tongue",
}
GNM_KINDS = ("left_eye_region", "right_eye_region", "lower_face_region", "tongue", "pupils")


def gnm_stand_in(
    head: HeadModel,
    vertices: int = GNM_VERTICES,
    identities: tuple[int, int, int] = (170, 3, 80),  # head, eyes, teeth
    expressions: tuple[int, int, int, int, int] = (100, 100, 150, 32, 1),  # in the order of GNM_KINDS
    seed: int = 5,
) -> dict[str, Any]:
    """GNM's arrays: the open head but for its lashes, refined to a finer mesh, with four joints and no jaw."""
    rng = np.random.default_rng(seed)
    own = head.part != head.parts.index("lashes")
    kept = np.flatnonzero(own)
    coarse = np.searchsorted(kept, head.faces[own[head.faces].all(axis=1)].astype(np.int64))
    faces, carry = refined(coarse, head.template[kept].astype(np.float64), vertices)
    person = head.shaped(rng.normal(0, 0.4, len(head.identity_basis)).astype(np.float32))
    shift = np.array([0, -0.1, 0.02])
    template = carry @ person[kept] + shift
    part = np.array(head.parts)[head.part[kept]][np.asarray(carry.argmax(axis=1)).ravel()]
    groups = {name: (part == ours).astype(np.float32) for name, ours in GNM_GROUPS.items()}
    groups["skin"] = 1 - np.sum(list(groups.values()), axis=0)
    identity = np.zeros((sum(identities), vertices, 3), np.float32)
    for i in range(min(identities[0], len(head.identity_basis))):
        identity[i] = carry @ head.identity_basis[i, kept]
    teeth = groups["upper_teeth_and_gums"] > 0
    identity[sum(identities[:2]) :, teeth] = rng.normal(0, 1e-4, (identities[2], int(teeth.sum()), 3))
    joints = head.joints(person).astype(np.float64) + shift
    weights = (carry @ head.weights[kept]).T
    order = [0, 1, 3, 4]  # root, neck, left and right eye: GNM's neck, head and eyes
    eyeball = (groups["left_eye"] + groups["right_eye"]) > 0
    regressor = joint_rows(template - shift + SHIFT, joints - shift + SHIFT, eyeball)[order]
    triangles = faces.astype(np.int32)
    return {
        "version": np.array("3.0"),
        "variant": np.array("head"),
        "template_vertex_positions": template.astype(np.float32),
        "template_joint_positions": joints[order].astype(np.float32),
        "vertex_identity_basis": identity,
        "joint_identity_basis": np.einsum("jv,ivd->ijd", regressor, identity).astype(np.float32),
        "expression_basis": gnm_expressions(head, expressions, lambda k: carry @ head.blendshapes[k, kept]),
        "identity_names": np.array(labels(("head", "eyes", "teeth"), identities)),
        "joint_names": np.array(["neck", "head", "left_eye", "right_eye"]),
        "expression_names": np.array(labels(GNM_KINDS, expressions)),
        "joint_parent_indices": np.array([0, 0, 1, 1]),
        "skinning_weights": np.stack([weights[0], weights[1] + weights[2], weights[3], weights[4]]).astype(np.float32),
        "quads": np.concatenate([triangles, triangles[:, 2:]], axis=1),
        "triangles": triangles,
        "quad_uvs": np.zeros((len(triangles), 4, 2), np.float32),
        "triangle_uvs": np.zeros((len(triangles), 3, 2), np.float32),
        "mesh_component_names": np.array(list(groups)),
        "mirror_indices": np.arange(vertices),
        "joint_regressor": regressor.astype(np.float32),
        "pose_correctives_regressor": np.zeros((36, 3 * vertices), np.float32),
        "bone_aligned_template_joint_orientations": np.tile(np.eye(3, dtype=np.float32), (4, 1, 1)),
        "vertex_groups": np.array(list(groups.values()), np.float32),
        "vertex_group_names": np.array(list(groups)),
    }


def gnm_expressions(head: HeadModel, counts: tuple[int, ...], carried: Callable[[int], Any]) -> NDArray[np.float32]:
    """The open head's shapes by region, the rest of each region's directions empty."""
    kinds = (("brow", "eye"), ("brow", "eye"), ("jaw", "mouth", "cheek", "nose"), ("tongue",), ("nothing",))
    blocks = []
    for starts, side, count in zip(kinds, ("Left", "Right", "", "", ""), counts, strict=True):
        names = [(k, name) for k, name in enumerate(head.blendshape_names) if name.startswith(starts)]
        shapes = [carried(k) for k, name in names if name.endswith(side) and not name.startswith("eyeLook")][:count]
        block = np.zeros((count, *carried(0).shape), np.float32)
        block[: len(shapes)] = shapes if shapes else 0
        blocks.append(block)
    return np.concatenate(blocks)


def labels(names: tuple[str, ...], counts: tuple[int, ...]) -> list[str]:
    return [f"{name}_{i:03d}" for name, count in zip(names, counts, strict=True) for i in range(count)]


def refined(faces: I64, points: F64, count: int) -> tuple[I64, Any]:
    """The longest edges split until there are `count` vertices: triangles, and a sparse matrix that carries values."""
    rows: list[dict[int, float]] = [{i: 1.0} for i in range(len(points))]
    places = list(points)
    triangles: dict[int, list[int]] = {}
    of: dict[tuple[int, int], set[int]] = {}
    queue: list[tuple[float, int, int]] = []

    def edges_of(face: list[int]) -> list[tuple[int, int]]:
        return [(min(face[k], face[k - 1]), max(face[k], face[k - 1])) for k in range(3)]

    def add(number: int, face: list[int]) -> None:
        triangles[number] = face
        for a, b in edges_of(face):
            if not of.get((a, b)):
                heapq.heappush(queue, (-float(np.linalg.norm(places[a] - places[b])), a, b))
            of.setdefault((a, b), set()).add(number)

    for number, face in enumerate(faces.tolist()):
        add(number, face)
    following = len(triangles)
    while len(rows) < count:
        _, a, b = heapq.heappop(queue)
        beside = list(of.pop((a, b), ()))
        new = len(rows)
        if beside:
            places.append((places[a] + places[b]) / 2)
            rows.append({i: (rows[a].get(i, 0) + rows[b].get(i, 0)) / 2 for i in {*rows[a], *rows[b]}})
        for number in beside:
            face = triangles.pop(number)
            for edge in edges_of(face):
                of.get(edge, set()).discard(number)
            for gone in (a, b):
                add(following, [new if v == gone else v for v in face])
                following += 1
    entries = [(row, column, value) for row, parts in enumerate(rows) for column, value in parts.items()]
    row, column, value = (np.array(part) for part in zip(*entries, strict=True))
    return np.array(list(triangles.values())), sp.csr_matrix((value, (row, column)), (count, len(points)))


ICT_COUNTS = {"skin": 14062, "tongue": 2977, "teeth_upper": 2208, "teeth_lower": 2204, "eyeball_left": 1570}
ICT_IDENTITIES = 100
ICT_COUNTS |= {"eyeball_right": 1570, "helpers": 2128}  # the last: glass and shadow before the eyes, lashes


def ict_stand_in(
    head: HeadModel, folder: Path, keys: tuple[str, ...], unit: float = 0.01, identities: int = ICT_IDENTITIES
) -> Path:
    """A folder like FaceXModel: the open head's pieces refined to ICT's ranges, identities, some keys, in cm."""
    label = connected_labels(head.faces, len(head.template))
    groups = {name: np.flatnonzero(head.part == head.parts.index(name)) for name in list(ICT_COUNTS)[1:-1]}
    groups["skin"] = np.flatnonzero(label == np.bincount(label).argmax())
    faces, carries = [], []
    for name, count in ICT_COUNTS.items():
        kept = groups.get(name, groups["eyeball_left"])
        own = head.faces[np.isin(head.faces, kept).all(axis=1)]
        own, carry = refined(np.searchsorted(kept, own).astype(np.int64), head.template[kept].astype(np.float64), count)
        faces.append(own + sum(carry.shape[0] for carry, _ in carries))
        carries.append((carry, kept))
    triangles = np.concatenate(faces)

    def carried(values: NDArray[np.floating]) -> F64:
        return np.concatenate([carry @ values[kept].astype(np.float64) for carry, kept in carries])

    def write(name: str, vertices: F64) -> None:
        lines = ["v {:.5f} {:.5f} {:.5f}".format(*point) for point in (vertices / unit).tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]
        (folder / f"{name}.obj").write_text("\n".join(lines) + "\n")

    folder.mkdir(exist_ok=True)
    neutral = carried(head.template)
    write("generic_neutral_mesh", neutral)
    for i in range(identities):
        write(f"identity{i:03d}", neutral + carried(head.identity_basis[i]))
    for key in keys:
        shape = carried(head.blendshapes[head.blendshape_names.index(key)])
        own = key.replace("Left", "_L").replace("Right", "_R")
        if key in ("browInnerUp", "cheekPuff"):
            left = (neutral[:, :1] > 0) + 0.5 * (neutral[:, :1] == 0)
            write(f"{key}_L", neutral + left * shape)
            write(f"{key}_R", neutral + (1 - left) * shape)
        else:
            write(own, neutral + shape)
    return folder


def main() -> None:
    """Write all stand-ins into a folder, to try what needs a user's file."""
    folder, head = Path(sys.argv[1]), load_head()
    folder.mkdir(parents=True, exist_ok=True)
    flame_stand_in().pickle(folder / "flame2023_Open.pkl")
    np.savez(folder / "gnm_head.npz", **gnm_stand_in(head))
    ict_stand_in(head, folder / "FaceXModel", head.blendshape_names)


if __name__ == "__main__":
    main()
