"""How closely the textured head repeats its photo, and how long parsing and baking take.

Run: python -m training.bench.texture [--data ../shared/data] [--limit N] [--worst]

For each portrait the photo view is rendered at 512 pixels over the head crop and compared with it inside the face
outline (the landmarks' oval). `covered` leaves out outline pixels that the fitted mesh does not reach. Prints a
Markdown table. The hair masks' agreement with Google's hair segmenter is printed when that file is there.

A second table says how much fine detail textures of each size keep: of the photos in `hires`, at their own size, what
is finer than FINE pixels inside the face outline, and its correlation with that of the rendering.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from meshlam_core.assets import asset_path
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import load_photo
from meshlam_core.frames import Camera
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.render import MeshRenderer
from meshlam_core.texture.albedo import bake_albedo
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import Regions, parse_person
from meshlam_core.tracker.pose import landmarks_on_crop, posed_vertices
from meshlam_core.tracker.track import track_photo
from meshlam_core.tracker.types import TrackedFace
from training.bench.machine import describe_machine
from training.evaluate.teachers import HairTeacher
from training.metrics import face_outline_mask, overlap

VIEW = 512  # px
SIZES = (512, 1024, 2048, 4096)
FINE = 1.5  # px, standard deviation of what is not fine
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One photo's result."""

    name: str
    outline: float  # dB
    covered: float  # dB
    coverage: float  # share of the outline that the mesh covers
    parsing: float  # s
    baking: float  # s
    hair_overlap: float  # intersection over union with the teacher, nan without it


@dataclass(frozen=True)
class Seen:
    """A photo's head and what the tracker knows of it."""

    picture: U8  # [H, W, 3] the head's crop
    camera: Camera  # of the crop
    tracked: TrackedFace
    landmarks: NDArray[np.float32]  # [L, 2] px of the crop

    def drawn(self, texture: U8, view: Camera, head: HeadModel) -> U8:  # [h, w, 4]
        """The head with a texture, as a camera shows it."""
        faces, uvs, uv_faces = (torch.from_numpy(np.array(a)) for a in (head.faces, head.uvs, head.uv_faces))
        renderer = MeshRenderer(faces, uvs, uv_faces, texture, torch.ones(len(head.template)))
        return renderer.draw(posed_vertices(self.tracked, head), view)


