"""The whole head: hair and face, silhouette, face alone, in photo view and on clips.

Run: python -m training.bench.head [--data ../shared/data] [--set portraits|held-out|hires|clips|styles ...]
                                   [--variant tracker|hull|network ...] [--limit N] [--every N] [--each N]
                                   [--worst] [--sheets DIR]

Each photo is reconstructed and rendered at 512 pixels over the head window (training/evaluate/truth.py: three face
heights around the face, cut off at the photo's border) and compared with the photo:
- head region: PSNR over the teacher's hair mask (Google's hair segmenter) joined with the face outline,
- hair covered: share of the teacher's hair that the mesh covers,
- silhouette: intersection over union of mesh and person (selfie segmenter joined with the hair), above the chin,
- without clothes: the same where no shoulders and collars are, which no head covers,
- face outline: PSNR inside the landmarks' oval,
- needles, inverted, hair through face: triangles of the outside a head (training/evaluate/mesh.py).
Pixels that the mesh does not reach are black. Photos that fail count as empty renderings and in the column `failed`.
`held-out` are the 80 portraits that nothing was trained on (training/splits.py). Of each set at most N photos are
taken, evenly spread over the names.

Of each clip the first frame makes the avatar and every N-th of the others is compared (training/evaluate/clip.py).
Clips of which no avatar can be made count as empty renderings.

Of each held-out hairstyle N heads are drawn whose hair is known (training/evaluate/known_heads.py), and the head is
compared with the truth in millimetres (training/evaluate/geometry.py).

An independent measurement of the tracker alone gave 18.3 (portraits) and 18.2 dB (hires) over the head region, 0.5 of
the hair covered, silhouettes of 0.81 and 0.77, face outlines of 29.1 and 30.2 dB; this one agrees within 0.6 dB, 0.03,
0.01 and 0.4 dB. On other clips it gave 19.9 dB and LPIPS 0.119. The ground matters: on grey instead of black the
portraits' head region would be 2 dB better, because grey hair that is missing would count as half right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from meshlam_core.assets import asset_path
from meshlam_core.pipeline import ReconstructOptions, Session
from training.bench.known_hair import style_table
from training.bench.machine import describe_machine
from training.bench.markdown import print_head, print_row
from training.evaluate.clip import measure_clip
from training.evaluate.identity import FaceIdentity
from training.evaluate.likeness import Critics
from training.evaluate.photo import PhotoResult, measure_photo
from training.evaluate.sheets import SheetWriter
from training.evaluate.summary import (
    CLIP_TITLES,
    PHOTO_TITLES,
    cells,
    summarise_clip,
    summarise_clips,
    summarise_photos,
)
from training.evaluate.teachers import HairTeacher, PersonTeacher
from training.evaluate.truth import Judges
from training.evaluate.variants import variants
from training.lpips import Lpips
from training.splits import held_out

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PHOTOS = ("portraits", "held-out", "hires")
CLIPS, STYLES = "clips", "styles"
DEFAULT_SETS = ["portraits", "hires", CLIPS, STYLES]
VARIANTS = ("tracker", "hull", "network")
WANTED_PHOTOS = ("wanted of the hull", "", "", "", "25.5 (hires 24)", "", "0.97", "0.94", "", "29.1 (hires 30.2)",
                 "", "0", "0")  # fmt: skip
WANTED_CLIPS = ("wanted of the hull", "", "", "", "", "", "22.8", "", "", "0.068", "", "", "", "", "", "", "")


Ways = dict[str, ReconstructOptions]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--set", choices=(*PHOTOS, CLIPS, STYLES), nargs="+", default=["portraits", "hires", CLIPS, STYLES]
    )
    parser.add_argument("--limit", type=int, default=40, help="photos per set, evenly spread (default 40)")
    parser.add_argument("--every", type=int, default=20, help="of the clips' frames, every so many (default 20)")
    parser.add_argument("--each", type=int, default=4, help="heads per held-out hairstyle (default 4)")
    parser.add_argument("--variant", choices=VARIANTS, nargs="+", default=["tracker", "hull"])
    parser.add_argument("--hair", choices=("strands", "hull"), default="strands", help="what hull and network have")
    parser.add_argument("--worst", action="store_true", help="list the ten worst photos of each row")
    parser.add_argument("--sheets", type=Path, metavar="DIR", help="also draw every head from all sides")
    chosen = parser.parse_args()
    ways = {
        name: options
        for name, options in variants(ReconstructOptions(hair=chosen.hair)).items()
        if name in chosen.variant
    }
    if missing := set(chosen.variant) - set(ways):
        parser.error(f"there are no weights for {', '.join(missing)}")
    sessions = {name: Session.open(options) for name, options in ways.items()}
    judges = open_judges(chosen.data, next(iter(sessions.values())))
    print(f"{describe_machine()}, {torch.get_num_threads()} threads\n")
    if photos := [name for name in PHOTOS if name in chosen.set]:
        photo_table(chosen, photos, ways, sessions, judges)
    if CLIPS in chosen.set:
        clip_table(chosen, ways, sessions, judges)
    if STYLES in chosen.set:
        style_table(chosen.data, ways, sessions, chosen.each)


def photo_table(
    chosen: argparse.Namespace, photos: Sequence[str], ways: Ways, sessions: dict[str, Session], judges: Judges
) -> None:
    """A row for each set and variant."""
    remarks: list[str] = []
    print_head("photos", "heads", *PHOTO_TITLES.values())
    for variant, session in sessions.items():
        for name in photos:
            paths = choose(chosen.data, name, chosen.limit)
            sheet = SheetWriter(chosen.sheets, f"{name}-{variant}") if chosen.sheets else None
            results = list(measure_all(paths, ways[variant], session, judges, sheet))
            print_row(name, variant, *cells(summarise_photos(results), PHOTO_TITLES))
            remarks += [f"  {name}, {variant}: {r.path.name} failed: {r.failure}" for r in results if r.failure]
            remarks += worst(f"{name}, {variant}", results) if chosen.worst else []
    print_row(*WANTED_PHOTOS)
    print("\n".join(["", *remarks]), flush=True)


def clip_table(chosen: argparse.Namespace, ways: Ways, sessions: dict[str, Session], judges: Judges) -> None:
    """A row for each clip and variant, and the mean of the clips."""
    critics = Critics(Lpips.open(chosen.data / "teachers" / "lpips_alexnet.npz"), FaceIdentity.open())
    failures: list[str] = []
    print_head("clip", "heads", *CLIP_TITLES.values())
    for variant, session in sessions.items():
        results = []
        for path in sorted((chosen.data / CLIPS).glob("*.mp4")):
            results.append(measure_clip(path, ways[variant], session, judges, critics, chosen.every))
            print_row(path.stem, variant, *cells(summarise_clip(results[-1]), CLIP_TITLES))
        print_row("mean", variant, *cells(summarise_clips(results), CLIP_TITLES))
        failures += [f"  {variant}: {r.path.name} failed: {r.failure}" for r in results if r.failure]
    print_row(*WANTED_CLIPS)
    print("\n".join(["", *failures]), flush=True)


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


def worst(title: str, results: Sequence[PhotoResult]) -> list[str]:
    """The ten photos whose head region is worst."""
    lines = [f"\nWorst of {title}:"]
    scored = [(result.path.name, result.scores) for result in results if result.scores]
    for name, scores in sorted(scored, key=lambda pair: pair[1].head)[:10]:
        lines.append(
            f"  {name}: head {scores.head:.1f} dB, hair covered {scores.hair:.2f}, "
            f"silhouette {scores.silhouette:.2f}, face {scores.outline:.1f} dB"
        )
    return lines


if __name__ == "__main__":
    main()
