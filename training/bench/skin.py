"""How well skin is told from light.

Run: python -m training.bench.skin [--data ../shared/data] [--heads 64] [--photos 40]

Drawn heads, each under two lights, are reconstructed as any photo. Where the photo was seen, the texture is compared
with the skin that was drawn, and the two textures of a head with each other: the texture with the photo's light and
the albedo without it. How much of the error is the tone of the whole head is told by setting that right. On real
photographs the two cheeks are compared where the light comes from one side, and ears, neck and nape with the face.
Colours are compared by CIEDE2000. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from meshlam_core.assets import asset_path
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import Photo, load_photo
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.skin.model import DARK
from meshlam_core.texture.albedo import Texture, bake_albedo
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import parse_person
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo
from training.bench.machine import describe_machine
from training.splits import held_out
from training.synthetic import open_engine
from training.synthetic.camera import take
from training.synthetic.people import draw_person
from training.synthetic.sample import photograph
from training.synthetic.world import to_srgb

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SIDE = 512  # texels, and px of a drawn photo
SEEN = 128  # of 255
SHOWN = 0.02  # of a part's texels that the photo shows, for its tone to be compared; of the nape none shows
SEED = 12
COVERED = 0.3  # of a vertex by hair, from which it is no skin
CHEEKS = (0.025, 0.045)  # m from the middle of the face to the side, between which a cheek is looked at
CHEEK_HEIGHT = (0.0, 0.03)  # m below the eyes
SIDE_LIT = 6.0  # L* between the cheeks of a photo whose light comes from one side
PARTS = ("face", "ears", "neck")


@dataclass(frozen=True)
class Places:
    """Where on the texture is looked."""

    atlas: Atlas
    skin: NDArray[np.intp]  # covered texels of face, ears and neck
    face: NDArray[np.intp]
    left: NDArray[np.intp]  # covered texels of the cheeks
    right: NDArray[np.intp]
    ears: NDArray[np.intp]
    neck: NDArray[np.intp]
    nape: NDArray[np.intp]


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--heads", type=int, default=64)
    options.add_argument("--photos", type=int, default=40, help="held-out portraits, beside all of hires")
    chosen = options.parse_args()
    head = load_head()
    places = find_places(head)
    detector = MediaPipeDetector(asset_path("face_landmarker.task"))
    print(f"{describe_machine()}\n")
    if chosen.heads:
        drawn_heads(chosen.data, chosen.heads, detector, head, places)
    if chosen.photos:
        photographs(chosen.data, chosen.photos, detector, head, places)


def reconstruct(photo: Photo, detector: LandmarkDetector, head: HeadModel) -> tuple[Texture, Mask]:  # and [V] covered
    """The texture with and without light, and where hair is."""
    tracked = track_photo(photo, detector, head)
    picture = cut_head(photo, tracked)
    regions = parse_person(picture.pixels, landmarks_on_crop(tracked, picture.camera), picture.alpha)
    tracked = with_hair(tracked, regions, picture.camera, head)
    texture = bake_albedo(picture.pixels, regions, tracked, picture.camera, head, SIDE, unlit=True)
    return texture, np.zeros(len(head.template), bool) if tracked.hair is None else tracked.hair.cover > COVERED


def find_places(head: HeadModel) -> Places:
    """Fixed parts of the layout."""
    import torch

    atlas = build_atlas(head, SIDE)
    at = atlas.at_texels(torch.from_numpy(head.template.copy())).numpy()
    eyes = head.template[np.isin(head.part, [head.parts.index("eyeball_left")])].mean(axis=0)
    share = {name: atlas.at_texels(atlas.share(name)[:, None])[:, 0].numpy() > 0.9 for name in PARTS}
    below = eyes[1] - at[:, 1]
    cheek = share["face"] & (below > CHEEK_HEIGHT[0]) & (below < CHEEK_HEIGHT[1])
    aside = np.abs(at[:, 0])
    cheek &= (aside > CHEEKS[0]) & (aside < CHEEKS[1]) & (at[:, 2] > eyes[2] - 0.03)
    behind = at[:, 2] < head.template[share_vertices(head, "neck"), 2].mean()

    def rows(mask: Mask) -> NDArray[np.intp]:
        return np.flatnonzero(mask)

    return Places(
        atlas,
        rows(share["face"] | share["ears"] | share["neck"]),
        rows(share["face"]),
        rows(cheek & (at[:, 0] > 0)),
        rows(cheek & (at[:, 0] < 0)),
        rows(share["ears"]),
        rows(share["neck"] & ~behind),
        rows(share["neck"] & behind),
    )


def share_vertices(head: HeadModel, name: str) -> NDArray[np.intp]:
    """The vertices of a part."""
    return np.flatnonzero(head.part == head.parts.index(name))


def drawn_heads(data: Path, count: int, detector: LandmarkDetector, head: HeadModel, places: Places) -> None:
    """Each head under two lights."""
    engine = open_engine(data)
    errors: dict[str, list[float]] = {"photo": [], "albedo": []}
    apart: dict[str, list[float]] = {"photo": [], "albedo": []}
    levelled: dict[str, list[float]] = {"photo": [], "albedo": []}
    number = 0
    while len(apart["photo"]) < count:
        rng = np.random.default_rng((SEED, number))
        number += 1
        person = draw_person(engine.world, engine.hair, rng)
        shot = take(head, person.vertices, SIDE, rng, portrait=True)
        truth = to_srgb(cv2.resize(person.texture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))
        pair = []
        for light in range(2):
            drawn = photograph(engine.world, person, shot, np.random.default_rng((SEED, number, light)), SIDE).picture
            try:
                pair.append(reconstruct(Photo(drawn, None, "", Path("drawn.png"), (SIDE, SIDE)), detector, head))
            except MeshlamError:
                break
        if len(pair) < 2:
            continue
        covered = pair[0][1] | pair[1][1] | (person.hair.cover > COVERED)
        rows = places.skin[~covered[places.atlas.corners.numpy()[places.skin]].any(axis=1)]
        seen = [_texels(texture.seen[..., None], places, rows)[:, 0] > SEEN for texture, _ in pair]
        wanted = _texels(truth, places, rows)
        both = seen[0] & seen[1]
        for name in errors:
            found = [_texels(_picture(texture, name), places, rows) for texture, _ in pair]
            errors[name] += [_distance(f[s], wanted[s]) for f, s in zip(found, seen, strict=True)]
            levelled[name] += [
                _distance(_with_tone(f[s], wanted[s]), wanted[s]) for f, s in zip(found, seen, strict=True)
            ]
            apart[name].append(_distance(found[0][both], found[1][both]))
    print(f"{count} drawn heads, each under two lights; CIEDE2000 over seen texels of the skin, medians\n")
    titles = ("from the true albedo", "with the whole head's tone set right", "between the two lights")
    print("| texture | " + "".join(f"{title}, median | 90 % | " for title in titles).rstrip() + "\n|" + " --- |" * 7)
    for name in errors:
        cells = [f"{np.quantile(v, q):.1f}" for v in (errors[name], levelled[name], apart[name]) for q in (0.5, 0.9)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def photographs(data: Path, count: int, detector: LandmarkDetector, head: HeadModel, places: Places) -> None:
    """Cheeks, ears, neck and nape of real people."""
    portraits = [path for path in sorted((data / "portraits").glob("*.jpg")) if held_out(path.name)][:count]
    sides: list[tuple[str, float, float]] = []
    tones: dict[tuple[str, str], list[float]] = {}
    for path in sorted((data / "hires").glob("*.jpg")) + portraits:
        try:
            texture, covered = reconstruct(load_photo(path), detector, head)
        except MeshlamError as problem:
            print(f"{path.name}: {problem}")
            continue
        bare = ~covered[places.atlas.corners.numpy()].any(axis=1)
        apart = []
        for name in ("photo", "albedo"):
            lab = rgb2lab(_texels(_picture(texture, name), places, np.arange(len(bare))))
            middle = np.median(lab[places.face[bare[places.face]]], axis=0)
            apart.append(float(abs(np.median(lab[places.left, 0]) - np.median(lab[places.right, 0]))))
            for part in ("ears", "neck", "nape"):
                rows = getattr(places, part)
                rows = rows[bare[rows]]
                shown = len(rows) > 200 and float((_texels(texture.seen, places, rows) > SEEN).mean()) > SHOWN
                if shown or (part == "nape" and len(rows) > 200):
                    far = float(_difference(np.median(lab[rows], axis=0), middle))
                    tones.setdefault((part, name), []).append(far)
        if apart[0] > SIDE_LIT:
            sides.append((path.stem, apart[0], apart[1]))
    print(f"\nCheeks of the photos lit from one side (more than {SIDE_LIT:g} L* apart)\n")
    print("| photo | L* apart, with the light | without |\n|" + " --- |" * 3)
    for name, lit, unlit in sorted(sides, key=lambda row: -row[1]):
        print(f"| {name} | {lit:.1f} | {unlit:.1f} |")
    if sides:
        both = np.median([row[1:] for row in sides], axis=0)
        print(f"| median of {len(sides)} | {both[0]:.1f} | {both[1]:.1f} |")
    print("\nTone against the face's, CIEDE2000, where no hair covers\n")
    print("| part | n | with the light, median | without, median | 90 % |\n|" + " --- |" * 5)
    for part in ("ears", "neck", "nape"):
        before, after = tones[part, "photo"], tones[part, "albedo"]
        cells = (f"{np.median(before):.1f}", f"{np.median(after):.1f}", f"{np.quantile(after, 0.9):.1f}")
        print(f"| {part} | {len(before)} | " + " | ".join(cells) + " |")


def _picture(texture: Texture, name: str) -> U8:
    if name == "photo":
        return texture.photo
    assert texture.albedo is not None
    return texture.albedo


def _texels(picture: NDArray[np.generic], places: Places, rows: NDArray[np.intp]) -> F64:  # [R, C] 0..1
    values = picture.reshape(SIDE * SIDE, -1)[places.atlas.places.numpy()[rows]]
    return np.asarray(values / (255.0 if picture.dtype == np.uint8 and values.shape[1] == 3 else 1.0), np.float64)


def _distance(found: F64, wanted: F64) -> float:
    return float(np.median(_difference(rgb2lab(found), rgb2lab(wanted))))


def _with_tone(found: F64, wanted: F64) -> F64:  # [R, 3] sRGB 0..1
    """Each channel times one factor, so that the medians of the ratios are 1."""
    ratios = np.log(found.clip(DARK)) - np.log(wanted.clip(DARK))
    return np.asarray((found * np.exp(-np.median(ratios, axis=0))).clip(0, 1))


def _difference(one: F64, other: F64) -> F64:  # [..., 3] Lab
    return np.asarray(deltaE_ciede2000(one, other))  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
