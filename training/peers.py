"""The methods that the paper compares itself with, made of our parts, to be trained and measured as ours is.

    rome         one-shot vertex offsets; features on the texture, rasterised, become a picture in an image-space UNet
                 (Khakhulin et al. 2022, "Realistic One-shot Mesh-based Head Avatars")
    lam          one-shot offsets; a Gaussian on every triangle, all it has read from the vertices' features
                 (He et al. 2025, "LAM: Large Avatar Model for One-shot Animatable Gaussian Head")
    lam_on_mesh  the same Gaussians on the mesh that our loop refines, the paper's best row

What differs from the originals: backbone, sizes, start (our hull fit, where theirs is the bald head model) and data are
those of our network; nothing of theirs is copied.
Frames and units: frames.py. Dims: B heads, N views a head, M = B * N, V vertices, F triangles, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.errors import AssetError
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.head.skinning import rotation_matrices
from meshlam_core.model.config import PEERS, Preset
from meshlam_core.model.loop import Step
from meshlam_core.model.network import GREY, MeshLAM
from meshlam_core.model.render import Posed, animate, look, shade
from meshlam_core.model.renderer import NeuralRenderer, RendererSize
from meshlam_core.model.state import Photo, Rig
from meshlam_core.model.weights import load_weights, read_info
from training.losses import LossWeights, Perceptual, decayed, laplacian_loss, vertex_loss
from training.splat import splat
from training.views import Sample, view_normals

NOTE = "peer"  # in the weights' notes
OPAQUE = 4.0  # logit of the Gaussians' opacity before training
FLAT = 0.1  # thickness of a Gaussian before training, in its width


class Views(Posed, Protocol):
    """Poses with their cameras."""

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """M, all of one size."""


class Peer(MeshLAM):
    """A network whose heads are drawn in a way of their own."""

    def draw(self, step: Step, photo: Photo, views: Views) -> tuple[Tensor, Tensor]:
        """[M, 3, H, W] 0..1 on black and [M, 1, H, W] alpha of heads as `views` show them, which follow the heads."""
        raise NotImplementedError


class Rome(Peer):
    """Rendered features, and a UNet that makes the picture; the first three features are the colours it starts from."""

    def __init__(self, preset: Preset, seed: int = 0) -> None:
        super().__init__(preset, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.renderer = NeuralRenderer(RendererSize(colours=preset.latent_width))

    def draw(self, step: Step, photo: Photo, views: Views) -> tuple[Tensor, Tensor]:
        state, rig, each = step.state, step.rig, len(views.cameras) // len(photo)
        view = look(animate(state.vertices.repeat_interleave(each, 0), rig, views), rig, views.cameras)
        latent = state.latent.repeat_interleave(each, 0)
        grey = torch.full_like(latent[:, :3], GREY)  # black features would have no gradient
        features = shade(view, rig, torch.cat([latent[:, :3] + grey, latent[:, 3:]], 1))
        deepest = self.backbone(photo.resized(self.preset.backbone_size).image)[-1].repeat_interleave(each, 0)
        multiple = 2 ** (len(self.renderer.size.widths) - 1)
        height, width = features.shape[-2:]
        pad = (0, -width % multiple, 0, -height % multiple)
        inputs = (functional.pad(x, pad) for x in (features, view.mask.to(features.dtype), view_normals(view, rig)))
        picture, alpha = (image[..., :height, :width] for image in self.renderer(*inputs, deepest))
        return picture * alpha, alpha


class Lam(Peer):
    """One Gaussian a triangle."""

    def __init__(self, preset: Preset, seed: int = 0) -> None:
        super().__init__(preset, seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # offset 3, logarithms of scales 3, turn 3, colour 3, opacity 1
            self.gaussians = nn.Sequential(
                nn.Linear(preset.width, preset.width), nn.GELU(), nn.Linear(preset.width, 13)
            )
            last = self.gaussians[-1]
            assert isinstance(last, nn.Linear)
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def draw(self, step: Step, photo: Photo, views: Views) -> tuple[Tensor, Tensor]:
        state, rig, each = step.state, step.rig, len(views.cameras) // len(photo)
        read = self.gaussians(state.vertex_features[:, rig.faces].mean(2)).float()  # [B, F, 13]
        offset, size, turn, colour, opacity = read.repeat_interleave(each, 0).split([3, 3, 3, 3, 1], -1)
        corners = animate(state.vertices.repeat_interleave(each, 0), rig, views)[:, rig.faces]  # [M, F, 3, 3]
        frame, side = triangle_frames(corners)
        centres = corners.mean(2) + (frame @ (side * offset)[..., None])[..., 0]
        flat = size.new_tensor([1.0, 1.0, FLAT])
        axes = frame @ rotation_matrices(turn) * (side * flat * size.clamp(-3, 3).exp())[..., None, :]
        alpha, colours = (opacity[..., 0] + OPAQUE).sigmoid(), colour.sigmoid()
        drawn = torch.stack([splat(*one) for one in zip(centres, axes, alpha, colours, views.cameras, strict=True)])
        return drawn[:, :3], drawn[:, 3:]


KINDS: dict[str, type[Rome] | type[Lam]] = {"rome": Rome, "lam": Lam, "lam_on_mesh": Lam}


def triangle_frames(corners: Tensor) -> tuple[Tensor, Tensor]:  # [..., 3, 3] -> [..., 3, 3] axes as columns, [..., 1] m
    """Along the first edge, across it, along the normal; and how wide a triangle is, so that neighbours overlap."""
    along, other = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    normal = torch.linalg.cross(along, other)
    side = normal.norm(dim=-1, keepdim=True).clamp_min(1e-12).sqrt() / 2
    along = functional.normalize(along, dim=-1, eps=1e-9)
    normal = functional.normalize(normal, dim=-1, eps=1e-12)
    return torch.stack([along, torch.linalg.cross(normal, along), normal], -1), side


def make_peer(name: str, preset: Preset, seed: int = 0) -> Peer:
    """An untrained peer of a preset's size."""
    return KINDS[name](preset.with_changes(**PEERS[name]), seed)


