"""How well the finer masks find ears, necks, glasses, masks, hands and other things, and what is told of them.

Run: python -m training.bench.parts [--data ../shared/data] [--people N] [--limit N] [--sheets DIR]

- people: heads of the synthetic engine, drawn for this alone, with exact labels. Intersection over union of each part
  at one half, over all pixels of all pictures.
- things before photographs: the 80 portraits that nothing was trained on (training/splits.py), each with one thing
  drawn before the face, looked at as any photo is; what is told (`Regions.covered`) against what was drawn.
- photographs as they are: the same portraits and the 24 machine-made ones of hires. Who wears glasses was seen by
  looking; nobody has anything else before the face.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.assets import asset_path
from meshlam_core.files.images import load_photo
from meshlam_core.points import CHIN, FOREHEAD, OVAL
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import COVERS, Regions, head_window, parse_person, polygon_mask
from meshlam_core.tracker.parsing_network import (
    BARE,
    EARS,
    GLASSES,
    HAIR,
    HAND,
    MASK,
    NECK,
    OBJECT,
    PARTS_NETWORK,
    load_parsing_network,
)
from meshlam_core.tracker.sampling import Region, sample_region
from training.bench.machine import describe_machine
from training.bench.markdown import print_head, print_row
from training.parser.learn import check_inputs
from training.parser.people import SyntheticPeople
from training.parser.portraits import CHANNELS, PARTS
from training.splits import held_out
from training.synthetic import occluders
from training.synthetic.hands import Hands
from training.synthetic.world import to_linear, to_srgb

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

# by file name without ending; among the portraits that are held out, and among hires
WEARERS = {
    "A000360", "A000369", "B000208", "B000410", "B000490", "B001273", "B001290", "C001068", "F000457", "G000568",
    "H001043", "H001045", "I000023", "M000355", "M001137", "M001158", "N000182", "N000185", "N000189", "O000007",
    "P000596", "R000307", "R000395", "S001191", "W000437", "1981-17594", "23571-30533",
}  # fmt: skip
KINDS = {"glasses": "glasses", "mask": "mask", "hand": "hand", "microphone": "object", "thing": "object"}
SIDE = 576  # px of a head's window
HIDES = 0.04  # of the face, that a thing must cover to count as being before it


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--people", type=int, default=100)
    options.add_argument("--limit", type=int, default=80, help="portraits")
    options.add_argument("--sheets", type=Path, default=None, help="folder for pictures with what was found")
    chosen = options.parse_args()
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    portraits = [path for path in sorted((chosen.data / "portraits").glob("*.jpg")) if held_out(path.name)]
    portraits, hires = portraits[: chosen.limit], sorted((chosen.data / "hires").glob("*.jpg"))
    print(f"{describe_machine()}\n")
    if chosen.people:
        print_people(draw_people(chosen.data, detector, chosen.people))
    print_head("drawn before the face", "pictures", "told", "something told", "something else told")
    hands = Hands(chosen.data)
    for kind, name in KINDS.items():
        rows = list(with_a_thing(portraits, detector, hands, kind))
        print_row(kind, str(len(rows)), *_shares(rows, name))
        _sheet(rows, chosen.sheets, kind)
    print()
    print_head("as they are", "pictures", "with glasses", "of these told", "told of others", "mask", "hand", "object")
    for title, paths in (("held-out portraits", portraits), ("hires", hires)):
        rows = list(as_they_are(paths, detector))
        worn = [path.stem in WEARERS for path, _, _ in rows]
        told = [[name in regions.covered for name in COVERS] for _, _, regions in rows]
        found = np.array(told).reshape(-1, len(COVERS))
        glasses, others = found[np.array(worn), 0], found[~np.array(worn), 0]
        counts = [str(int(n)) for n in found[:, 1:].sum(axis=0)]
        print_row(title, str(len(rows)), str(len(glasses)), str(int(glasses.sum())), str(int(others.sum())), *counts)
        for path, _, regions in rows:
            if set(regions.covered) - {"glasses"} or ("glasses" in regions.covered) != (path.stem in WEARERS):
                print(f"<!-- {path.stem}: {', '.join(regions.covered) or 'nothing'} -->")
        _sheet(rows, chosen.sheets, title)


def draw_people(data: Path, detector: LandmarkDetector, count: int, seed: int = 99) -> torch.Tensor:  # [S, 17, M, M]
    """Heads that nothing was trained on."""
    people, rng = SyntheticPeople(data, None), np.random.default_rng(seed)
    samples: list[torch.Tensor] = []
    while len(samples) < count:
        if (sample := people.draw(rng, detector)) is not None:
            samples.append(sample)
    return torch.stack(samples)


def print_people(samples: torch.Tensor) -> None:
    """Each part's overlap with the truth."""
    network = load_parsing_network(PARTS_NETWORK)
    kinds = {"hair": [HAIR], "skin with all of it": [*range(*BARE.indices(99))], "ears": [EARS], "neck": [NECK]}
    kinds |= {"glasses": [GLASSES], "mask": [MASK], "hand": [HAND], "object": [OBJECT]}
    kinds["mask, hand or object"] = [MASK, HAND, OBJECT]
    both, either = dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    first = len(CHANNELS)
    for inputs, whole in check_inputs(samples):
        with torch.inference_mode():
            chance = network(inputs).softmax(1)[0]
        truth = {"hair": whole[0, 5], "skin with all of it": whole[0, 7]}
        truth |= {name: whole[0, first + i] for i, name in enumerate(PARTS)}
        truth["mask, hand or object"] = whole[0, first + 3 : first + 6].sum(0)
        known = whole[0, 4] > 0.5
        for name, members in kinds.items():
            found, wanted = (chance[members].sum(0) > 0.5) & known, (truth[name] > 0.5) & known
            both[name] += int((found & wanted).sum())
            either[name] += int((found | wanted).sum())
    print_head("people", *kinds)
    print_row(f"IoU, {len(samples)}", *(f"{both[name] / max(either[name], 1):.3f}" for name in kinds))
    print()


