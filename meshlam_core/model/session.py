"""The network as the pipeline sees it: tracked heads and pictures in, refined heads as plain numpy arrays out.

    refiner = Refiner.open(bundled_weights("small"), head)   # model/files.py knows where weights lie
    refined = refiner.refine([RefineJob(...), ...])          # photos go through the network together

Frames and units: frames.py. Dims: V vertices, F triangles, U texture vertices, J joints, K blendshapes, D texture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.frames import Camera
from meshlam_core.head.hair_transfer import hair_of
from meshlam_core.head.model import HeadModel
from meshlam_core.model.backbone.dinov2 import load_dinov2
from meshlam_core.model.borders import SIDE, border_fields
from meshlam_core.model.config import Preset, preset
from meshlam_core.model.files import find_backbone
from meshlam_core.model.geometry import STAGE, shape_heads
from meshlam_core.model.network import MeshLAM, Reconstruction, autocast
from meshlam_core.model.state import Photo, Rig, is_finite, make_rig
from meshlam_core.model.weights import AGAIN, WeightsInfo, check_fit, load_weights, read_info
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import TrackedFace

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

MAX_PHOTO = 1024  # px, side of the pictures that the network compares and unwraps


@dataclass(frozen=True)
class RefineJob:
    """One tracked photo."""

    tracked: TrackedFace
    picture: U8  # [h, w, 3] sRGB, the crop around the head
    person: F32  # [h, w] 0..1, what of it may colour the head: skin and hair, not clothes
    camera: Camera  # of the picture
    albedo: U8  # [D, D, 3] sRGB, the texture stage's; not looked at where only shapes are wanted
    regions: Regions | None = None  # of the picture; None: where hair and person end is not known


@dataclass(frozen=True)
class RefinedHead:
    """What replaces the tracker's geometry and texture in the avatar. Joints stay those of the tracker's head."""

    vertices: F32  # [V, 3] neutral, m
    faces: I32  # [F, 3]
    uvs: F32  # [U, 2]
    uv_faces: I32  # [F, 3]
    part: U8  # [V]
    weights: F32  # [V, J]
    blendshapes: F32  # [K, V, 3]
    pose_correctives: F32 | None  # [36, V, 3]
    albedo: U8  # [D, D, 3] sRGB
    albedo_seen: U8  # [D, D] 255 where the texel is the photo's own


class Refiner:
    """A loaded network and the rig of its head model; stays warm between photos."""

    def __init__(self, network: MeshLAM, head: HeadModel, device: str = "cpu", info: WeightsInfo | None = None) -> None:
        self.network = network.eval().to(device)
        self.head = head
        self.rig: Rig = make_rig(head, network.preset.target_vertices, hair_of(head)).to(device)
        self.device = device
        self.info = info

    @classmethod
    def open(
        cls,
        weights: Path,
        head: HeadModel,
        device: str = "cpu",
        backbone: nn.Module | None = None,
        preset_name: str = "",  # that must be; empty takes the file's own
        backbone_folder: str = "auto",  # of DINOv2, where the preset needs it
    ) -> Refiner:
        """Load weights; AssetError when they don't belong to this version, preset or head model."""
        make_rig(head)  # refuses a head model without texture coordinates or parts before anything is loaded
        info = read_info(weights)
        wanted = _wanted_preset(preset_name or info.preset.name, weights)
        check_fit(info, wanted, head, weights)
        if backbone is None and wanted.backbone == "dinov2":
            backbone = load_dinov2(find_backbone(backbone_folder), _backbone_hash(info, weights))
        network = MeshLAM(wanted, backbone)
        return cls(network, head, device, load_weights(network, wanted, head, weights))

    def refine(
        self,
        jobs: Sequence[RefineJob],
        texture_size: int = 1024,
        precision: str = "float32",
        on_step: Callable[[float], None] = lambda fraction: None,
    ) -> list[RefinedHead]:
        """Refine photos together; the results do not depend on which photos share a batch."""
        if not jobs:
            return []
        singles = [make_photo(job, self.head, self.device) for job in jobs]
        side = max(single.image.shape[-1] for single in singles)
        photo = _stack([single.resized(side) for single in singles])
        photo.check(self.rig)
        autocast(precision, photo.image.device)
        try:
            rigs = [self._own_rig(job.tracked) for job in jobs]
            found = self.network.reconstruct(photo, self.rig, texture_size, precision, on_step, rigs)
        except UsageError as error:  # the input is good: finite weights may be far too large to compute with
            raise self._runaway(error.message) from error
        for result in found:
            if not (is_finite(result.vertices) and is_finite(result.texture)):
                raise self._runaway("expected a finite head, got NaN or infinity.")
        return [_to_numpy(result) for result in found]

    @property
    def shapes_only(self) -> bool:
        """Whether the weights know the head's shape alone, so that the texture stage is to paint what they give."""
        return self.info is not None and self.info.notes.get("stage") == STAGE

    def reshape(self, job: RefineJob) -> F32:  # [V, 3] m
        """The head of one photo in the head model's topology, hair and all; nothing is painted."""
        photo = make_photo(job, self.head, self.device)
        try:
            vertices = shape_heads(self.network, photo, self._own_rig(job.tracked))
        except UsageError as error:  # the input is good: finite weights may be far too large to compute with
            raise self._runaway(error.message) from error
        return np.asarray(vertices[0].cpu().numpy(), np.float32)

    def _own_rig(self, tracked: TrackedFace) -> Rig:
        """The rig with this person's own blendshapes and hair that follows the skull, where the tracker found some."""
        if tracked.blendshapes is None and tracked.hair is None:
            return self.rig
        shapes, weights = tracked.blendshapes_on(self.head), tracked.weights_on(self.head)
        return replace(
            self.rig,
            blendshapes=torch.from_numpy(np.array(shapes, np.float32)).to(self.rig.blendshapes),
            weights=torch.from_numpy(np.array(weights, np.float32)).to(self.rig.weights),
        )

    def _runaway(self, trouble: str) -> AssetError:
        name = self.info.file if self.info else "given"
        return AssetError(f"The weights {name} give no head: {trouble}", AGAIN)