def begin_from(peer: Peer, path: Path) -> None:
    """Fill what a peer has in common with weights of ours, whose mesh lam_on_mesh is to refine."""
    read_info(path)
    with safe_open(path, framework="pt") as file, torch.no_grad():
        names = set(file.keys())
        for name, value in peer.state_dict().items():
            if name in names and (found := file.get_tensor(name)).shape == value.shape:
                value.copy_(found)


def open_peer(path: Path, head: HeadModel) -> tuple[str, Peer]:
    """A trained one, by its name; AssetError where the file is of none, or does not fit."""
    info = read_info(path)
    name = str(info.notes.get(NOTE, ""))
    if name not in KINDS:
        raise AssetError(f"The weights {path}: expected those of {', '.join(KINDS)}, got notes of peer {name!r}.")
    peer = KINDS[name](info.preset)
    load_weights(peer, info.preset, head, path)
    peer.eval()
    return name, peer


class PeerStage:
    """The losses of ours that a peer's pictures can have, as a stage of the trainer: colour, outline and the truth."""

    def __init__(self, batch: Any, rig: Rig, weights: LossWeights, perceptual: Perceptual | None = None) -> None:
        self.batch, self.rig, self.weights, self.perceptual = batch, rig, weights, perceptual

    def loss(self, network: MeshLAM, batch: Sample) -> Tensor:  # []
        """Of the picture after the last step, and of every step's shape."""
        assert isinstance(network, Peer)
        weights, targets = self.weights, batch.targets
        steps = network(batch.photo, self.rig)
        drawn, alpha = network.draw(steps[-1], batch.photo, targets)
        wanted = targets.image * targets.mask
        loss = weights.image * (drawn - wanted).square().mean() + weights.mask * (alpha - targets.mask).square().mean()
        if self.perceptual is not None and weights.perceptual:
            loss = loss + weights.perceptual * self.perceptual(drawn, wanted)
        shape = [weights.laplacian * laplacian_loss(s.state.vertices - batch.photo.vertices, self.rig) for s in steps]
        if batch.vertices is not None and weights.vertex:
            pairs = zip(shape, steps, strict=True)
            shape = [one + weights.vertex * vertex_loss(s.state.vertices, batch.vertices) for one, s in pairs]
        return loss + decayed(shape, weights.decay)


class PeerPainter:
    """A peer's head of one photo, ready to be drawn many times."""

    def __init__(self, peer: Peer, photo: Photo, rig: Rig) -> None:
        self.peer, self.photo = peer, photo
        with torch.no_grad():
            self.step = peer(photo, rig)[-1]

    def draw_pose(
        self,
        expression: NDArray[np.float32],  # [K]
        rotations: NDArray[np.float32],  # [J, 3] axis-angle, rad
        translation: NDArray[np.float32],  # [3] m
        camera: Camera,
    ) -> NDArray[np.uint8]:  # [H, W, 4] sRGB and alpha
        """The head as a camera sees it."""
        turned, moved, bent = (
            torch.from_numpy(np.array(one, np.float32))[None] for one in (rotations, translation, expression)
        )
        views = _Placed(turned, moved, bent, self.photo.joints, (camera,))
        with torch.no_grad():
            drawn, alpha = self.peer.draw(self.step, self.photo, views)
        straight = (drawn / alpha.clamp_min(1e-6)).clamp(0, 1) * (alpha > 0.5 / 255)
        both = torch.cat([straight, alpha.clamp(0, 1)], 1)[0].permute(1, 2, 0)
        return np.asarray((both * 255).round().byte().numpy())


@dataclass(frozen=True)
class _Placed:
    rotations: Tensor
    translation: Tensor
    expression: Tensor
    joints: Tensor
    cameras: tuple[Camera, ...]
