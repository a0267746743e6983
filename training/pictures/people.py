"""People in shards: photographs with one frame, clips with several, whose first is the source of the others.

A clip's frames are those of one person in one shot, spread over it. Pose and expression of each come from the track
of the whole clip, laid onto the source's own head as the evaluation does it (training/evaluate/clip.py).

Frames and units: frames.py. Dims: N frames, H side of the canvas, V vertices.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.errors import UnreadableInput, UsageError
from meshlam_core.files.images import PHOTO_SUFFIXES, Frame, load_photo, read_clip
from meshlam_core.files.images import Photo as File
from meshlam_core.frames import Camera
from meshlam_core.head.model import HeadModel
from meshlam_core.model.state import Photo, is_finite
from meshlam_core.progress import silent
from meshlam_core.tracker.fit import clip_fitter, head_fitter
from meshlam_core.tracker.landmarks import LandmarkDetector
from meshlam_core.tracker.retarget import retarget, tracking_rig
from meshlam_core.tracker.rig import landmark_rig
from meshlam_core.tracker.shots import watch
from meshlam_core.tracker.track import fit_clip
from training.data.shards import Item, find_shards, read_shard
from training.pictures.draw import first_whole
from training.pictures.portraits import Seen, look_again, look_at_photo, sample_of
from training.synthetic.sample import SIDE
from training.views import Sample, joined

U8 = NDArray[np.uint8]

STREAM = 4  # of random numbers
RATE = 25.0  # frames a second of folders of frames, as VFHQ has them
FEWEST = 2  # frames of a clip
QUALITY = 95  # of the stored pictures
KEPT = 8  # shards in memory
OF_FRAMES = ("rotations", "translation", "expression")
OF_SOURCE = ("vertices", "joints", "borders")


def frames_of(clip: Path) -> Iterator[Frame]:
    """The frames of a video, or of a folder in the order of their names; those that are damaged are left out."""
    if not clip.is_dir():
        yield from read_clip(clip)
        return
    pictures = sorted(path for path in clip.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    if not pictures:
        raise UnreadableInput(f"The folder {clip.name} holds no frames.", f"Expected files of {PHOTO_SUFFIXES}.")
    for index, path in enumerate(pictures):
        try:
            yield Frame(index / RATE, load_photo(path).pixels)
        except UnreadableInput as error:
            print(f"{clip.name}: {error}", file=sys.stderr)


def look_at_clip(clip: Path, count: int, detector: LandmarkDetector, head: HeadModel) -> list[Seen]:
    """The source and some other frames of the person that is seen longest; InputError or ValueError without them."""
    watched = watch(frames_of(clip), detector, head_fitter(head), "largest", clip.name, silent_stage)
    there = [index for index, found in enumerate(watched.detections) if found is not None]
    shots = [watched.shots[index] for index in there]
    longest = max(set(shots), key=lambda shot: (shots.count(shot), -shot))
    there = [index for index in there if watched.shots[index] == longest]
    chosen = sorted({there[round(at)] for at in np.linspace(0, len(there) - 1, count)})
    pictures = {index: frame for index, frame in enumerate(frames_of(clip)) if index in chosen}
    track = fit_clip(watched, clip_fitter(head), clip.name, silent_stage)
    source, tracked = look_at_photo(_as_photo(clip, pictures[chosen[0]]), detector, head)
    rig = landmark_rig(head).of_person(tracked.vertices)
    focal, joints = tracked.camera.focal, len(head.joint_parents)
    poses = list(retarget(track, rig, joints, tracking_rig(head), same_person=True, focal=focal))
    seen = [source]
    for index in chosen[1:]:
        pose, detection = poses[index], watched.detections[index]
        assert detection is not None
        placed = replace(
            tracked, camera=pose.camera, expression=pose.expression, rotations=pose.rotations,
            translation=pose.translation, detection=detection,
        )  # fmt: skip
        try:
            seen.append(look_again(_as_photo(clip, pictures[index]), placed, head))
        except ValueError as error:
            print(f"{clip.name}, frame {index}: {error}", file=sys.stderr)
    if len(seen) < FEWEST:
        raise ValueError(f"expected at least {FEWEST} frames of one person in one shot, got {len(seen)}.")
    return seen


def silent_stage(stage: str, fraction: float) -> None:
    """Nobody watches."""
    silent(stage, fraction, "")


def _as_photo(clip: Path, frame: Frame) -> File:
    height, width = frame.pixels.shape[:2]
    return File(frame.pixels, None, "", clip, (width, height))


def item_of(key: str, frames: Sequence[Seen]) -> Item:
    """A person as files; ValueError where something is not finite."""
    source = frames[0].photo
    arrays = {name: np.concatenate([getattr(f.photo, name).numpy() for f in frames]) for name in OF_FRAMES}
    arrays |= {name: getattr(source, name)[0].numpy() for name in OF_SOURCE if getattr(source, name) is not None}
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"its {name} are not finite.")
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **{name: values.astype(np.float32) for name, values in arrays.items()})
    files = {"npz": stream.getvalue(), "texture.jpg": _jpeg(source.texture)}
    for index, frame in enumerate(frames):
        files[f"{index:02d}.jpg"] = _jpeg(frame.photo.image)
        masks = torch.cat([frame.photo.mask, frame.masks], 1).flatten(1, 2)[0]  # [5 H, H]
        files[f"{index:02d}.png"] = _encoded(".png", _bytes(masks))
    cameras = [frame.photo.cameras[0] for frame in frames]
    about = [
        {"focal": c.focal, "centre": [float(x) for x in c.centre], "chin": f.chin}
        for c, f in zip(cameras, frames, strict=True)
    ]
    return Item(key, files | {"json": json.dumps(about).encode()})


def read_frames(item: Item) -> list[Seen]:
    """The inverse; UnreadableInput where the item is not whole."""
    try:
        about: list[dict[str, Any]] = json.loads(item.files["json"])
        with np.load(io.BytesIO(item.files["npz"]), allow_pickle=False) as stored:
            arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
        shared = {name: arrays[name][None] for name in OF_SOURCE if name in arrays}
        shared["texture"] = _planes(item.files["texture.jpg"])
        frames = []
        for index, one in enumerate(about):
            masks = _decoded(item.files[f"{index:02d}.png"], cv2.IMREAD_GRAYSCALE)
            planes = torch.from_numpy(masks).view(1, 5, SIDE, SIDE).float() / 255
            photo = Photo(
                image=_planes(item.files[f"{index:02d}.jpg"]),
                mask=planes[:, :1],
                cameras=(Camera(float(one["focal"]), tuple(one["centre"]), (SIDE, SIDE)),),
                **shared,
                **{name: arrays[name][index : index + 1] for name in OF_FRAMES},
            )
            frames.append(Seen(photo, planes[:, 1:], float(one["chin"])))
    except (KeyError, IndexError, ValueError, TypeError, OSError, RuntimeError, zipfile.BadZipFile, cv2.error) as error:
        raise UnreadableInput(f"The sample {item.key} is not whole: {error}.") from error
    if not frames or not all(is_finite(v) for v in vars(frames[0].photo).values() if torch.is_tensor(v)):
        raise UnreadableInput(f"The sample {item.key} has no frames, or values that are not finite.")
    return frames


@dataclass(frozen=True)
class People:
    """Picks the batch of a step from shards, always the same one.

    Of a clip the target is one of its other frames, as in the paper's training; of a portrait the portrait itself.
    """

    folder: Path
    batch: int
    size: int  # px, of the targets
    seed: int

    @cached_property
    def shards(self) -> list[Path]:
        """Those of the folder."""
        found = find_shards(self.folder)
        if not found:
            raise UsageError(f"Expected shards of people in {self.folder}, found none.", "python -m training collect")
        return found

    def __call__(self, step: int) -> Sample:
        """A batch; a sample that is not whole is reported, and another one takes its place."""
        numbers = range(step * self.batch, (step + 1) * self.batch)
        return joined([first_whole(self.pick, number) for number in numbers])

    def pick(self, seed: tuple[int, ...]) -> Sample:
        """One of the people."""
        rng = np.random.default_rng((STREAM, self.seed, *seed))
        path = self.shards[rng.integers(len(self.shards))]
        items = _items(path)
        if not items:
            raise UnreadableInput(f"The shard {path} has no samples.")
        frames = read_frames(items[rng.integers(len(items))])
        target = frames[int(rng.integers(1, len(frames)))] if len(frames) > 1 else frames[0]
        return sample_of(frames[0], [target], self.size)


@lru_cache(KEPT)
def _items(path: Path) -> list[Item]:
    return list(read_shard(path, lambda text: print(text, file=sys.stderr)))


def _bytes(values: Tensor) -> U8:
    return np.asarray((values * 255).round().byte().numpy())


def _jpeg(image: Tensor) -> bytes:  # [1, 3, H, H] 0..1
    pixels = np.ascontiguousarray(_bytes(image[0].permute(1, 2, 0))[..., ::-1])
    return _encoded(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


def _encoded(kind: str, pixels: U8, how: Sequence[int] = ()) -> bytes:
    return bytes(cv2.imencode(kind, pixels, list(how))[1])


def _decoded(content: bytes, how: int) -> U8:
    found = cv2.imdecode(np.frombuffer(content, np.uint8), how)
    if found is None:
        raise ValueError("a picture is damaged")
    return np.asarray(found)


def _planes(content: bytes) -> Tensor:  # [1, 3, H, H] 0..1
    pixels = np.ascontiguousarray(_decoded(content, cv2.IMREAD_COLOR)[..., ::-1])
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
