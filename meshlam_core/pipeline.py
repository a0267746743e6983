"""photo -> avatar: the data flow of the whole project on one page.

    photo -> landmarks -> fitted head (tracker) -> masks and crop -> albedo (texture) -> network (model) -> avatar

Without weights for the network the tracker's head and texture stand.
Frames and units: frames.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.avatar.record import Avatar, PhotoFit
from meshlam_core.errors import Cancelled, DeviceError, UsageError, is_out_of_memory
from meshlam_core.files.images import load_photo
from meshlam_core.head.io import load_head
from meshlam_core.head.model import ById, HeadModel, RawKeys
from meshlam_core.model.files import AUTO, choose_weights, trained_weights
from meshlam_core.progress import Progress, silent
from meshlam_core.provenance import Making
from meshlam_core.stages import Clock, of_batch, shared_stage
from meshlam_core.tracker.crop import HeadPicture, cut_head
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.types import TrackedFace

if TYPE_CHECKING:
    from meshlam_core.model.session import RefinedHead, RefineJob, Refiner
    from meshlam_core.texture.albedo import Texture
    from meshlam_core.tracker.glasses import FoundGlasses
    from meshlam_core.tracker.parsing import Regions

PRESETS = ("small", "paper")
HAIR = ("strands", "hull", "bald")
TEXTURES = ("photo", "albedo")  # with the photo's light, without it
LANDMARKS = ("mediapipe", "face-alignment")
RASTERISERS = ("auto", "warp", "nvdiffrast")
KEPT = ("none", "glasses", "glasses-mesh")  # what stays of what is before the face: painted on, or as a mesh
CHOICES = {
    "preset": PRESETS,
    "hair": HAIR,
    "texture": TEXTURES,
    "keep": KEPT,
    "landmarks": LANDMARKS,
    "rasteriser": RASTERISERS,
}
MAX_TEXTURE = 4096  # px
BATCH = 8  # photos that go through the network together; bounds the memory of long lists

F32 = NDArray[np.float32]
OPEN = "open"  # the name of the open head
T = TypeVar("T")


@dataclass(frozen=True)
class ReconstructOptions:
    """What the user may choose."""

    preset: str = "small"
    head: str = "open"  # or the path of a FLAME file
    hair: str = "strands"  # loose ones over the hull; "hull": that alone; "bald": the skull as the tracker finds it
    sway_bones: bool = False  # whether long hair gets bones of its own
    face: int | str = "largest"  # or 1 for the leftmost face, 2 for the next ...
    texture_size: int = 1024
    texture: str = "albedo"  # without the photo's light; or "photo"
    keep: str = "none"  # or "glasses": they are painted onto the skin; "glasses-mesh": they become a mesh of their own
    device: str = "auto"
    seed: int = 0
    weights: str = AUTO  # of the network; "none" keeps the tracker's result, a path names a file
    backbone: str = AUTO  # or the folder of DINOv2, which the preset paper needs
    landmarks: str = "mediapipe"
    rasteriser: str = "auto"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        size = self.texture_size
        if not (isinstance(size, int) and 64 <= size <= MAX_TEXTURE and size & (size - 1) == 0):
            raise UsageError(f"texture_size: expected a power of two from 64 to {MAX_TEXTURE}, got {size!r}.")


@dataclass(frozen=True)
class Session:
    """Everything that stays warm between photos."""

    detector: LandmarkDetector
    head: HeadModel
    device: str
    refiner: Refiner | None = None  # None: the tracker's result stands

    @classmethod
    def open(cls, options: ReconstructOptions) -> Session:
        """Load the networks and the head model. AssetError when a file is missing, DeviceError for a wrong device."""
        device = choose_device(options.device)
        prefer_rasteriser(options.rasteriser, device)
        asset_path("selfie_segmentation.tflite")  # missing assets are reported before any work
        head = load_head(None if options.head == "open" else Path(options.head))
        return cls(_open_detector(options, head, device), head, device, _open_refiner(options, head, device))

    def warm_up(self, options: ReconstructOptions) -> None:
        """Make what the first texture waits for: compiled kernels and the texture's layout."""
        from meshlam_core.texture.atlas import build_atlas

        build_atlas(self.head, options.texture_size)


def prefer_rasteriser(name: str, device: str) -> None:
    """Which rasteriser "auto" means from now on."""
    from meshlam_core.raster import backends

    backends.prefer(cast(backends.Backend, name), device)


