"""Gaussian PLY: the staged head as surfaces, which the backend covers with Gaussians; and the check of the file."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..axes import avatar_from_blender, blender_from_avatar
from ..backend.locate import Backend, BackendError
from ..preferences import settings
from ..reimport import colour_image
from ..scene.layers import pixels_of
from .files import ExportError

_SECONDS = 300
_OUTSIDE = 1e-4  # m that a Gaussian may lie beyond the head's box
_INSIDE = 3.0  # standard deviations of the largest Gaussian that the outermost may lie within it
_GREY = (0.8, 0.8, 0.8)  # of a material that says nothing


def write_gaussians(meshes: tuple[Any, ...], path: Path, count: int, licence: str) -> None:
    """Write a PLY of `count` Gaussians over the meshes; ExportError in one sentence where the backend cannot."""
    try:
        backend = settings().backend()
    except BackendError as error:
        raise ExportError(f"Gaussians are made by the backend. {error}") from error
    with tempfile.TemporaryDirectory(prefix="meshlam-") as folder:
        surfaces = Path(folder) / "head.npz"
        arrays: dict[str, Any] = gather(meshes)
        np.savez(surfaces, **arrays)
        command = [str(backend.python), "-m", "meshlam_core", "export", str(surfaces), "-o", str(path)]
        run = _run(backend, [*command, "--gaussians", str(count), "--licence", licence, "--json"])
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        answer = {"error": {"message": (run.stderr or run.stdout).strip()[-300:] or "The backend said nothing."}}
    if "invalid choice: 'export'" in str(answer):
        raise ExportError("The backend is older than this add-on and makes no Gaussians; press Repair in its panel.")
    if "error" in answer:
        raise ExportError(f"The backend made no Gaussians: {answer['error']['message']}")


def _run(backend: Backend, command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=backend.environment(), capture_output=True, text=True, errors="replace", timeout=_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"The backend took longer than {_SECONDS} s to make the Gaussians.") from error


def gather(meshes: tuple[Any, ...]) -> dict[str, NDArray[Any]]:
    """The arrays that `meshlam export` takes: all triangles in the avatar's frame, and the pictures they show."""
    pictures: dict[Any, int] = {}
    vertices, faces, uvs, images, first = [], [], [], [], 0
    for mesh in meshes:
        data = mesh.data
        data.calc_loop_triangles()
        points = data.shape_keys.key_blocks[0].data if data.shape_keys else data.vertices
        local = _read(points, "co", 3)
        world = np.array(mesh.matrix_world)
        vertices.append(avatar_from_blender(local @ world[:3, :3].T + world[:3, 3]))
        corners, loops = (_read(data.loop_triangles, name, 3, np.int32) for name in ("vertices", "loops"))
        own = _read(data.uv_layers.active.data, "uv", 2) if data.uv_layers else np.zeros((len(data.loops), 2))
        wearing = _read(data.loop_triangles, "material_index", 1, np.int32)[:, 0]
        slots = [slot.material for slot in mesh.material_slots] or [None]
        numbers = np.array([pictures.setdefault(_picture_of(slot), len(pictures)) for slot in slots])
        faces.append(corners + first)
        uvs.append(own[loops])
        images.append(numbers[np.minimum(wearing, len(slots) - 1)])
        first += len(data.vertices)
    found = {
        "vertices": np.concatenate(vertices).astype(np.float32),
        "faces": np.concatenate(faces).astype(np.int32),
        "uvs": np.concatenate(uvs).astype(np.float32),
        "image": np.concatenate(images).astype(np.int32),
    }
    return found | {f"image_{number}": _pixels(picture) for picture, number in pictures.items()}


def _read(items: Any, name: str, width: int, kind: Any = np.float32) -> Any:
    values = np.empty(len(items) * width, kind)
    items.foreach_get(name, values)
    return values.reshape(-1, width)


def _picture_of(material: Any) -> Any:
    """What a material shows: an image, or a colour (linear)."""
    if material is None or material.node_tree is None:
        return _GREY if material is None else tuple(material.diffuse_color)[:3]
    image = colour_image(material)
    if image is not None:
        return image
    shader = next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)
    return _GREY if shader is None else tuple(shader.inputs["Base Color"].default_value)[:3]


def _pixels(picture: Any) -> Any:  # [h, w, 3] uint8 sRGB, row 0 up
    if isinstance(picture, tuple):
        linear = np.clip(np.array(picture), 0, 1)
        coded = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return np.broadcast_to(np.rint(255 * coded), (4, 4, 3)).astype(np.uint8)
    return np.rint(255 * np.clip(pixels_of(picture)[::-1, :, :3], 0, 1)).astype(np.uint8)


def check_gaussians(path: Path, count: int, triangles: int, low: Any, high: Any) -> list[str]:
    """One sentence for each thing in the file that is not as expected; `low` and `high` are in Blender's axes, m."""
    try:
        header, body = path.read_bytes().split(b"end_header\n", 1)
        names = [line.split()[2].decode() for line in header.splitlines() if line.startswith(b"property")]
        kinds = [line.split()[1] for line in header.splitlines() if line.startswith(b"property")]
        pairs = zip(names, kinds, strict=True)
        rows = np.frombuffer(body, [(name, "<i4" if kind == b"int" else "<f4") for name, kind in pairs])
        points, faces = np.stack([rows["x"], -rows["y"], -rows["z"]], 1), rows["triangle"]
    except (OSError, ValueError, IndexError, KeyError, struct.error) as error:
        return [f"{path.name} cannot be read as Gaussians: {error}."]
    problems = []
    if len(rows) != count:
        problems.append(f"Expected {count} Gaussians, got {len(rows)}.")
    if not all(np.isfinite(rows[name]).all() for name in names):
        problems.append("Some values are no numbers.")
    if len(faces) and (faces.min() < 0 or faces.max() >= triangles):
        problems.append("Some Gaussians are bound to triangles that the head does not have.")
    at, inside = blender_from_avatar(points), _INSIDE * float(np.exp(rows["scale_0"].max()))
    for corner, away in ((low, at.min(0) - np.array(low)), (high, np.array(high) - at.max(0))):
        if away.min() < -_OUTSIDE or away.max() > inside:
            reached = ", ".join(f"{value:.3f}" for value in corner)
            problems.append(f"The Gaussians do not reach to ({reached}) m as the head does.")
    return problems
