"""What a sample of stage G consists of, and its form on disk.

Frames and units: frames.py. Dims: V vertices, K blendshapes, J joints, c channels and g side of the image features,
R side of the masks, H side of the picture.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.errors import UnreadableInput
from meshlam_core.frames import Camera
from meshlam_core.model.borders import SIDE
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.render import animate, look, vertices_seen
from meshlam_core.model.state import Photo, Rig
from meshlam_core.raster.normals import vertex_normals
from training.data.shards import Item
from training.synthetic.sample import SyntheticPhoto

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

QUALITY = 92  # of the stored picture


@dataclass(frozen=True)
class Record:
    """One photograph with what the tracker found, and the truth. The picture itself stays on disk."""

    features: F16  # [c, g, g] pooled levels of the frozen backbone
    hair: U8  # [R, R] masks wrong as real ones are, 255 inside
    person: U8  # [R, R]
    known: tuple[int, int]  # px of R, (columns, rows) that the photo fills
    start: F16  # [V, 3] m, V_0
    truth: F16  # [V, 3] m
    normals: NDArray[np.int8]  # [V, 3] of the start in the photo, view frame, 127 long
    seen: U8  # [V] 1 where the start is seen
    joints: F32  # [J, 3] m
    camera: Camera
    rotation: F32  # [3]
    translation: F32  # [3]
    expression: F32  # [K]
    yaw: float  # rad
    style: str


def make_item(key: str, sample: SyntheticPhoto, network: MeshLAM, rig: Rig, joints: F32) -> Item:
    """A sample as files: the picture, its labels, numbers."""
    photo = _photo(sample, rig, joints)
    with torch.inference_mode():
        features = network.pooled(photo.image)[0].half().numpy()
        view = look(animate(photo.vertices, rig, photo), rig, photo.cameras)
        normals = vertex_normals(view.vertices, rig.faces)
        seen = vertices_seen(view, normals)[0].numpy()
    tracked = sample.tracked
    for name, values in (("start", tracked.surface), ("truth", sample.truth), ("features", features)):
        if not np.isfinite(values).all():
            raise UnreadableInput(f"The sample {key} has {name} that are not finite.")
    arrays = {
        "features": features,
        "start": tracked.surface.astype(np.float16),
        "truth": sample.truth.astype(np.float16),
        "normals": (normals[0].numpy() * 127).round().astype(np.int8),
        "seen": seen.astype(np.uint8),
        "joints": joints,
        "rotation": tracked.rotations[0],
        "translation": tracked.translation,
        "expression": tracked.expression,
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    about = {
        "focal": tracked.camera.focal,
        "centre": [float(x) for x in tracked.camera.centre],
        "size": len(sample.picture),
        "filled": list(sample.shot.filled),
        "yaw": sample.yaw,
        "style": sample.style,
    }
    picture = cv2.imencode(".jpg", sample.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    label = cv2.imencode(".png", sample.label)[1].tobytes()
    both = (np.concatenate([sample.hair, sample.person]) * 255).round().astype(np.uint8)
    masks = cv2.imencode(".png", both)[1].tobytes()
    return Item(
        key,
        {
            "jpg": picture,
            "label.png": label,
            "masks.png": masks,
            "npz": stream.getvalue(),
            "json": json.dumps(about).encode(),
        },
    )


def read_record(item: Item) -> Record:
    """The inverse, without the picture."""
    try:
        about: dict[str, Any] = json.loads(item.files["json"])
        with np.load(io.BytesIO(item.files["npz"]), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        masks = np.asarray(cv2.imdecode(np.frombuffer(item.files["masks.png"], np.uint8), cv2.IMREAD_GRAYSCALE))
        size, filled = int(about["size"]), about["filled"]
        return Record(
            features=arrays["features"],
            hair=masks[:SIDE],
            person=masks[SIDE:],
            known=(round(filled[0] * SIDE / size), round(filled[1] * SIDE / size)),
            start=arrays["start"],
            truth=arrays["truth"],
            normals=arrays["normals"],
            seen=arrays["seen"],
            joints=arrays["joints"],
            camera=Camera(float(about["focal"]), tuple(about["centre"]), (size, size)),
            rotation=arrays["rotation"],
            translation=arrays["translation"],
            expression=arrays["expression"],
            yaw=float(about["yaw"]),
            style=str(about["style"]),
        )
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile, cv2.error) as error:
        raise UnreadableInput(f"The sample {item.key} is not whole: {error}.") from error


def picture_of(item: Item) -> U8:  # [H, H, 3] sRGB
    """The stored picture."""
    picture = np.asarray(cv2.imdecode(np.frombuffer(item.files["jpg"], np.uint8), cv2.IMREAD_COLOR))
    return np.ascontiguousarray(picture[..., ::-1])


def _photo(sample: SyntheticPhoto, rig: Rig, joints: F32) -> Photo:
    tracked = sample.tracked
    image = torch.from_numpy(sample.picture).permute(2, 0, 1)[None].float() / 255
    rotations = torch.zeros(1, len(rig.parents), 3)
    rotations[0, 0] = torch.from_numpy(tracked.rotations[0])
    return Photo(
        image=image,
        mask=torch.ones_like(image[:, :1]),
        cameras=(tracked.camera,),
        rotations=rotations,
        translation=torch.from_numpy(tracked.translation)[None],
        expression=torch.from_numpy(tracked.expression)[None],
        vertices=torch.from_numpy(tracked.surface)[None],
        joints=torch.from_numpy(joints)[None],
        texture=torch.zeros(1, 3, 1, 1),
    )
