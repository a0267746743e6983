"""What texture baking needs to know about a head model, computed once per model and texture size.

Frames: UV and avatar frame (see frames.py).
Dims:   V vertices, F triangles, P covered texels (islands and their margin, see raster/uv_map.py), E mesh edges.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.head.surface import vertex_areas
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.uv_map import UvMap
from meshlam_core.raster.warp_runtime import over_list
from meshlam_core.skin.model import DETAIL_STEP, GAMMA, load_skin_model
from meshlam_core.texture.eye_layout import EyeLayout, build_eye_layout
from meshlam_core.texture.fill import Graph, build_graph
from meshlam_core.texture.hair_look import HairLook
from meshlam_core.texture.lids import lash_line_share, lid_share
from meshlam_core.texture.mathematics import smooth_step
from meshlam_core.texture.noise import skin_grain, strands

I64 = NDArray[np.int64]

SKIN_PARTS = ("face", "scalp", "neck", "ears", "eyelids", "lips", "nostrils", "mouth_interior", "eye_sockets")
ASYMMETRIC = ("mouth_interior", "eye_sockets")  # islands that the layout does not mirror
EYEBALLS = ("eyeball_left", "eyeball_right")
MOUTH_PARTS = ("teeth_upper", "teeth_lower", "tongue", "mouth_interior")
DEEPEST = 0.1  # of a colour, by which a pore or a line may differ
CACHED_ATLASES = 2
MASSES = (0.05, 10.0)  # least and most that a vertex may count beside one of the open head's
BESIDE = (0.015, 0.035)  # m from an ear, between which a vertex is beside it
LOW_RIM = 0.3  # share of the vertices around an ear's root that lie below it


@dataclass(frozen=True)
class Atlas:
    """Texels, their mirror images, and the mesh as a graph. Immutable."""

    uv_map: UvMap
    places: Tensor  # [P] int32 row * S + column of each covered texel
    empty: Tensor  # [Q] int64 row * S + column of each other texel
    lender: Tensor  # [Q] int64 row * S + column of the covered texel whose colour it takes
    corners: Tensor  # [P, 3] int32 vertices of each texel's triangle
    part_rows: dict[str, Tensor]  # part name -> [R] int64 covered texels whose nearest corner is in that part
    neck: Tensor  # [P] 1 on the neck, fading towards other parts
    scalp: Tensor  # [P] 1 on the scalp, fading towards other parts
    ears: Tensor  # [P] 1 on the ears, fading towards other parts
    lids: Tensor  # [P] 0..1, see lids.py
    lash_line: Tensor  # [P] 0..1 near the roots of the lashes
    mouth: Tensor  # [P] bool: teeth, tongue, or more inside the mouth than on the lips
    cavity: Tensor  # [P] 1 inside the mouth, fading towards the lips
    skin: Tensor  # [P] bool: on the skin surface (face, scalp, neck, ears, lids, lips, nostrils, mouth interior)
    neck_rows: Tensor  # [R] int64 texels with a share of the neck
    mouth_rows: Tensor  # [R] int64 texels of the mouth
    opening_rows: Tensor  # [R] int64 texels of lids, the lashes' roots and the lips' inner edge
    mirror_texel: Tensor  # [P] int32, row of the covered texel (0..P-1) that shows the mirrored point
    graph: Graph  # of the skin surface
    vertex_part: Tensor  # [V] int64 index into the model's parts
    skin_vertex: Tensor  # [V] bool
    lid_vertices: Tensor  # [V] 0..1, see lids.py
    gathered: Tensor  # [G] int32 covered texels around each skin vertex, vertex by vertex
    gather_first: Tensor  # [V + 1] int32 where each vertex's texels begin, and where the last ends
    gather_weight: Tensor  # [G] how much of the texel is the vertex's
    texels_around: Tensor  # [V] sum of those weights
    ear_rims: tuple[tuple[Tensor, Tensor], ...]  # per ear: its vertices, and the lowest of those around its root
    beside_ears: Tensor  # [V] 1 next to an ear, fading away from it; 0 on it
    grain: Tensor  # [P] zero mean, unit variance: pores and freckles, continuous over seams
    strands: Tensor  # [P] zero mean, unit variance: hair combed away from the crown, continuous over seams
    skull: Tensor  # [3] m, its middle on the template
    relief: Tensor  # [P, 3] what a texel of likely skin is beside the mean of its vertices, as a factor
    pores: Tensor  # [D, P] zero mean: the fine detail of complete skins; D is 0 where no skin is known
    pore_tones: Tensor  # [D] mean logarithms of those skins
    eyes: dict[str, EyeLayout]  # part name -> its eyeball
    parts: dict[str, int]  # name -> number

    def at_texels(
        self,
        values: Tensor,  # [V, C]
        rows: Tensor | None = None,  # [R] which covered texels; all when None
    ) -> Tensor:  # [P or R, C]
        """A vertex attribute at the texels."""
        corners, bary = self.corners, self.uv_map.bary
        if rows is not None:
            corners, bary = corners[rows], bary[rows]
        # a weighted sum of three table rows, which this does in one pass
        return functional.embedding_bag(corners, values, mode="sum", per_sample_weights=bary)

    def share(self, *names: str) -> Tensor:  # [V] 1 at vertices of these parts, 0 elsewhere
        """A part as a vertex attribute; interpolated, it fades over the ring of triangles between two parts."""
        numbers = [self.parts[name] for name in names if name in self.parts]
        return torch.isin(self.vertex_part, torch.tensor(numbers, dtype=torch.int64)).float()

    def at_vertices(
        self,
        values: Tensor,  # [P, C + 1] at covered texels; the last column weighs the others, non-negative
    ) -> tuple[Tensor, Tensor]:  # [V, C] weighted means, [V] mean weight, 0 where a vertex owns no texel
        """Texel values gathered at the skin's vertices around them; every second texel is read."""
        total = torch.zeros(len(self.vertex_part), values.shape[1])
        lists = [self.gathered, self.gather_weight, self.gather_first]
        over_list("gather_at_vertices", len(total), [values, *lists], [total], values.device)
        return total[:, :-1] / total[:, -1:].clamp_min(1e-6), total[:, -1] / self.texels_around

    def rows_of(self, name: str) -> Tensor:  # [R] int64
        """The covered texels of a part."""
        return self.part_rows.get(name, torch.zeros(0, dtype=torch.int64))


