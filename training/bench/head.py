"""The whole head in photo view: hair and face, the silhouette, and the face alone.

Run: python -m training.bench.head [--data ../shared/data] [--set portraits|held-out|hires ...] [--limit N]
                                   [--variant tracker|network ...] [--worst] [--sheets DIR]

Each photo is reconstructed and rendered at 512 pixels over the head window (training/evaluate/truth.py: three face
heights around the face, cut off at the photo's border) and compared with the photo:
- head region: PSNR over the teacher's hair mask (Google's hair segmenter) joined with the face outline,
- hair covered: share of the teacher's hair that the mesh covers,
- silhouette: intersection over union of mesh and person (selfie segmenter joined with the hair), above the chin,
- face outline: PSNR inside the landmarks' oval.
- needles, inverted, hair through face: triangles of the outside a head (training/evaluate/mesh.py).
Pixels that the mesh does not reach are black. Photos that fail count as empty renderings and in the column `failed`.
`held-out` are the 80 portraits that nothing was trained on (training/splits.py). Of each set at most N photos are
taken, evenly spread over the names.

An independent measurement of the tracker alone gave 18.3 (portraits) and 18.2 dB (hires) over the head region, 0.5 of
the hair covered, silhouettes of 0.81 and 0.77, face outlines of 29.1 and 30.2 dB; this one agrees within 0.6 dB, 0.03,
0.01 and 0.4 dB. The ground matters: on grey instead of black the portraits' head region would be 2 dB better, because
grey hair that is missing would count as half right.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.pipeline import ReconstructOptions, Session
from training.bench.machine import describe_machine
from training.evaluate.photo import PhotoResult, measure_photo
from training.evaluate.sheets import SheetWriter
from training.evaluate.teachers import HairTeacher, PersonTeacher
from training.evaluate.truth import Judges
from training.splits import held_out

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SETS = ("portraits", "held-out", "hires")
VARIANTS = {"tracker": ReconstructOptions(weights="none"), "network": ReconstructOptions()}
COLUMNS = ("photos", "heads", "n", "failed", "head region dB", "worst tenth", "hair covered", "silhouette IoU",
           "face outline dB", "needles", "inverted", "hair through face")  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One set of photos, made one way."""

    photos: str
    variant: str
    results: tuple[PhotoResult, ...]

    def values(self, name: str) -> NDArray[np.float64]:
        """A score of every photo that has it."""
        found = [float(getattr(result.scores, name)) for result in self.results if result.scores]
        return np.array([value for value in found if math.isfinite(value)])

    def faults(self, name: str) -> float:
        """Mean number of faulty triangles."""
        return float(np.mean([getattr(result.faults, name) for result in self.results if result.faults]))

    def line(self) -> str:
        """As a row of the table: means, but for the worst tenth."""
        head = self.values("head")
        cells = (
            self.photos,
            self.variant,
            len(self.results),
            sum(bool(result.failure) for result in self.results),
            f"{head.mean():.2f}",
            f"{np.quantile(head, 0.1):.2f}",
            *(f"{self.values(name).mean():.3f}" for name in ("hair", "silhouette")),
            f"{self.values('outline').mean():.2f}",
            *(f"{self.faults(name):.2f}" for name in ("needles", "inverted", "through")),
        )
        return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=DATA)
    options.add_argument("--set", choices=SETS, nargs="+", default=["portraits", "hires"])
    options.add_argument("--limit", type=int, default=40, help="photos per set, evenly spread (default 40)")
    options.add_argument("--variant", choices=list(VARIANTS), nargs="+", default=["tracker"])
    options.add_argument("--worst", action="store_true", help="list the ten worst photos of each row")
    options.add_argument("--sheets", type=Path, metavar="DIR", help="also draw every head from all sides")
    chosen = options.parse_args()
    judges: Judges | None = None
    print(f"{describe_machine()}, {torch.get_num_threads()} threads\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    rows = []
    for variant in chosen.variant:
        session = Session.open(VARIANTS[variant])
        judges = judges or open_judges(chosen.data, session)
        for photos in chosen.set:
            paths = choose(chosen.data, photos, chosen.limit)
            sheet = SheetWriter(chosen.sheets, f"{photos}-{variant}") if chosen.sheets else None
            results = tuple(measure_all(paths, VARIANTS[variant], session, judges, sheet))
            rows.append(Row(photos, variant, results))
            print(rows[-1].line(), flush=True)
    print("| wanted of the hull | | | | 25.5 (hires 24) | | 0.97 | 0.94 | 29.1 (hires 30.2) | | 0 | 0 |")
    for row in rows:
        tell_failures(row)
        if chosen.worst:
            tell_worst(row)


def measure_all(
    paths: Sequence[Path], options: ReconstructOptions, session: Session, judges: Judges, sheet: SheetWriter | None
) -> Iterator[PhotoResult]:
    """Measure photo by photo; the avatars, 10 MB each, are not kept."""
    for path in paths:
        result = measure_photo(path, options, session, judges)
        if sheet:
            sheet.add(result)
        yield replace(result, truth=None, rendering=None, avatar=None)
    if sheet:
        sheet.flush()


def open_judges(data: Path, session: Session) -> Judges:
    """The networks that know the truth; FileNotFoundError where the hair teacher is missing."""
    model = data / "teachers" / "hair_segmentation.tflite"
    hair = HairTeacher.open(model)
    if hair is None:
        raise FileNotFoundError(f"The hair segmenter is not at {model}; --data names the folder of the data.")
    return Judges(session.detector, hair, PersonTeacher(asset_path("selfie_segmentation")))


def choose(data: Path, photos: str, limit: int) -> Sequence[Path]:
    """The photos of a set, evenly spread over the names."""
    folder = data / ("hires" if photos == "hires" else "portraits")
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".png"))
    if photos == "held-out":
        found = [path for path in found if held_out(path.name)]
    return found[:: max(1, len(found) // limit)][:limit]


def tell_failures(row: Row) -> None:
    """Name what failed."""
    for result in row.results:
        if result.failure:
            print(f"  {row.photos}, {row.variant}: {result.path.name} failed: {result.failure}")


def tell_worst(row: Row) -> None:
    """Name the photos whose head region is worst."""
    print(f"\nWorst of {row.photos}, {row.variant}:")
    scored = [(result.path.name, result.scores) for result in row.results if result.scores]
    for name, scores in sorted(scored, key=lambda pair: pair[1].head)[:10]:
        print(
            f"  {name}: head {scores.head:.1f} dB, hair covered {scores.hair:.2f}, "
            f"silhouette {scores.silhouette:.2f}, face {scores.outline:.1f} dB"
        )


if __name__ == "__main__":
    main()
