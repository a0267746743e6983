"""Put the cropped skin, teeth, tongue and lashes together with the round eyeballs into one mesh.

Frame: MakeHuman's, decimetres. Dims: S source vertices, C cropped vertices, E vertices of one eyeball,
V = C + 2 E head vertices, F triangles. Order: skin, teeth, tongue, lashes, left eyeball, right eyeball.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from meshlam_core.head.builder.crop import Crop, crop_head
from meshlam_core.head.builder.density import refined, thinned
from meshlam_core.head.builder.eyes import Ball, EyeMesh, eye_mesh, fit_ball, moved_with_shape, turned_by_gaze
from meshlam_core.head.builder.mend import closed_bite, closed_lips
from meshlam_core.head.builder.parts import PARTS, crop_parts
from meshlam_core.head.builder.source import F64, I64, Source, SourceMesh

NAPE = 0.3  # dm: the back of the neck lies behind this z
FOREHEAD = 7.9  # dm: above it the face's triangles are as large as the scalp's
HIDDEN = {"eye_sockets": 140, "mouth_interior": 150}  # vertices kept off the borders of what is hardly ever seen


@dataclass(frozen=True)
class Assembly:
    """Topology of the head, its template, and how source displacements reach it."""

    template: F64  # [V, 3] dm
    faces: I64  # [F, 3]
    part: NDArray[np.uint8]  # [V]
    mirror: I64  # [V]
    crop: Crop
    eye: EyeMesh
    balls: tuple[Ball, Ball]  # left, right
    helpers: tuple[I64, I64]  # source vertices of the helper eyes
    source_template: F64  # [S, 3] dm

    def eyeball(self, side: int) -> I64:  # [E]
        """Vertices of the left (0) or right (1) eyeball."""
        count = len(self.eye.directions)
        return len(self.crop.source) + side * count + np.arange(count)

    def vertices_of(self, *names: str) -> I64:
        """Vertices of some parts."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(name) for name in names]))

    def carry(
        self,
        offsets: F64,  # [S, 3] dm, a target
        gaze: bool = False,  # turn the eyeballs instead of moving them
    ) -> F64:  # [V, 3] dm
        """A source displacement on the head's vertices."""
        follow = turned_by_gaze if gaze else moved_with_shape
        eyeballs = [
            follow(self.source_template[helper], offsets[helper], self.eye.directions, ball)
            for helper, ball in zip(self.helpers, self.balls, strict=True)
        ]
        return np.concatenate([self.crop.mix @ offsets, *eyeballs])

    def skin_weights_mix(self) -> sp.csr_matrix:  # [V, S], empty rows for the eyeballs
        """The crop's mixing matrix with rows for every head vertex."""
        empty = sp.csr_matrix((2 * len(self.eye.directions), self.crop.mix.shape[1]))
        return sp.vstack([self.crop.mix, empty], format="csr")


def redistributed(source: Source, mesh: SourceMesh, crop: Crop, vertices: F64) -> Crop:
    """More vertices on scalp and nape, fewer in the eye sockets and the mouth."""
    part = crop_parts(source, mesh, crop, crop.mix @ vertices)

    def is_part(*names: str) -> NDArray[np.bool_]:
        return np.asarray(np.isin(part, [PARTS.index(name) for name in names]))

    height, depth = (crop.mix @ vertices)[:, 1], (crop.mix @ vertices)[:, 2]
    hairy = is_part("scalp") | (is_part("neck") & (depth < NAPE)) | (is_part("face") & (height > FOREHEAD))
    chosen = hairy[crop.faces].any(axis=1) & ~is_part("ears", "eyelids")[crop.faces].any(axis=1)
    crop = refined(crop, chosen)
    for name, keep in HIDDEN.items():
        cropped = crop.mix @ vertices
        own = crop_parts(source, mesh, crop, cropped) == PARTS.index(name)
        beside = np.zeros(len(own), bool)
        beside[crop.faces[~own[crop.faces].all(axis=1)]] = True
        crop = thinned(crop, cropped, own & ~beside, keep)
    return crop


def assemble(
    source: Source,
    mesh: SourceMesh,
    vertices: F64,  # [S, 3] dm, the template in the source topology
) -> Assembly:
    """Crop, add the eyeballs, name the parts."""
    crop = redistributed(source, mesh, crop_head(mesh, vertices), vertices)
    cropped = crop.mix @ vertices
    eye = eye_mesh()
    group = np.array(mesh.group)
    helpers = (np.unique(mesh.quads[group == "helper-l-eye"]), np.unique(mesh.quads[group == "helper-r-eye"]))
    left = fit_ball(vertices[helpers[0]])
    right = Ball(left.centre * [-1, 1, 1], left.radius)
    count, size = len(crop.source), len(eye.directions)
    eyeballs = [ball.centre + ball.radius * eye.directions for ball in (left, right)]
    part = [
        crop_parts(source, mesh, crop, cropped),
        np.full(size, PARTS.index("eyeball_left")),
        np.full(size, PARTS.index("eyeball_right")),
    ]
    assembly = Assembly(
        template=np.concatenate([cropped, *eyeballs]),
        faces=np.concatenate([crop.faces, eye.faces + count, eye.faces + count + size]),
        part=np.concatenate(part).astype(np.uint8),
        mirror=np.concatenate([crop.mirror, count + size + eye.mirror, count + eye.mirror]),
        crop=crop,
        eye=eye,
        balls=(left, right),
        helpers=helpers,
        source_template=vertices,
    )
    lips = assembly.vertices_of("lips", "mouth_interior")
    jaw_open = assembly.carry(source.face_unit("jawOpen", len(vertices)))
    template = closed_lips(assembly.template, assembly.faces, lips, jaw_open)
    template = closed_bite(template, assembly.vertices_of("teeth_upper"), assembly.vertices_of("teeth_lower"))
    return replace(assembly, template=template)
