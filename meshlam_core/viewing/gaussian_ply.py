"""The file of Gaussians: binary PLY as Kerbl et al. 2023 ("3D Gaussian Splatting") write it, with the binding behind.

Every property has four bytes, so that readers that count in floats find their way:

x y z               m
nx ny nz            unit normal
f_dc_0 .. f_dc_2    (sRGB - 0.5) / 0.28209479, the spherical harmonic of degree 0; there are no further degrees
opacity             log(o / (1 - o))
scale_0 .. scale_2  logarithms of the standard deviations, m; the last one is across the surface
rot_0 .. rot_3      unit quaternion w, x, y, z
triangle            int, of the avatar's faces
bary_0 .. bary_2    barycentric coordinates of the centre in it

Axes: "y-down" has those of the camera frame (frames.py), as trained scenes have them and viewers expect them: x right
as seen from in front of the face, y down, the face looks along -z. "y-up" has the avatar frame's own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core import __version__
from meshlam_core.errors import UnreadableInput
from meshlam_core.files.outputs import atomic_file
from meshlam_core.frames import CAMERA_FROM_VIEW
from meshlam_core.viewing.gaussians import Gaussians, moved

HARMONIC = 0.28209479177387814  # 1 / (2 sqrt(pi))
AXES = {"y-down": "x right, y down, the face looks along -z", "y-up": "x right, y up, the face looks along +z"}
_FLOATS = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
_BARY = ("bary_0", "bary_1", "bary_2")
_ROW = np.dtype([*((name, "<f4") for name in _FLOATS), ("triangle", "<i4"), *((name, "<f4") for name in _BARY)])


def write_gaussians(gaussians: Gaussians, path: Path, axes: str = "y-down", licence: str = "") -> None:
    """Write Gaussians of the avatar frame, whole or not at all. The same Gaussians give the same bytes."""
    told = gaussians if axes == "y-up" else moved(gaussians, CAMERA_FROM_VIEW)
    rows = np.empty(len(told.centres), _ROW)
    opacity = told.opacity.astype(np.float64)[:, None]
    columns = (
        told.centres,
        told.normals,
        (told.colours - 0.5) / HARMONIC,
        np.log(opacity / (1 - opacity)),
        np.log(told.scales),
        told.rotations,
    )
    for name, column in zip(_FLOATS, np.concatenate(columns, 1).T, strict=True):
        rows[name] = column
    rows["triangle"] = told.triangles
    for name, column in zip(_BARY, told.barycentrics.T, strict=True):
        rows[name] = column
    comments = [f"meshlam {__version__}", f"metres; {AXES[axes]}", "triangle and bary: where in the avatar's mesh"]
    comments += [f"head model: {' '.join(licence.split())}"] if licence else []
    with atomic_file(path) as file:
        file.write(_header(len(rows), comments).encode("ascii", "replace"))
        file.write(rows.tobytes())


def _header(count: int, comments: list[str]) -> str:
    kinds = {"f": "float", "i": "int"}
    properties = [f"property {kinds[_ROW[name].kind]} {name}" for name in _ROW.names or ()]
    lines = ["ply", "format binary_little_endian 1.0", *(f"comment {text}" for text in comments)]
    return "\n".join([*lines, f"element vertex {count}", *properties, "end_header", ""])


def read_gaussians(path: Path) -> Gaussians:
    """The Gaussians of a file that write_gaussians made, in the axes of the file."""
    try:
        header, _, body = path.read_bytes().partition(b"end_header\n")
    except OSError as error:
        raise UnreadableInput(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    lines = header.decode("ascii", "replace").splitlines()
    count = next((int(line.split()[2]) for line in lines if line.startswith("element vertex ")), -1)
    named = [line.split()[2] for line in lines if line.startswith("property ")]
    if named != list(_ROW.names or ()) or len(body) != count * _ROW.itemsize:
        raise UnreadableInput(f"{path} is no file of Gaussians of this program.", "Make it with `meshlam export`.")
    rows = np.frombuffer(body, _ROW)

    def columns(*names: str) -> NDArray[np.float32]:
        return np.stack([rows[name] for name in names], 1)

    return Gaussians(
        centres=columns(*_FLOATS[:3]),
        normals=columns(*_FLOATS[3:6]),
        colours=columns(*_FLOATS[6:9]) * np.float32(HARMONIC) + np.float32(0.5),
        opacity=1 / (1 + np.exp(-rows["opacity"])),
        scales=np.exp(columns(*_FLOATS[10:13])),
        rotations=columns(*_FLOATS[13:]),
        triangles=rows["triangle"].copy(),
        barycentrics=columns(*_BARY),
    )