def _wanted_preset(name: str, weights: Path) -> Preset:
    try:
        return preset(name)
    except UsageError as error:
        raise AssetError(f"The weights {weights} are of another preset: {error.message}", AGAIN) from error


def _backbone_hash(info: WeightsInfo, weights: Path) -> str:
    """The DINOv2 that the network was trained on: another one gives other features, and heads that look plausible."""
    found = info.notes.get("backbone_sha256")
    if not isinstance(found, str) or not found:
        raise AssetError(f"The weights {weights}: expected backbone_sha256 among their notes, got none.", AGAIN)
    return found


def make_photo(job: RefineJob, head: HeadModel, device: str = "cpu") -> Photo:
    """A batch of one: the picture on a square canvas, at most MAX_PHOTO pixels wide."""
    height, width = job.picture.shape[:2]
    if job.person.shape != (height, width) or job.camera.size != (width, height):
        raise UsageError(
            f"picture: expected person and camera of {width}x{height} px, "
            f"got {job.person.shape[1]}x{job.person.shape[0]} and {job.camera.size}."
        )
    side = max(height, width)
    image, mask = torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side)
    image[0, :, :height, :width] = _colours(job.picture)
    mask[0, 0, :height, :width] = torch.from_numpy(np.ascontiguousarray(job.person, np.float32))
    tracked = job.tracked
    photo = Photo(
        image=image,
        mask=mask,
        cameras=(replace(job.camera, size=(side, side)),),
        rotations=_row(tracked.rotations),
        translation=_row(tracked.translation),
        expression=_row(tracked.expression),
        vertices=_row(tracked.surface),
        joints=_row(head.joints(tracked.vertices)),
        texture=_colours(job.albedo)[None],
        borders=_borders(job, side),
    )
    return photo.resized(min(side, MAX_PHOTO)).to(device)


def _borders(job: RefineJob, side: int) -> Tensor | None:  # [1, FIELDS, R, R]
    """The fields of the masks over the square canvas; beyond the picture they go on as at its edge."""
    if job.regions is None:
        return None
    regions = job.regions
    height, width = regions.hair.shape
    masks = np.stack([regions.hair, regions.person, regions.looked_at]).astype(np.float32)
    padded = torch.from_numpy(masks)[None]
    padded = functional.pad(padded, (0, side - width, 0, side - height), mode="replicate")
    padded[:, 2, height:] = 0
    padded[:, 2, :, width:] = 0
    # OpenCV wants the channels side by side: with laying them so it takes longer (docs/benchmarks/opencv.md)
    return border_fields(functional.interpolate(padded, size=(SIDE, SIDE), mode="area"))


def _stack(photos: list[Photo]) -> Photo:
    names = [name for name in vars(photos[0]) if name != "cameras"]
    together = {name: [getattr(photo, name) for photo in photos] for name in names}
    missing = [name for name, values in together.items() if any(value is None for value in values)]
    joined: dict[str, Any] = {name: torch.cat(values) for name, values in together.items() if name not in missing}
    return Photo(**joined, cameras=tuple(photo.cameras[0] for photo in photos))


def _row(array: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))[None]


def _colours(image: U8) -> Tensor:  # [h, w, 3] -> [3, h, w] 0..1
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255


def _to_numpy(result: Reconstruction) -> RefinedHead:
    rig = result.rig

    def array(values: Tensor, kind: type[np.generic]) -> NDArray[Any]:
        found: NDArray[Any] = values.detach().cpu().numpy().astype(kind)
        return found

    correctives = rig.pose_correctives
    return RefinedHead(
        vertices=array(result.vertices, np.float32),
        faces=array(rig.faces, np.int32),
        uvs=array(rig.uvs, np.float32),
        uv_faces=array(rig.uv_faces, np.int32),
        part=array(rig.part, np.uint8),
        weights=array(rig.weights, np.float32),
        blendshapes=array(rig.blendshapes, np.float32),
        pose_correctives=None if correctives is None else array(correctives, np.float32),
        albedo=array((result.texture.permute(1, 2, 0) * 255).round(), np.uint8),
        albedo_seen=array((result.seen[0] * 255).round(), np.uint8),
    )
