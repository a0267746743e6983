"""How much of a head its Gaussians show: their splats beside the mesh's own rendering, and beside the photo.

Run: python -m training.bench.gaussians [--data ../shared/data] [--limit N] [--count N ...] [--sheet PNG]

Each photo is reconstructed; the head, in the photo's expression, is written as `meshlam export --gaussians` writes it,
read back and drawn by training/evaluate/splatter.py at 512 pixels:
- beside the mesh: PSNR over the teacher's head region (hair joined with the face outline) in the photo view, over
  the pixels that the mesh fills in a three-quarter view and from behind, and intersection over union of silhouettes;
- beside the photo: the columns of training/bench/head.py; the first row is the mesh.
Means over the photos; missing pixels are black. `--sheet` draws mesh and Gaussians of the first photos side by side.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from meshlam_core.avatar.record import Avatar
from meshlam_core.frames import Camera, rotation_from_axis_angle
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.viewing.gaussian_ply import read_gaussians, write_gaussians
from meshlam_core.viewing.gaussians import Gaussians, cover, moved
from meshlam_core.viewing.viewer import AvatarRenderer, photo_camera, photo_pose, studio_view, upright
from training.bench.head import DATA, choose, open_judges
from training.bench.machine import describe_machine
from training.bench.markdown import print_head, print_row
from training.evaluate.likeness import on_black
from training.evaluate.photo import U8, PhotoScores, compare, measure_photo, photo_view
from training.evaluate.splatter import splat
from training.evaluate.truth import HeadTruth, Judges
from training.evaluate.variants import variants
from training.metrics import overlap, psnr

COUNTS = (10_000, 40_000, 100_000)
VIEWS = (-35.0, 180.0)  # degrees
VIEW = 512  # px
SHOWN = 4  # photos on a sheet
TITLES = (
    "photos", "shown", "n", "photo view, dB to mesh", "silhouette IoU", "three-quarter, dB to mesh", "silhouette IoU",
    "back, dB to mesh", "silhouette IoU", "head region dB to photo", "hair covered", "silhouette IoU",
    "face outline dB", "s", "MB",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One head shown in one way."""

    beside_mesh: tuple[float, ...]  # dB and intersection over union in the photo view and VIEWS; nan for the mesh
    beside_photo: PhotoScores
    seconds: float = float("nan")  # to make the Gaussians
    megabytes: float = float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--limit", type=int, default=12, help="photos per set, evenly spread (default 12)")
    parser.add_argument("--count", type=int, nargs="+", default=list(COUNTS), help="how many Gaussians")
    parser.add_argument("--sheet", type=Path, metavar="PNG")
    chosen = parser.parse_args()
    print(f"{describe_machine()}, {torch.get_num_threads()} threads\n")
    options = variants()["network"]
    session = Session.open(options)
    judges = open_judges(chosen.data, session)
    strips: list[U8] = []
    print_head(*TITLES)
    for photos in ("held-out", "hires"):
        found: dict[str, list[Row]] = {}
        for path in choose(chosen.data, photos, chosen.limit):
            for shown, row in measure(path, chosen.count, options, session, judges, strips):
                found.setdefault(shown, []).append(row)
        for shown, rows in found.items():
            print_row(photos, shown, *cells(rows))
    if chosen.sheet:
        Image.fromarray(np.concatenate(strips[:SHOWN])).save(chosen.sheet)


def measure(
    path: Path,
    counts: Sequence[int],
    options: ReconstructOptions,
    session: Session,
    judges: Judges,
    strips: list[U8],
) -> list[tuple[str, Row]]:
    """The rows of one photo, by what is shown; none where there is no head or no truth."""
    result = measure_photo(path, options, session, judges)
    avatar, truth = result.avatar, result.truth
    if avatar is None or truth is None:
        return []
    renderer = AvatarRenderer(avatar)
    mesh = photo_view(avatar, truth, renderer)
    rows = [("mesh", Row((float("nan"),) * (2 * len(VIEWS) + 2), compare(mesh, truth)))]
    pictures = [mesh]
    for count in counts:
        start = time.perf_counter()
        laid = lay(renderer, count)
        seconds = time.perf_counter() - start
        gaussians, size = through_a_file(laid)
        picture = splat(in_photo(gaussians, avatar), truth.window.camera(photo_camera(avatar)))
        beside = [psnr(on_black(picture), on_black(mesh), truth.head), silhouettes(picture, mesh)]
        for yaw in VIEWS:
            beside += beside_mesh(renderer, gaussians, yaw)
        rows.append((f"{count} Gaussians", Row(tuple(beside), compare(picture, truth), seconds, size / 1e6)))
        pictures.append(picture)
    strips.append(_strip(truth, pictures))
    return rows