def _open_detector(options: ReconstructOptions, head: HeadModel, device: str) -> LandmarkDetector:
    if options.landmarks == "face-alignment":
        from meshlam_core.tracker.face_alignment_backend import FaceAlignmentDetector

        return FaceAlignmentDetector.open(head.landmarks(head.template).astype(np.float32), device)
    return MediaPipeDetector(asset_path("face_landmarker.task"))


def _open_refiner(options: ReconstructOptions, head: HeadModel, device: str) -> Refiner | None:
    weights = _weights_for(options, head)
    if weights is None:
        return None
    from meshlam_core.model.session import Refiner
    from meshlam_core.model.weights import read_info

    if head.correspondence is not None and read_info(weights).head == OPEN:
        head = load_head()  # what they say about its shape is carried over

    # neither the rasteriser nor torch's float64 sums exist on Apple's GPUs
    where = "cpu" if device == "mps" else device
    return Refiner.open(weights, head, where, preset_name=options.preset, backbone_folder=options.backbone)


def _weights_for(options: ReconstructOptions, head: HeadModel) -> Path | None:
    """The network's weights: those that were trained for this head model, if there are any."""
    if options.weights == AUTO and head.correspondence is not None:
        from meshlam_core.model.weights import topology_hash

        own = trained_weights(options.preset, topology_hash(head))
        if own.is_file():
            return own
    return choose_weights(options.preset, options.weights)


@dataclass(frozen=True)
class Reconstruction:
    """An avatar and the report that `reconstruct --json` prints."""

    avatar: Avatar
    report: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A photo of a batch that could not be reconstructed."""

    path: Path
    error: Exception


def reconstruct(
    path: Path, options: ReconstructOptions, session: Session, progress: Progress = silent
) -> Reconstruction:
    """One photo to one avatar: a batch of one. InputError says what is wrong with a photo that cannot be used."""
    (made,) = reconstruct_many([path], options, session, progress)
    if isinstance(made, Failure):
        raise made.error
    return made


def reconstruct_many(
    paths: Sequence[Path], options: ReconstructOptions, session: Session, progress: Progress = silent
) -> Iterator[Reconstruction | Failure]:  # in the order of the paths
    """Photos to avatars, up to BATCH of them together through the network.

    A photo that fails does not stop the others; what concerns all of them (cancelling, memory) is raised.
    """
    for first in range(0, len(paths), BATCH):
        batch = paths[first : first + BATCH]
        drafts: list[_Draft | Failure] = []
        for index, path in enumerate(batch):
            clock = Clock(of_batch(progress, index, len(batch), first, len(paths)))
            drafts.append(_attempt(path, partial(_draft, path, options, session, clock)))
        heads = iter(_refine([draft for draft in drafts if isinstance(draft, _Draft)], options, session))
        for draft in drafts:
            if isinstance(draft, Failure):
                yield draft
            elif isinstance(head := next(heads), Failure):
                yield head
            else:
                yield _attempt(draft.path, partial(_finish, draft, head, options, session))


@dataclass(frozen=True)
class _Draft:
    """All that is known of a photo before the network."""

    path: Path
    sha256: str
    tracked: TrackedFace
    picture: HeadPicture
    texture: Texture
    job: RefineJob | None  # for the network, if there is one
    clock: Clock
    covered: tuple[str, ...]  # by what the face is
    glasses: FoundGlasses | None  # taken off the skin


def _draft(path: Path, options: ReconstructOptions, session: Session, clock: Clock) -> _Draft:
    """Photo -> the tracker's head and its texture."""
    from meshlam_core.texture.albedo import bake_albedo
    from meshlam_core.tracker.glasses import find_glasses, mask_of
    from meshlam_core.tracker.hair import with_hair
    from meshlam_core.tracker.neutral import at_rest
    from meshlam_core.tracker.parsing import parse_person
    from meshlam_core.tracker.pose import landmarks_on_crop
    from meshlam_core.tracker.sides import with_sides
    from meshlam_core.tracker.track import track_photo

    head = session.head
    with clock.stage("reading"):
        photo = load_photo(path)
    with clock.stage("tracking"):
        tracked = at_rest(track_photo(photo, session.detector, head, options.face), head)
    with clock.stage("masks"):
        picture = cut_head(photo, tracked)
        landmarks = landmarks_on_crop(tracked, picture.camera)
        regions = parse_person(picture.pixels, landmarks, picture.alpha)
        regions = regions.with_glasses_kept() if options.keep == "glasses" else regions
        tracked = with_sides(tracked, regions, picture.camera, head)
        glasses = None
        if options.keep != "glasses":
            glasses = find_glasses(picture.pixels, tracked, landmarks, picture.camera, head)
            if glasses is not None:
                mask = mask_of(glasses, picture.pixels, tracked, picture.camera, head)
                regions = regions.with_glasses_at(mask)
    if options.hair != "bald":
        with clock.stage("hair"):
            tracked = with_hair(tracked, regions, picture.camera, head)
    shapes_only = session.refiner is not None and session.refiner.shapes_only
    if session.refiner and shapes_only and options.hair != "bald":
        with clock.stage("refine"):
            tracked = _reshaped(tracked, picture, regions, head, session.refiner)
    with clock.stage("texture"):
        texture = bake_albedo(
            picture.pixels, regions, tracked, picture.camera, head, options.texture_size, options.texture == "albedo"
        )
        wanted = session.refiner and not shapes_only
        job = _network_job(tracked, picture, regions, texture, head) if wanted else None
    return _Draft(path, photo.sha256, tracked, picture, texture, job, clock, regions.covered, glasses)


