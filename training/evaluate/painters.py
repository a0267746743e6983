"""How the heads of an evaluation are drawn: as meshes, as Gaussians laid over them, or as a peer draws its own.

Frame: view frame, metres. Dims: N Gaussians, V vertices, F triangles, K blendshapes, J joints, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.weights import read_info
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.viewing.gaussians import Gaussians, cover, quaternions, rotation_of
from meshlam_core.viewing.viewer import AvatarRenderer, Pose, photo_pose, upright
from training.evaluate.photo import Painter
from training.evaluate.splatter import splat
from training.peers import Peer, PeerPainter, open_peer
from training.pictures.portraits import look_at
from training.rigs import training_rig, without_lashes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

FLAT = 1e-12  # m^2 of a triangle, below which its Gaussians are not bent with it


class Way(Protocol):
    """One row of the evaluation."""

    @property
    def options(self) -> ReconstructOptions:
        """How the avatar is made, whose rig the poses are for."""

    def budget(self) -> tuple[str, str]:
        """What is drawn, and what it was trained with."""

    def painter(self, avatar: Avatar, photo: Path, session: Session) -> Painter:
        """The head of a photo."""


@dataclass(frozen=True)
class MeshWay:
    """The avatar as it is."""

    options: ReconstructOptions
    learnt: str

    def budget(self) -> tuple[str, str]:
        """A texture on triangles."""
        return f"mesh, texture of {self.options.texture_size} px", self.learnt

    def painter(self, avatar: Avatar, photo: Path, session: Session) -> Painter:
        """The viewer's own."""
        del photo, session
        return AvatarRenderer(avatar)


@dataclass(frozen=True)
class GaussianWay:
    """Gaussians on the avatar's mesh, as `meshlam export --gaussians` lays them."""

    options: ReconstructOptions
    learnt: str
    count: int

    def budget(self) -> tuple[str, str]:
        """Gaussians; they are laid, not trained."""
        return f"{self.count} Gaussians on the mesh, fitted to nothing", self.learnt

    def painter(self, avatar: Avatar, photo: Path, session: Session) -> Painter:
        """The splatter."""
        del photo, session
        return GaussianPainter(avatar, self.count)


@dataclass(frozen=True)
class PeerWay:
    """A peer of the paper's, trained by `python -m training train --peer`."""

    options: ReconstructOptions
    learnt: str
    name: str
    peer: Peer

    def budget(self) -> tuple[str, str]:
        """What the peer draws."""
        drawn = "mesh, rendered features, UNet" if self.name == "rome" else "a Gaussian a triangle"
        return f"{drawn}; starts from our hull fit", self.learnt

    def painter(self, avatar: Avatar, photo: Path, session: Session) -> Painter:
        """The peer's own."""
        del avatar
        head: HeadModel = session.head
        seen = look_at(photo, session.detector, head)
        return PeerPainter(self.peer, seen.photo, without_lashes(training_rig(head), head))


def find_ways(
    meshes: Mapping[str, ReconstructOptions],  # the last one carries the Gaussians
    gaussians: int,
    peers: Mapping[str, Peer],
    notes: Mapping[str, str],  # what was trained with what, where it was
) -> dict[str, Way]:
    """All rows."""
    found: dict[str, Way] = {name: MeshWay(options, notes.get(name, "nothing")) for name, options in meshes.items()}
    best = list(meshes)[-1]
    if gaussians:
        found[f"Gaussians on {best}"] = GaussianWay(meshes[best], notes.get(best, "nothing"), gaussians)
    return found | {name: PeerWay(meshes["hull"], notes[name], name, peer) for name, peer in peers.items()}


def open_peers(paths: tuple[Path, ...], head: HeadModel) -> tuple[dict[str, Peer], dict[str, str]]:
    """Peers and what each was trained with, by name."""
    peers, notes = {}, {}
    for path in paths:
        name, peer = open_peer(path, head)
        peers[name], notes[name] = peer, learnt_by(path)
    return peers, notes


def learnt_by(weights: Path) -> str:
    """What weights say of their training."""
    notes = read_info(weights).notes
    told = [str(notes[name]) + unit for name, unit in (("samples", " samples"), ("minutes", " min")) if name in notes]
    return ", ".join([f"stage {notes.get('stage', 'unknown')}", *told])


class GaussianPainter:
    """Gaussians laid over the head in the photo's expression, which follow its triangles.

    Their colours are those of views like the photo's, its outline included, whatever the view.
    """

    def __init__(self, avatar: Avatar, count: int) -> None:
        self.renderer = AvatarRenderer(replace(avatar, strands=None))
        pose = upright(photo_pose(avatar))
        rest = self.renderer.posed(pose)
        outlined = rest.new_ones(len(rest))
        self.gaussians = cover(self.renderer.mesh, rest, count, self.renderer.folded(pose.expression), outlined)
        self._rest = rest.cpu().numpy().astype(np.float64)

    def draw_pose(self, expression: F32, rotations: F32, translation: F32, camera: Camera) -> U8:
        """The splats."""
        posed = self.renderer.posed(Pose(expression, rotations)).cpu().numpy().astype(np.float64) + translation
        return splat(carried(self.gaussians, self.renderer.avatar.faces, self._rest, posed), camera)


def carried(
    gaussians: Gaussians,
    faces: NDArray[np.int32],  # [F, 3]
    rest: F64,  # [V, 3] m, where they were laid
    posed: F64,  # [V, 3] m
) -> Gaussians:
    """The Gaussians as their triangles have moved, turned and stretched them."""
    before, after = rest[faces[gaussians.triangles]], posed[faces[gaussians.triangles]]  # [N, 3, 3]
    start, end = _frames(before), _frames(after)
    whole = np.abs(np.linalg.det(start)) > FLAT
    start[~whole] = end[~whole] = np.eye(3)
    moved = end @ np.linalg.inv(start)
    axes = moved @ (rotation_of(gaussians.rotations) * gaussians.scales[:, None])
    turned, scales, _ = np.linalg.svd(axes)
    turned[..., 2] *= np.linalg.det(turned)[:, None]
    normals = _unit(end[..., 2])
    return replace(
        gaussians,
        centres=np.einsum("nk,nkd->nd", gaussians.barycentrics, after).astype(np.float32),
        normals=np.where(whole[:, None], normals, gaussians.normals).astype(np.float32),
        scales=scales.astype(np.float32),
        rotations=quaternions(turned).astype(np.float32),
    )


def _frames(
    corners: F64,
) -> F64:  # [N, 3, 3] -> [N, 3, 3] two edges and the normal as columns, the normal as long as they
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(first, second)
    length = np.sqrt(np.linalg.norm(normal, axis=1, keepdims=True))
    return np.stack([first, second, normal / np.maximum(length, 1e-12)], 2)


def _unit(vectors: F64) -> F64:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
