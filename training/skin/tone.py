"""Build data/skin_tone.npz: how pale the skin is that a photo shows so, learnt from drawn people.

    python -m training.skin.tone [--data ../shared/data] [--cache DIR] [--heads 600]

Each drawn photograph (training/synthetic) is read by the pipeline as any photo, and light and skin are told apart; the
cues of meshlam_core/skin/tone.py are regressed on the tone that was drawn. Every second environment map is kept for
the benchmark, which draws other people, too. What each photograph shows is kept in the cache. The same inputs give
the same model.

Dims: N photographs, F cues, H hidden units.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.assets import asset_path
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import Photo
from meshlam_core.files.npz import write_npz
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.skin.fit import Points, fit_light
from meshlam_core.skin.model import SkinModel, load_skin_model
from meshlam_core.skin.tone import ARRAYS, CUES, FARTHEST, FORMAT, TONE_MODEL, VERSION, ToneModel, cues
from meshlam_core.texture.albedo import observe
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.separate import what_shows
from meshlam_core.texture.whites import white_of_eyes
from meshlam_core.tracker.crop import cut_head
from meshlam_core.tracker.hair import with_hair
from meshlam_core.tracker.landmarks import LandmarkDetector, MediaPipeDetector
from meshlam_core.tracker.parsing import parse_person
from meshlam_core.tracker.pose import landmarks_on_crop
from meshlam_core.tracker.track import track_photo
from training.skin.texels import linear
from training.synthetic import open_engine
from training.synthetic.camera import take
from training.synthetic.people import draw_person
from training.synthetic.sample import Engine, photograph
from training.synthetic.world import to_srgb

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

SIDE = 256  # texels
PHOTO = 512  # px, as the benchmark's
SEED = 77  # the benchmark has another
EVERY = 100  # photographs between two reports
HIDDEN, MEMBERS = 12, 4
STEPS, BATCH, RATE, DECAY = 1500, 256, 5e-3, 0.1
BLURRED = 0.1  # of a cue's standard deviation, added as noise: cues of real photos are never quite these
ROBUST = 0.2  # of the logarithm, error from which only its size counts
FOLDS = 6  # of the people, to say how wrong the judgement is


def main() -> None:
    """Draw, learn, report and write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--cache", type=Path, default=Path("build/skin"))
    options.add_argument("--heads", type=int, default=600)
    options.add_argument("--out", type=Path, default=TONE_MODEL)
    chosen = options.parse_args()
    head = load_head()
    skin = load_skin_model(head)
    assert skin is not None
    kept = draw_all(chosen.data, chosen.cache, chosen.heads, head, skin)
    told, tones, white = (np.array(values) for values in zip(*[example(path, skin) for path in kept], strict=True))
    errors = np.zeros_like(tones)
    for fold in range(FOLDS):
        own = np.arange(len(tones)) % FOLDS == fold
        errors[own] = learn(told[~own], tones[~own]).judge(told[own]) - tones[own]
    grey = errors.mean(axis=1)
    doubt = np.array([np.sqrt((grey[white == seen] ** 2).mean()) for seen in (False, True)])
    save_tone_model(replace(learn(told, tones), doubt=doubt), chosen.out)
    slope = np.polyfit(tones.mean(axis=1), grey, 1)[0]
    print(
        f"{len(tones)} drawn people, those not learnt from: error of the tone {np.sqrt((grey**2).mean()):.2f} "
        f"({np.median(np.abs(grey)):.2f} median), slope on the true tone {slope:.2f}, "
        f"of the hue {(errors - grey[:, None]).std():.2f}; without and with white of the eyes {doubt.round(2)}"
    )


def draw_all(data: Path, cache: Path, count: int, head: HeadModel, skin: SkinModel) -> list[Path]:
    """Files of what each drawn photograph shows of the skin; those that show no face are left out."""
    folder = cache / "tones"
    folder.mkdir(parents=True, exist_ok=True)
    engine = open_engine(data, cache)
    engine = replace(engine, world=replace(engine.world, lights=engine.world.lights[::2]))
    atlas, detector = build_atlas(head, SIDE), MediaPipeDetector(asset_path("face_landmarker.task"))
    kept = []
    for number in range(count):
        path = folder / f"{number:04d}.npz"
        if not path.is_file():
            try:
                _draw(number, path, engine, detector, head, skin, atlas)
            except MeshlamError:
                continue
        if path.is_file():
            kept.append(path)
        if number % EVERY == 0:
            print(f"drawn {number} of {count}", flush=True)
    return kept


