"""`python -m blender_addon.doctor HEAD.meshlam...`: what the key doctor finds, before and after, without Blender."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from ..avatar_reader import AvatarFile, read_avatar
from .correctives import cure
from .shapes import Mesh


def mesh_of(avatar: AvatarFile) -> Mesh:
    """An avatar file's head for the doctor."""
    jaw = next((index for index, name in enumerate(avatar.joint_names) if "jaw" in name.lower()), None)
    weights = avatar.weights[:, jaw] if jaw is not None else np.zeros(len(avatar.vertices), np.float32)
    moves = dict(zip(avatar.blendshape_names, avatar.blendshapes, strict=True))
    return Mesh(avatar.vertices, avatar.faces, np.array(avatar.parts)[avatar.part], weights, moves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("avatars", nargs="+", type=Path, help="avatar files")
    for path in parser.parse_args().avatars:
        mesh = mesh_of(read_avatar(path))
        start = time.process_time()
        found = cure(mesh)
        alone = sum(not item.others for item in found.correctives)
        seconds = time.process_time() - start
        print(f"{path.stem}: {seconds:.1f} s, {len(found.correctives)} correctives, {alone} of one key")
        for name, before in found.before.pairs.items():
            deep = 1000 * found.before.deepest[name], 1000 * found.after.deepest[name]
            print(f"  {name:32} {before:4} pairs, {deep[0]:4.1f} mm  ->  {found.after.pairs[name]}, {deep[1]:.1f} mm")


if __name__ == "__main__":
    main()
