"""Make meshlam_core/data/close_look.npz.

    python -m training.expressions.close_look [--data ../shared/data] [--people 130] [--out FILE]

People out of portraits are drawn with the tongue out and with what is taken for it (closeups.py), and the portraits
themselves are shown as people who do not. The 80 held-out portraits take no part
(training/splits.py). LEFT_OUT others only tell how it goes, and the levels from which an answer counts. Pictures are
kept in --cache and drawn once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import load_photo
from meshlam_core.files.npz import write_npz
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.tracker.close_look import CLOSE_LOOK, SIDE, CloseLook, normalised
from meshlam_core.tracker.landmarks import choose_face
from meshlam_core.tracker.parsing_network import fused
from training.bench.tracker import DATA
from training.expressions.closeups import NAMES, ROOM, STORED, CloseUps, draw_closeups, stored_crop
from training.splits import held_out

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

BATCH = 64
REAL = 12  # of them real people
LEFT_OUT = 30  # people who are drawn, and
REAL_LEFT_OUT = 70  # others who are not
FALSE = 0.01  # of the pictures of people who do not do it that may be above the lower level


def drawn_people(photos: list[Path], seed: int, cache: Path, session: Session) -> CloseUps:
    """Close looks at drawn people; each person is drawn once."""
    found = []
    for number, path in enumerate(photos, start=seed):
        kept = cache / f"{path.stem}.npz"
        if not kept.exists():
            try:
                drawn = draw_closeups(path, session, number)
            except MeshlamError as error:
                print(f"{path.name}: {error}", file=sys.stderr)
                continue
            write_npz(kept, {"crops": drawn.crops, "truth": drawn.truth, "kind": drawn.kind})
            print(f"{number + 1} {path.name}", file=sys.stderr, flush=True)
        with np.load(kept) as stored:
            found.append(CloseUps(stored["crops"], stored["truth"], stored["kind"]))
    return joined(found)


def real_people(photos: list[Path], cache: Path, session: Session) -> CloseUps:
    """Close looks at portraits themselves, taken to show no tongue."""
    kept = cache / "real"
    kept.mkdir(exist_ok=True)
    crops = []
    for path in photos:
        one = kept / f"{path.stem}.npz"
        if not one.exists():
            picture = load_photo(path).pixels
            found = session.detector.detect(picture, every=False)
            seen = [session.detector.refine(picture, choose_face(found))] if found else []
            made = np.array([stored_crop(picture, face.landmarks) for face in seen], np.uint8)
            write_npz(one, {"crops": made.reshape(-1, STORED, STORED, 3)})
        with np.load(one) as stored:
            crops.append(stored["crops"])
    shown = np.concatenate(crops)
    return CloseUps(shown, np.zeros(len(shown), np.float32), np.full(len(shown), NAMES.index("photo"), np.uint8))


def joined(parts: list[CloseUps]) -> CloseUps:
    """All of them."""
    return CloseUps(
        np.concatenate([one.crops for one in parts]),
        np.concatenate([one.truth for one in parts]),
        np.concatenate([one.kind for one in parts]),
    )


def varied(
    crops: Tensor,  # [B, 3, STORED, STORED] sRGB 0..1
    random: torch.Generator,
) -> Tensor:  # [B, 3, SIDE, SIDE]
    """As other cameras and other landmarks show them, mirrored or not."""
    count = len(crops)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    def now_and_then(share: float) -> Tensor:  # [B, 1, 1, 1]
        return torch.rand(count, 1, 1, 1, generator=random) < share

    zoom, angle = torch.exp(0.05 * normal(count)) / ROOM, 0.06 * normal(count)
    side = torch.where(torch.rand(count, generator=random) < 0.5, -1.0, 1.0)
    c, s = zoom * angle.cos(), zoom * angle.sin()
    shift = 0.05 * normal(2, count)
    matrix = torch.stack([side * c, -s, shift[0], side * s, c, shift[1]], 1).reshape(-1, 2, 3)
    grid = functional.affine_grid(matrix, [count, 3, SIDE, SIDE], align_corners=False)
    seen = functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
    box = functional.avg_pool2d(functional.pad(seen, (1, 1, 1, 1), mode="replicate"), 3, 1)
    coarse = functional.interpolate(functional.avg_pool2d(seen, 2), size=(SIDE, SIDE), mode="bilinear")
    seen = torch.where(now_and_then(0.25), box, torch.where(now_and_then(0.25), coarse, seen))
    seen = seen.clamp_min(1e-3) ** torch.exp(0.2 * normal(count, 1, 1, 1)) * torch.exp(0.12 * normal(count, 3, 1, 1))
    seen = torch.where(now_and_then(0.08), seen.mean(1, keepdim=True), seen)
    seen = seen + 0.02 * normal(count, 1, 1, 1).square() * normal(*seen.shape)
    return seen.clamp(0, 1)


def train(drawn: CloseUps, real: CloseUps, left_out: CloseUps, steps: int, seed: int = 0) -> CloseLook:
    """The network."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = CloseLook()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    for step in range(steps):
        parts = [
            (one, torch.randint(len(one.crops), (share,), generator=random).numpy())
            for one, share in ((drawn, BATCH - REAL), (real, REAL))
        ]
        crops = torch.from_numpy(np.concatenate([one.crops[index] for one, index in parts]))
        wanted = torch.from_numpy(np.concatenate([one.truth[index] for one, index in parts]))
        told = network(normalised(varied(crops.permute(0, 3, 1, 2) / 255, random)))
        known = ~wanted.isnan()
        loss = functional.binary_cross_entropy_with_logits(told[known], wanted[known])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(f"{step + 1}: {float(loss.detach()):.3f}", file=sys.stderr, flush=True)
            report(answers(network, left_out.crops), left_out)
    return network.eval()