def _draw(
    number: int, kept: Path, engine: Engine, detector: LandmarkDetector, head: HeadModel, skin: SkinModel, atlas: Atlas
) -> None:
    rng = np.random.default_rng((SEED, number))
    person = draw_person(engine.world, engine.hair, rng)
    shot = take(head, person.vertices, PHOTO, rng, portrait=True)
    drawn = photograph(engine.world, person, shot, rng, PHOTO).picture
    photo = Photo(drawn, None, "", Path("drawn.png"), (PHOTO, PHOTO))
    tracked = track_photo(photo, detector, head)
    picture = cut_head(photo, tracked)
    landmarks = landmarks_on_crop(tracked, picture.camera)
    regions = parse_person(picture.pixels, landmarks, picture.alpha)
    tracked = with_hair(tracked, regions, picture.camera, head)
    with torch.inference_mode():
        seen = observe(picture.pixels, regions, tracked, picture.camera, head, atlas)
        white = white_of_eyes(picture.pixels, landmarks)
        shown = what_shows(seen.sight.skin, seen.posed, tracked.rotations[0], seen.cover, white, skin, head, atlas)
        if shown is None:
            return
        truth = to_srgb(cv2.resize(person.texture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        colour = torch.from_numpy(truth.reshape(-1, 3)[atlas.places.numpy()])
        mean, _ = atlas.at_vertices(torch.cat([colour, torch.ones(len(colour), 1)], 1))
    points = shown.points
    assert points.white_transfer is not None
    np.savez(
        kept,
        allow_pickle=False,
        some=shown.some,
        colour=points.colour,
        weight=points.weight,
        transfer=points.transfer,
        white=np.zeros(0) if points.white is None else points.white,
        white_transfer=points.white_transfer,
        tone=np.median(linear(mean.numpy()[shown.some]), axis=0),
    )


def example(path: Path, skin: SkinModel) -> tuple[F64, F64, bool]:  # [F], [3]
    """Light and skin of a drawn photograph told apart: cues, true tone, and whether the white of the eyes was seen."""
    with np.load(path, allow_pickle=False) as stored:
        some, white = stored["some"], stored["white"]
        points = Points(
            stored["colour"],
            stored["weight"],
            stored["transfer"],
            skin.mean[some],
            skin.basis[:, some],
            white if len(white) else None,
            stored["white_transfer"],
        )
        tone = stored["tone"].astype(np.float64)
    return cues(points, fit_light(points, skin.prior)), tone, len(white) > 0


def learn(told: F64, tones: F64) -> ToneModel:  # [N, F], [N, 3]
    """The mean of several networks, which is one with all their units."""
    centre, scale, middle = told.mean(axis=0), told.std(axis=0), tones.mean(axis=0)
    known = torch.from_numpy(((told - centre) / scale).clip(-FARTHEST, FARTHEST)).float()
    wanted = torch.from_numpy(tones - middle).float()
    nets = [_train(known, wanted, SEED + number) for number in range(MEMBERS)]
    inner, inner_bias, outer, outer_bias = zip(*nets, strict=True)
    return ToneModel(
        centre,
        scale,
        np.concatenate(inner).T,
        np.concatenate(inner_bias),
        np.concatenate(outer, 1).T / MEMBERS,
        np.mean(outer_bias, axis=0) + middle,
        np.zeros(2),
    )


def _train(known: Tensor, wanted: Tensor, seed: int) -> list[F64]:  # [N, F], [N, 3] -> weights of two layers
    """Least errors, robustly, with weights that are kept small."""
    torch.manual_seed(seed)
    inner, outer = torch.nn.Linear(CUES, HIDDEN), torch.nn.Linear(HIDDEN, 3)
    weights = [*inner.parameters(), *outer.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        some = torch.randint(len(known), (BATCH,))
        cue = known[some]
        found = outer(torch.tanh(inner(cue + BLURRED * torch.randn_like(cue))))
        loss = torch.nn.functional.smooth_l1_loss(found, wanted[some], beta=ROBUST)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        slower.step()
    return [values.detach().double().numpy() for values in weights]


def save_tone_model(model: ToneModel, path: Path) -> None:
    """Write the file; equal models give equal bytes."""
    header = {"format": FORMAT, "version": VERSION, "licence": "CC0-1.0"}
    arrays = {"json": np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)}
    write_npz(path, arrays | {name: getattr(model, name).astype(np.float32) for name in ARRAYS})


if __name__ == "__main__":
    main()