_atlases: OrderedDict[tuple[bytes, int], Atlas] = OrderedDict()


def build_atlas(model: HeadModel, size: int) -> Atlas:
    """The atlas of a head model. The last few are kept and returned again."""
    content = hashlib.blake2b(model.template.tobytes() + model.uvs.tobytes() + model.uv_faces.tobytes()).digest()
    key = (content, size)
    if key not in _atlases:
        _atlases[key] = _build(model, size)
        while len(_atlases) > CACHED_ATLASES:
            _atlases.popitem(last=False)
    _atlases.move_to_end(key)
    return _atlases[key]


def _build(model: HeadModel, size: int) -> Atlas:
    uv_map = build_uv_map(np.array(model.uvs), np.array(model.uv_faces), size)
    faces = torch.from_numpy(model.faces.astype(np.int64))
    part = torch.from_numpy(model.part.astype(np.int64))
    names = {name: i for i, name in enumerate(model.parts)}
    corners = faces[uv_map.face]
    nearest = corners.gather(1, uv_map.bary.argmax(1, keepdim=True))[:, 0]
    skin_vertex = torch.isin(part, torch.tensor([names[name] for name in SKIN_PARTS if name in names]))
    points = torch.from_numpy(np.array(model.template))
    shell = points[skin_vertex]
    # the skull's middle: half way between the temples, below the top by half the head's width
    top = shell[:, 1].max()
    upper = shell[shell[:, 1] > top - 0.5 * (top - shell[:, 1].min())]
    centre = (upper.amax(0) + upper.amin(0)) / 2
    empty, lender = _lenders(uv_map)
    atlas = Atlas(
        uv_map=uv_map,
        empty=empty,
        lender=lender,
        places=uv_map.texel.int(),
        corners=corners.int(),
        part_rows={name: (part[nearest] == i).nonzero()[:, 0] for name, i in names.items()},
        neck=torch.zeros(0),
        scalp=torch.zeros(0),
        ears=torch.zeros(0),
        lids=torch.zeros(0),
        lash_line=torch.zeros(0),
        cavity=torch.zeros(0),
        neck_rows=torch.zeros(0),
        mouth_rows=torch.zeros(0),
        opening_rows=torch.zeros(0),
        mouth=torch.isin(part[nearest], torch.tensor([names[name] for name in MOUTH_PARTS if name in names])),
        skin=skin_vertex[nearest],
        mirror_texel=_mirror_texels(model, uv_map),
        graph=build_graph(_edges(model, skin_vertex.numpy()), len(points), _masses(model)),
        vertex_part=part,
        skin_vertex=skin_vertex,
        lid_vertices=lid_share(model),
        **_gather_lists(uv_map, corners, skin_vertex),
        ear_rims=_ear_rims(model),
        beside_ears=_beside_ears(model),
        grain=skin_grain(uv_map.texel, size),
        strands=torch.zeros(0),
        skull=centre,
        relief=torch.zeros(0),
        pores=torch.zeros(0),
        pore_tones=torch.zeros(0),
        eyes={},
        parts=names,
    )
    neck, scalp, ears, lids, lash_line, cavity = atlas.at_texels(
        torch.stack(
            [
                *(atlas.share(name) for name in ("neck", "scalp", "ears")),
                atlas.lid_vertices,
                lash_line_share(model),
                atlas.share("mouth_interior"),
            ],
            1,
        )
    ).T.contiguous()
    cavity = cavity * atlas.skin
    known = _known_skin(model, atlas)
    return replace(
        atlas,
        strands=strands(atlas.at_texels(points), centre, 0.0, HairLook()),
        relief=known[0],
        pores=known[1],
        pore_tones=known[2],
        eyes={
            name: build_eye_layout(name, atlas.rows_of(name), atlas.at_texels, model)
            for name in EYEBALLS
            if len(atlas.rows_of(name))
        },
        neck=neck,
        scalp=scalp,
        ears=ears,
        lids=lids,
        lash_line=lash_line.clamp(0, 1),
        cavity=cavity,
        neck_rows=(neck > 0).nonzero()[:, 0],
        mouth_rows=atlas.mouth.nonzero()[:, 0],
        opening_rows=((lids > 0) | (lash_line > 0) | (cavity > 0)).nonzero()[:, 0],
    )