def look_at(path: Path, detector: LandmarkDetector, head: HeadModel) -> Seen | None:
    """Track a photo; None, said, when it shows no face."""
    photo = load_photo(path)
    try:
        tracked = track_photo(photo, detector, head)
    except MeshlamError as problem:
        print(f"  {path.name}: {problem}")
        return None
    picture = cut_head(photo, tracked)
    return Seen(picture.pixels, picture.camera, tracked, landmarks_on_crop(tracked, picture.camera))


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--limit", type=int, default=40, help="photos per folder, evenly spread (default 40)")
    options.add_argument("--worst", action="store_true", help="list the ten worst photos")
    chosen = options.parse_args()
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    head = load_head()
    teacher = HairTeacher.open(chosen.data / "teachers" / "hair_segmentation.tflite")
    print(f"{describe_machine()}, {torch.get_num_threads()} threads; at most {chosen.limit} photos per folder\n")
    print("| photos | n | outline dB, median | covered dB, median | covered dB, 10 % worst | coverage |", end="")
    print(" parsing ms | baking ms | hair IoU, median | mean |\n|" + " --- |" * 10)
    everything: list[Row] = []
    for folder in ("portraits", "hires"):
        photos = sorted(path for path in (chosen.data / folder).glob("*") if path.suffix.lower() in (".jpg", ".png"))
        rows = [
            row
            for path in photos[:: max(1, len(photos) // chosen.limit)][: chosen.limit]
            if (row := measure(path, detector, head, teacher)) is not None
        ]
        everything += rows
        print(_line(folder, rows))
    print(_line("both", everything))
    print("\nWanted: 28 dB inside the outline, which counts pixels that the mesh does not reach as black.")
    print_detail(sorted((chosen.data / "hires").glob("*.jpg"))[:: max(1, 24 // chosen.limit)], detector, head)
    if chosen.worst:
        for row in sorted(everything, key=lambda r: r.outline)[:10]:
            print(f"  {row.name}: {row.outline:.1f} dB, covered {row.covered:.1f} dB, hair IoU {row.hair_overlap:.2f}")


def measure(path: Path, detector: LandmarkDetector, head: HeadModel, teacher: HairTeacher | None) -> Row | None:
    """Reconstruct one photo and compare; None when it shows no face."""
    seen = look_at(path, detector, head)
    if seen is None:
        return None
    start = time.perf_counter()
    regions = parse_person(seen.picture, seen.landmarks)
    parsed = time.perf_counter()
    texture = bake_albedo(seen.picture, regions, seen.tracked, seen.camera, head)
    baked = time.perf_counter()

    factor = VIEW / max(seen.camera.size)
    view = seen.camera.scaled(factor)
    drawn = seen.drawn(texture.photo, view, head).astype(np.float64) / 255
    small = np.asarray(Image.fromarray(seen.picture).resize(view.size, Image.Resampling.LANCZOS), np.float64) / 255
    error = ((drawn[..., :3] - small) ** 2).mean(axis=2)
    outline = face_outline_mask(seen.landmarks * factor, view.size)
    covered = outline & (drawn[..., 3] > 0.99)
    return Row(
        name=path.name,
        outline=_decibel(error[outline]),
        covered=_decibel(error[covered]),
        coverage=float(covered.sum() / outline.sum()),
        parsing=parsed - start,
        baking=baked - parsed,
        hair_overlap=float("nan") if teacher is None else hair_overlap(teacher, seen.picture, regions),
    )


def print_detail(photos: Sequence[Path], detector: LandmarkDetector, head: HeadModel) -> None:
    """A row for each size of the texture."""
    kept: dict[int, list[float]] = {size: [] for size in SIZES}
    for seen in filter(None, (look_at(path, detector, head) for path in photos)):
        regions = parse_person(seen.picture, seen.landmarks)
        outline = face_outline_mask(seen.landmarks, seen.camera.size)
        for size in SIZES:
            texture = bake_albedo(seen.picture, regions, seen.tracked, seen.camera, head, size)
            drawn = seen.drawn(texture.photo, seen.camera, head)
            shown = outline & (drawn[..., 3] == 255)
            kept[size].append(float(np.corrcoef(_fine(drawn[..., :3])[shown], _fine(seen.picture)[shown])[0, 1]))
    print(f"\n| texture | fine detail, correlation with the photo's, mean of {len(kept[SIZES[0]])} |\n| --- | --- |")
    for size, values in kept.items():
        print(f"| {size} | {np.mean(values):.2f} |")


def _fine(picture: U8) -> NDArray[np.floating]:  # [H, W, 3] -> [H, W]
    grey = picture.astype(np.float64).mean(axis=2)
    return np.asarray(grey - ndimage.gaussian_filter(grey, FINE))


def hair_overlap(teacher: HairTeacher, picture: U8, regions: Regions) -> float:
    """Intersection over union of the product's hair mask with the teacher's."""
    return overlap(teacher(picture) > 0.5, regions.hair > 0.5)


def _decibel(squared: NDArray[np.floating]) -> float:
    return float(-10 * np.log10(max(float(squared.mean()), 1e-10)))


def _line(name: str, rows: list[Row]) -> str:
    def of(field: str) -> NDArray[np.floating]:
        return np.array([getattr(row, field) for row in rows])

    cells = (
        name,
        len(rows),
        f"{np.median(of('outline')):.2f}",
        f"{np.median(of('covered')):.2f}",
        f"{np.quantile(of('covered'), 0.1):.2f}",
        f"{of('coverage').mean():.3f}",
        f"{1000 * np.median(of('parsing')):.0f} (min {1000 * of('parsing').min():.0f})",
        f"{1000 * np.median(of('baking')):.0f} (min {1000 * of('baking').min():.0f})",
        f"{np.nanmedian(of('hair_overlap')):.3f}",
        f"{np.nanmean(of('hair_overlap')):.3f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