def _reshaped(
    tracked: TrackedFace, picture: HeadPicture, regions: Regions, head: HeadModel, refiner: Refiner
) -> TrackedFace:
    """The hair as weights expect it that know shapes alone, laid onto the masks by the hull fit.

    Its outline stays the photo's. Of the face the fit knows more than they do: it stays as it was tracked.
    """
    from meshlam_core.model.session import RefineJob
    from meshlam_core.tracker.hair import load_hair, with_hair
    from meshlam_core.tracker.on_open import on_open_head

    hair = load_hair(ById(head))
    if tracked.hair is None or tracked.hair.doubt or hair is None:
        return tracked  # where the masks failed there is nothing to go by
    unpainted = np.zeros((1, 1, 3), np.uint8)
    seen = np.ones(picture.pixels.shape[:2], np.float32)
    place = head.correspondence
    known = tracked if place is None or refiner.head is head else on_open_head(tracked, head, place)
    moved = refiner.reshape(RefineJob(known, picture.pixels, seen, picture.camera, unpainted, regions)) - known.surface
    if place is not None and known is not tracked:
        moved = place.to_model(moved)
    correction = (moved[hair.indices] * hair.directions).sum(axis=1)
    return with_hair(tracked, regions, picture.camera, head, correction)


def _network_job(
    tracked: TrackedFace, picture: HeadPicture, regions: Regions, texture: Texture, head: HeadModel
) -> RefineJob:
    from meshlam_core.model.believable import believable
    from meshlam_core.model.session import RefineJob

    believed = believable(regions, tracked, picture.camera, head, texture.seen)
    return RefineJob(tracked, picture.pixels, believed, picture.camera, texture.photo, regions)


def _refine(
    drafts: Sequence[_Draft], options: ReconstructOptions, session: Session
) -> list[RefinedHead | Failure | None]:
    """The network's heads; None, the tracker's head stands, where there are no weights."""
    if session.refiner is None or session.refiner.shapes_only or not drafts:
        return [None] * len(drafts)

    def run(some: Sequence[_Draft]) -> list[RefinedHead]:
        assert session.refiner is not None
        jobs = [draft.job for draft in some if draft.job]
        with shared_stage([draft.clock for draft in some], "refine") as report:
            return session.refiner.refine(jobs, options.texture_size, on_step=report)

    together = _attempt(drafts[0].path, partial(run, drafts))
    if not isinstance(together, Failure):
        return list(together)
    if len(drafts) == 1:
        return [together]
    alone = [_attempt(draft.path, partial(run, [draft])) for draft in drafts]
    return [found if isinstance(found, Failure) else found[0] for found in alone]


def _finish(
    draft: _Draft, refined: RefinedHead | None, options: ReconstructOptions, session: Session
) -> Reconstruction:
    """The avatar and what is to be told about it."""
    from meshlam_core.model.strands import with_strands
    from meshlam_core.model.sway import with_sway_bones
    from meshlam_core.model.topology.hull import with_fine_hull
    from meshlam_core.viewing.viewer import render_thumbnail

    with draft.clock.stage("preview"):
        avatar = with_fine_hull(_assemble(draft, refined, options, session.head))
        avatar = with_sway_bones(avatar) if options.sway_bones else avatar
        if options.hair == "strands":
            avatar = with_strands(avatar, draft.tracked.surface, draft.texture.hairy, draft.texture.look)
        avatar = render_thumbnail(avatar)
    making = Making(
        photo=draft.path.name,
        photo_sha256=draft.sha256,
        head=session.head,
        tracked=draft.tracked,
        weights=session.refiner.info if session.refiner and (refined or session.refiner.shapes_only) else None,
        preset=options.preset,
        wanted_weights=options.weights,
        device=session.device,
        seed=options.seed,
        timings=draft.clock.timings,
        unlit=avatar.albedo_photo is not None,
        wanted_unlit=options.texture == "albedo",
        tone_doubt=draft.texture.light.tone_doubt if draft.texture.light else None,
        covered=draft.covered,
        glasses=draft.glasses,
        wanted_glasses=options.keep == "glasses-mesh",
    )
    return Reconstruction(replace(avatar, provenance=making.provenance()), making.report(avatar))