def answers(network: CloseLook, crops: U8) -> F32:  # [M, STORED, STORED, 3] -> [M]
    """What the network tells of stored crops, and of their mirror images."""
    network.eval()
    edge = round(STORED * (1 - 1 / ROOM) / 2)
    told = []
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            inner = torch.from_numpy(crops[start : start + BATCH, edge:-edge, edge:-edge]).permute(0, 3, 1, 2) / 255
            small = functional.interpolate(inner, size=(SIDE, SIDE), mode="bilinear", antialias=True)
            both = [network(normalised(view)) for view in (small, small.flip(3))]
            told.append(torch.sigmoid((both[0] + both[1]) / 2))
    network.train()
    return np.asarray(torch.cat(told).numpy(), np.float32)


def report(
    told: F32,  # [M]
    shown: CloseUps,
) -> None:
    """The levels from which an answer counts, and how surely each kind of face is told from it."""
    strong, none = shown.truth > 0.6, shown.truth == 0
    low = float(np.quantile(told[none], 1 - FALSE))
    full = low + (float(np.median(told[strong])) - low) / float(shown.truth[strong].mean())
    line = [f"{low:.2f} {full:.2f}, strong above {(told[strong] > low).mean():.2f}"]
    for kind in np.unique(shown.kind[none]):
        other = told[none & (shown.kind == kind)]
        line.append(f"{NAMES[kind]} {separation(told[strong], other):.3f} {(other > low).mean():.2f}")
    print("; ".join(line), file=sys.stderr, flush=True)


def separation(
    of: F32,  # [A]
    others: F32,  # [B]
) -> float:
    """The area under the curve: how often one of the first is above one of the others."""
    return float((of[:, None] > others).mean() + 0.5 * (of[:, None] == others).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--people", type=int, default=130)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--cache", type=Path, default=Path("out/closeups"))
    parser.add_argument("--out", type=Path, default=CLOSE_LOOK)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    session = Session.open(ReconstructOptions(weights="none"))
    photos = [path for path in sorted((arguments.data / "portraits").glob("*.jpg")) if not held_out(path.name)]
    photos = [photos[i] for i in np.random.default_rng(0).permutation(len(photos))]
    learnt = arguments.people - LEFT_OUT
    drawn = drawn_people(photos[:learnt], 0, arguments.cache, session)
    real = real_people(photos[:learnt] + photos[arguments.people + REAL_LEFT_OUT :], arguments.cache, session)
    unseen = real_people(photos[learnt : arguments.people + REAL_LEFT_OUT], arguments.cache, session)
    drawn_unseen = drawn_people(photos[learnt : arguments.people], learnt, arguments.cache, session)
    left_out = joined([drawn_unseen, unseen])
    network = fused(train(drawn, real, left_out, arguments.steps))
    write_npz(arguments.out, {name: value.numpy().astype(np.float16) for name, value in network.state_dict().items()})


if __name__ == "__main__":
    main()
