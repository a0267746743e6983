"""A tiny head, preset and photo on which the whole network runs in milliseconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.borders import border_fields
from meshlam_core.model.config import Preset, preset
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.state import Photo, make_rig
from tests.sample_avatar import make_avatar

SIZE = 64  # px, side of the photo


def tiny_head(rows: int = 10, columns: int = 14) -> HeadModel:
    """The sample avatar's mesh as a head model: a round head with two eyeballs."""
    avatar = make_avatar(rows, columns)
    count = len(avatar.vertices)
    rng = np.random.default_rng(3)
    regressor = rng.random((len(avatar.joints), count)).astype(np.float32)
    return HeadModel(
        name="tiny",
        licence="CC0-1.0",
        template=avatar.vertices,
        faces=avatar.faces,
        uvs=avatar.uvs,
        uv_faces=avatar.uv_faces,
        part=avatar.part,
        parts=avatar.parts,
        identity_basis=np.zeros((2, count, 3), np.float32),
        blendshapes=avatar.blendshapes,
        blendshape_names=avatar.blendshape_names,
        blendshape_ranges=avatar.blendshape_ranges,
        blendshape_kind="arkit",
        joint_regressor=regressor / regressor.sum(1, keepdims=True),
        joint_names=avatar.joint_names,
        joint_parents=avatar.joint_parents,
        weights=avatar.weights,
        landmark_faces=np.zeros(4, np.int32),
        landmark_bary=np.full((4, 3), 1 / 3, np.float32),
        landmark_weight=np.ones(4, np.float32),
        mirror=np.arange(count, dtype=np.int32),
    )


def tiny_preset(**changes: object) -> Preset:
    """All parts at a few channels each."""
    sizes = {"backbone_size": 64, "feature_grid": 4, "width": 16, "heads": 2, "frequencies": 4, "token_grid": 8}
    sizes |= {
        "texture_grid": 32,
        "latent_stride": 2,
        "latent_width": 8,
        "geometry_hidden": 16,
        "texture_hidden": 8,
        "error_size": 48,
    }
    sizes |= {"error_width": 8, "target_vertices": 400}
    return preset("small").with_changes(**{"correction": "none"} | sizes | changes)


def tiny_photo(batch: int = 1, head: HeadModel | None = None, size: int = SIZE, seed: int = 0) -> Photo:
    """Noise photos of the head seen from the front, each turned a little."""
    head = head or tiny_head()
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.from_numpy(head.template)[None].repeat(batch, 1, 1)
    joints = torch.from_numpy(make_avatar(10, 14).joints)[None].repeat(batch, 1, 1)
    rotations = torch.zeros(batch, 5, 3)
    rotations[:, 0, 1] = torch.linspace(-0.2, 0.2, batch) if batch > 1 else 0.1
    expression = torch.zeros(batch, len(head.blendshapes))
    expression[:, 24] = 0.3
    camera = Camera(size * 2.2, (size / 2, size / 2), (size, size))
    return Photo(
        image=torch.rand(batch, 3, size, size, generator=generator),
        mask=torch.ones(batch, 1, size, size),
        cameras=(camera,) * batch,
        rotations=rotations,
        translation=torch.tensor([[0.0, -0.17, -0.7]]).repeat(batch, 1),
        expression=expression,
        vertices=vertices,
        joints=joints,
        texture=torch.rand(batch, 3, 64, 64, generator=generator),
        borders=border_fields(_round_masks(batch)),
    )


def _round_masks(batch: int) -> torch.Tensor:  # [B, 3, 32, 32]
    """Hair around a person's head, all of it known."""
    at = (torch.arange(32) + 0.5) / 16 - 1
    radius = (at[:, None].square() + at.square()).sqrt()
    person = (radius < 0.8).float()
    hair = person * (at < -0.2).float()[:, None]
    return torch.stack([hair, person, torch.ones(32, 32)])[None].repeat(batch, 1, 1, 1)


def awake(network: MeshLAM, seed: int = 1, scale: float = 0.2) -> MeshLAM:
    """The network with random numbers in its zero-initialised layers, so that every output does something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad and not bool(parameter.any()):
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return network


def tiny_network(seed: int = 0, **changes: object) -> MeshLAM:
    """A network that moves vertices and colours."""
    return awake(MeshLAM(tiny_preset(**changes), seed=seed).eval())


TINY_HEAD = tiny_head()
TINY_RIG = make_rig(TINY_HEAD)


def changed(head: HeadModel, **fields: object) -> HeadModel:
    """A head model with other arrays."""
    return dataclasses.replace(head, **fields)  # type: ignore[arg-type]


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **header: str) -> None:
    """Change a file behind its author's back."""
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
        values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    save_file(values | (tensors or {}), path, metadata=metadata | header)