def lay(renderer: AvatarRenderer, count: int) -> Gaussians:
    """The Gaussians of the upright head in the photo's expression.

    They are those of `meshlam export --pose photo`, but with the photo's outline, as the mesh beside them.
    """
    pose = upright(photo_pose(renderer.avatar))
    posed = renderer.posed(pose)
    return cover(renderer.mesh, posed, count, renderer.folded(pose.expression), posed.new_ones(len(posed)))


def through_a_file(gaussians: Gaussians) -> tuple[Gaussians, int]:
    """What a reader gets of them, and the file's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.ply"
        write_gaussians(gaussians, path, "y-up")
        return read_gaussians(path), path.stat().st_size


def in_photo(gaussians: Gaussians, avatar: Avatar) -> Gaussians:
    """The Gaussians where the photo's camera sees the head: turned about the root joint, then shifted."""
    turn, root = rotation_from_axis_angle(avatar.photo.rotations[0]), avatar.joints[0]
    return moved(gaussians, turn, root - turn @ root + avatar.photo.translation)


def in_studio(gaussians: Gaussians, avatar: Avatar, yaw: float, size: int = VIEW) -> tuple[Gaussians, Camera]:
    """The Gaussians where studio_view puts the head."""
    frame, camera = studio_view(avatar, torch.eye(4, 3), yaw, size)  # where the axes' ends and the origin go
    origin = frame[3].numpy()
    return moved(gaussians, (frame[:3].numpy() - origin).T, origin), camera


def beside_mesh(
    renderer: AvatarRenderer, gaussians: Gaussians, yaw: float, size: int = VIEW
) -> tuple[float, float]:  # dB over the pixels that the mesh fills, intersection over union
    """Splats and mesh in the photo's expression, from one side."""
    placed, camera = in_studio(gaussians, renderer.avatar, yaw, size)
    pose = upright(photo_pose(renderer.avatar))
    vertices, _ = studio_view(renderer.avatar, renderer.posed(pose), yaw, size)
    mesh, picture = renderer.draw(vertices, camera, folded=renderer.folded(pose.expression)), splat(placed, camera)
    return psnr(on_black(picture), on_black(mesh), mesh[..., 3] == 255), silhouettes(picture, mesh)


def silhouettes(
    first: U8,  # [H, W, 4]
    second: U8,  # [H, W, 4]
) -> float:
    """Intersection over union of what two pictures cover."""
    return overlap(first[..., 3] > 127, second[..., 3] > 127)


def cells(rows: list[Row]) -> list[str]:
    """Means, as a table shows them."""
    mesh = np.mean([row.beside_mesh for row in rows], 0)
    photo = [np.nanmean([getattr(row.beside_photo, name) for row in rows]) for name in ("head", "hair", "silhouette")]
    outline = np.mean([row.beside_photo.outline for row in rows])
    texts = [str(len(rows)), *(f"{value:.{2 if k % 2 == 0 else 3}f}" for k, value in enumerate(mesh))]
    texts += [f"{photo[0]:.2f}", f"{photo[1]:.3f}", f"{photo[2]:.3f}", f"{outline:.2f}"]
    texts += [f"{np.median([row.seconds for row in rows]):.1f}", f"{rows[0].megabytes:.1f}"]
    return ["" if text == "nan" else text for text in texts]


def _strip(truth: HeadTruth, pictures: list[U8]) -> U8:
    """The photo and the pictures side by side, in a square each."""
    tiles = []
    for picture in (truth.picture, *map(on_black, pictures)):
        tile = np.zeros((VIEW, VIEW, 3), np.uint8)
        tile[: picture.shape[0], : picture.shape[1]] = picture
        tiles.append(tile)
    return np.concatenate(tiles, 1)


if __name__ == "__main__":
    main()