def _known_skin(model: HeadModel, atlas: Atlas) -> tuple[Tensor, Tensor, Tensor]:  # [P, 3], [D, P], [D]
    """Relief and pores of the skin model, on this atlas' texels."""
    skin = load_skin_model(model)
    if skin is None:
        flat = torch.ones(len(atlas.places), 3)
        return flat, torch.zeros(0, len(flat)), torch.zeros(0)
    size = atlas.uv_map.size
    row, column = (2 * (atlas.uv_map.texel[None] // torch.tensor([[size], [1]]) % size) + 1) / size - 1
    grid = torch.stack([column, row], -1)[None, None]

    def read(maps: Tensor) -> Tensor:  # [C, S, S] -> [C, P]
        return functional.grid_sample(maps[None], grid, align_corners=False, padding_mode="border")[0, :, 0]

    # filled up beyond the islands' margin, where a zero would be a colour
    zero = np.zeros(len(skin.texel_basis))
    texels = read(torch.from_numpy(skin.texture_of(zero)).permute(2, 0, 1)).T
    calm = atlas.skin * (1 - atlas.at_texels(atlas.share("eye_sockets", "mouth_interior", "eyelids")[:, None])[:, 0])
    off = (texels - atlas.at_texels(torch.from_numpy(skin.mean.copy()))) * calm[:, None]
    pores = read(torch.from_numpy(skin.detail.astype(np.float32) * np.float32(DETAIL_STEP))) * atlas.skin
    relief = (off.clamp(-1, 1) / GAMMA).exp().contiguous()
    return relief, (pores / GAMMA).clamp(-DEEPEST, DEEPEST).contiguous(), torch.from_numpy(skin.detail_tone.copy())


def _ear_rims(model: HeadModel) -> tuple[tuple[Tensor, Tensor], ...]:
    """For each ear its vertices, and the lowest of those around its root: hair there hangs over the ear."""
    rims = []
    on_ears = _on_ears(model)
    for side in (1, -1):
        ear = on_ears & (side * model.template[:, 0] > 0)
        around = np.unique(model.faces[ear[model.faces].any(axis=1)])
        around = around[~ear[around]]
        if len(around):
            height = model.template[around, 1]
            low = around[height <= np.quantile(height, LOW_RIM)]
            rims.append((torch.from_numpy(np.flatnonzero(ear)), torch.from_numpy(low.astype(np.int64))))
    return tuple(rims)


def _beside_ears(model: HeadModel) -> Tensor:  # [V]
    on_ears = _on_ears(model)
    if not on_ears.any():
        return torch.zeros(len(model.template))
    far, _ = cKDTree(model.template[on_ears]).query(model.template)
    beside = 1 - smooth_step(torch.from_numpy(far.astype(np.float32)), *BESIDE)
    return torch.where(torch.from_numpy(on_ears), 0.0, beside)


def _on_ears(model: HeadModel) -> NDArray[np.bool_]:  # [V]
    return model.part == model.parts.index("ears") if "ears" in model.parts else np.zeros(len(model.part), bool)


def _lenders(uv_map: UvMap) -> tuple[Tensor, Tensor]:  # [Q], [Q]
    """For each texel beyond the islands' margin a covered one near it: smaller levels of the texture mix them."""
    size = uv_map.size
    places = torch.where(uv_map.covered, torch.arange(size * size).view(size, size), -1)
    levels = [places]
    while bool((levels[-1] < 0).any()) and len(levels[-1]) % 2 == 0:
        levels.append(functional.max_pool2d(levels[-1][None].double(), 2)[0].long())
    found = levels.pop()
    for level in reversed(levels):
        found = torch.where(level < 0, found.repeat_interleave(2, 0).repeat_interleave(2, 1), level)
    empty = (~uv_map.covered & (found >= 0)).view(-1).nonzero()[:, 0]
    return empty, found.view(-1)[empty]


def _row_of_texel(uv_map: UvMap) -> Tensor:  # [S * S] int64
    index = torch.full((uv_map.size**2,), -1, dtype=torch.int64)
    index[uv_map.texel] = torch.arange(len(uv_map.texel))
    return index


def _gather_lists(
    uv_map: UvMap,
    corners: Tensor,  # [P, 3]
    skin_vertex: Tensor,  # [V] bool
) -> dict[str, Tensor]:
    """For each skin vertex the texels of its triangles, on a checkerboard: half of them tell enough."""
    row, column = uv_map.texel // uv_map.size, uv_map.texel % uv_map.size
    chosen = ((row + column) % 2 == 0) & uv_map.islands.view(-1)[uv_map.texel] & skin_vertex[corners].all(1)
    rows = chosen.nonzero()[:, 0]
    vertex = corners[rows].reshape(-1)
    order = vertex.argsort(stable=True)
    weight = uv_map.bary[rows].reshape(-1)
    count = torch.bincount(vertex, minlength=len(skin_vertex))
    around = torch.zeros(len(skin_vertex)).index_add_(0, vertex, weight)
    return {
        "gathered": rows.repeat_interleave(3)[order].int(),
        "gather_first": torch.cat([torch.zeros(1), count.cumsum(0)]).int(),
        "gather_weight": weight[order].contiguous(),
        "texels_around": around.clamp_min(1e-3),
    }


def _edges(model: HeadModel, skin_vertex: NDArray[np.bool_]) -> Tensor:
    """[E, 2] the edges of the skin's triangles, each once."""
    faces = model.faces[skin_vertex[model.faces].all(axis=1)].astype(np.int64)
    pairs = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return torch.from_numpy(np.unique(pairs, axis=0))


def _masses(model: HeadModel) -> Tensor | None:
    """[V] the surface that a vertex stands for, beside what the open head's does there; None on the open head."""
    place = model.correspondence
    if place is None:
        return None
    own = vertex_areas(model.template, model.faces)
    there = place.to_model(vertex_areas(place.laid, load_head().faces)[:, None])[:, 0]
    return torch.from_numpy((own / there.clip(1e-12)).clip(*MASSES).astype(np.float32))


def _mirror_texels(model: HeadModel, uv_map: UvMap) -> Tensor:
    """[P] for each covered texel the covered texel that shows the mirrored point; itself where there is none."""
    uv = _mirrored_corner_uvs(model)  # [F, 3, 2]
    at = torch.einsum("pk,pkd->pd", uv_map.bary, torch.from_numpy(uv)[uv_map.face])
    size = uv_map.size
    column = (at[:, 0] * size).floor().long().clamp(0, size - 1)
    row = ((1 - at[:, 1]) * size).floor().long().clamp(0, size - 1)
    found = _row_of_texel(uv_map)[row * size + column]
    return torch.where(found >= 0, found, torch.arange(len(found))).int()


def _mirrored_corner_uvs(
    model: HeadModel,
) -> NDArray[np.float32]:  # [F, 3, 2]
    """Where the mirrored triangle has each of a triangle's corners; the triangle's own UVs where there is none."""
    if model.correspondence is not None and model.correspondence.shares_layout:
        return _flipped_corner_uvs(model)
    faces = model.faces.astype(np.int64)
    count = len(model.template)

    def key(triangles: I64) -> I64:
        a, b, c = np.sort(triangles, axis=1).T
        return np.asarray((a * count + b) * count + c)

    own = key(faces)
    order = np.argsort(own)
    image = model.mirror[faces].astype(np.int64)
    place = np.searchsorted(own[order], key(image)).clip(0, len(faces) - 1)
    twin = order[place]
    matched = own[twin] == key(image)
    twin = np.where(matched, twin, np.arange(len(faces)))
    image = np.where(matched[:, None], image, faces)
    # the twin's corner that is the mirror image of corner k
    slot = (faces[twin][:, None, :] == image[:, :, None]).argmax(axis=2)
    return np.asarray(model.uvs[np.take_along_axis(model.uv_faces[twin].astype(np.int64), slot, axis=1)], np.float32)


def _flipped_corner_uvs(model: HeadModel) -> NDArray[np.float32]:  # [F, 3, 2]
    """The same in the open head's layout, whose skin and eyeballs are symmetric, for a mesh that is not."""
    own = model.uvs[model.uv_faces]
    names = np.array(model.parts)[model.part[model.faces[:, 0]]]
    symmetric = np.isin(names, [name for name in (*SKIN_PARTS, *EYEBALLS) if name not in ASYMMETRIC])
    return np.where(symmetric[:, None, None], own * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32), own)