def with_a_thing(
    paths: list[Path], detector: LandmarkDetector, hands: Hands, kind: str
) -> Iterator[tuple[Path, U8, Regions]]:
    """Each portrait with one thing before its face; those in which no face is found any more are left out."""
    shares = dict.fromkeys(occluders.SHARES, 0.0) | {kind: 1.0}
    for i, path in enumerate(paths):
        if kind == "glasses" and path.stem in WEARERS:
            continue
        pixels = load_photo(path).pixels
        if not (faces := detector.detect(pixels)):
            continue
        points = faces[0].landmarks[:, :2].astype(np.float64)
        window = head_window(points)
        window = Region(window.centre, 1.1 * window.side, window.roll)
        picture, matrix = sample_region(pixels, window, SIDE), window.picture_from_unit()
        local = (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T * SIDE
        face = polygon_mask(local[OVAL], picture.shape[:2]) > 0
        hull = local[:468] + 0.12 * (local[FOREHEAD] - local[CHIN])
        for attempt in range(20):
            colour, label = to_linear(picture), np.zeros(picture.shape[:2], np.uint8)
            rng = np.random.default_rng((i, attempt, sorted(KINDS).index(kind)))
            skin = np.median(colour[face], axis=0)
            cover = occluders.add_occluders(colour, label, local, hull, skin, rng, hands, shares)
            if cover[face].mean() > (0.01 if kind == "glasses" else HIDES):
                break
        else:
            continue
        drawn = (to_srgb(colour) * 255 + 0.5).astype(np.uint8)
        if faces := detector.detect(drawn):
            yield path, drawn, parse_person(drawn, faces[0].landmarks)


def as_they_are(paths: list[Path], detector: LandmarkDetector) -> Iterator[tuple[Path, U8, Regions]]:
    """Photographs with nothing drawn."""
    for path in paths:
        pixels = load_photo(path).pixels
        if faces := detector.detect(pixels):
            yield path, pixels, parse_person(pixels, faces[0].landmarks)


def _shares(rows: list[tuple[Path, U8, Regions]], name: str) -> list[str]:
    told = [set(regions.covered) for _, _, regions in rows]
    worn = [{"glasses"} if path.stem in WEARERS else set() for path, _, _ in rows]
    held = {"object", "hand"} if name == "object" else {name}  # whoever holds a thing shows a hand
    found = (
        [name in t for t in told],
        [bool(t) for t in told],
        [bool(t - held - w) for t, w in zip(told, worn, strict=True)],
    )
    return [f"{np.mean(column):.2f}" for column in found]


def _sheet(rows: list[tuple[Path, U8, Regions]], folder: Path | None, name: str) -> None:
    """Pictures with what was found in colours: glasses yellow, things before the head green, ears red, neck blue."""
    if folder is None or not rows:
        return
    folder.mkdir(parents=True, exist_ok=True)
    tiles = []
    for _, picture, regions in rows:
        assert regions.parts is not None
        rgb = picture.astype(np.float32)
        for mask, colour in (
            (regions.parts.ears, (255, 40, 40)),
            (regions.parts.neck, (60, 90, 255)),
            (regions.parts.occluder, (0, 220, 60)),
            (regions.parts.glasses, (255, 230, 0)),
        ):
            rgb += 0.6 * mask[..., None] * (np.array(colour) - rgb)
        ys, xs = np.nonzero(regions.looked_at > 0)
        part = np.ascontiguousarray(rgb[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1])
        small = cv2.resize(part, (192, 192), interpolation=cv2.INTER_AREA).clip(0, 255).astype(np.uint8)
        cv2.putText(small, " ".join(regions.covered), (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        tiles.append(small)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 8)
    sheet = np.concatenate([np.concatenate(tiles[i : i + 8], axis=1) for i in range(0, len(tiles), 8)])
    Image.fromarray(sheet).save(folder / f"parts_{name.replace(' ', '_')}.jpg")


if __name__ == "__main__":
    main()