def _raw_of(tracked: TrackedFace, raw: RawKeys) -> dict[str, Any]:
    """What the avatar tells of the head model's own parameters; hair does not take part."""
    cover = 0 if tracked.hair is None else tracked.hair.cover[None, :, None]
    return {
        "raw_shapes": np.asarray(raw.shapes * (1 - cover), np.float32) if len(raw.names) else None,
        "raw_names": raw.names,
        "key_parameters": raw.parameters,
        "parameter_names": raw.parameter_names,
        "identity": tracked.identity.astype(np.float32),
    }


def _assemble(draft: _Draft, refined: RefinedHead | None, options: ReconstructOptions, head: HeadModel) -> Avatar:
    from meshlam_core.texture.finish import finish, painted_by_network, with_network

    tracked, picture, texture = draft.tracked, draft.picture, draft.texture
    photo = PhotoFit(
        focal=float(tracked.camera.focal),
        centre=np.array(tracked.camera.centre, np.float32),
        size=np.array(tracked.camera.size, np.int32),
        rotations=tracked.rotations.astype(np.float32),
        translation=tracked.translation.astype(np.float32),
        expression=tracked.expression.astype(np.float32),
        crop=np.array(picture.crop.box, np.float32),
    )
    mesh = refined or head
    finished = finish(with_network(texture, refined.albedo) if refined else texture, tracked, head)
    part, parts = tracked.parts_on(head)
    return Avatar(
        vertices=refined.vertices if refined else tracked.surface,
        faces=mesh.faces,
        uvs=mesh.uvs,
        uv_faces=mesh.uv_faces,
        part=refined.part if refined else part,
        parts=head.parts if refined else parts,
        joints=head.joints(tracked.vertices),  # deforming the surface leaves the joints where they were
        joint_names=head.joint_names,
        joint_parents=head.joint_parents,
        weights=refined.weights if refined else tracked.weights_on(head),
        blendshapes=refined.blendshapes if refined else tracked.blendshapes_on(head),
        blendshape_names=head.blendshape_names,
        blendshape_ranges=head.blendshape_ranges,
        blendshape_kind=head.blendshape_kind,
        photo=photo,
        albedo=finished.albedo,
        # the network corrects the tracker's texture, so what that saw in the photo is still the photo
        albedo_seen=np.maximum(texture.seen, refined.albedo_seen) if refined else texture.seen,
        trust=painted_by_network(texture.trust, refined.albedo_seen) if refined else texture.trust,
        photo_image=picture.pixels,
        thumbnail=np.zeros((256, 256, 4), np.uint8),
        pose_correctives=mesh.pose_correctives,
        **({} if refined or head.raw is None else _raw_of(tracked, head.raw)),
        hair=tracked.hair.displacement if tracked.hair and not refined else None,
        uncertainty=None if refined else tracked.surface_uncertainty,
        albedo_photo=finished.photo,
        outline=texture.outline,
        light=texture.light.harmonics if texture.light else None,
        normal=finished.maps.normal,
        orm=finished.maps.orm,
        folds=finished.folds,
        glasses=draft.glasses.on(tracked, head) if draft.glasses and options.keep == "glasses-mesh" else None,
    )


def _attempt(path: Path, call: Callable[[], T]) -> T | Failure:
    """The call's result, or its failure where that is this photo's own."""
    try:
        return call()
    except Exception as error:
        if isinstance(error, Cancelled | DeviceError) or is_out_of_memory(error):
            raise
        return Failure(path, error)


def choose_device(wanted: str) -> str:
    """`auto` is the GPU when there is one; anything else must be there."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return "cuda" if there["cuda"] else "cpu"
    if wanted not in there:
        raise UsageError(f"device: expected auto, cpu, cuda or mps, got {wanted!r}.")
    if not there[wanted]:
        raise DeviceError(f"The device {wanted} is not available here.", "Use --device auto or cpu.")
    return wanted
