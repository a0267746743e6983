"""The network for another head model in one command, from synthetic photographs to weights that reconstruct finds.

    python -m training retrain --head flame.npz --minutes 45 --out RUN --install

RUN/train and RUN/held-out hold the photographs, drawn with heads of that model, and RUN/small.safetensors the weights.
Learning begins with the weights for the open head: what they know of pictures and hair holds on any mesh. A run that
was ended goes on where it was. `make` and `train` are the two steps by themselves.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.config import preset
from meshlam_core.model.files import bundled_weights, trained_weights
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import start_from, topology_hash
from meshlam_core.opencv import set_threads
from training.backbones import folded
from training.data.make import make
from training.synthetic import open_engine
from training.synthetic.hair import HairSource
from training.train import main as train

PRESET = "small"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m training retrain", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--head", type=Path, required=True, help="the head model's file")
    parser.add_argument("--minutes", type=float, required=True, help="of learning; the photographs are drawn before")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4000, help="photographs to learn from")
    parser.add_argument("--held-out", type=int, default=192, help="and to measure on")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="skins, irises and light")
    parser.add_argument(
        "--start", type=Path, default=None, help="weights to begin with; those for the open head if none"
    )
    parser.add_argument("--install", action="store_true", help="put the weights where meshlam reconstruct finds them")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Draw, learn, install."""
    options = parse(arguments)
    if min(options.count, options.held_out) < 1 or not options.minutes > 0:
        raise UsageError("retrain: expected at least one photograph of each kind, and some minutes.")
    start = options.start or bundled_weights(PRESET)
    if start is None:
        raise AssetError(f"The weights of the preset {PRESET} are missing.", "Name some with --start.")
    set_threads(options.threads)
    network = MeshLAM(preset(PRESET)).eval()
    start_from(network, network.preset, start)
    engine = open_engine(options.data, options.out, model=options.head)
    head = engine.world.head
    unknown = replace(engine, hair=HairSource(head, held_out=True))
    learnt, held_out = options.out / "train", options.out / "held-out"
    make(engine, folded(network), learnt, "train", options.count)
    make(unknown, network, held_out, "held-out", options.held_out)
    train(
        [
            *("--head", str(options.head), "--start", str(start), "--out", str(options.out)),
            *("--data", str(learnt), "--held-out", str(held_out)),
            *("--minutes", str(options.minutes), "--threads", str(options.threads)),
        ]
    )
    made, place = options.out / f"{PRESET}.safetensors", trained_weights(PRESET, topology_hash(head))
    if options.install:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, place)
        print(f"{place}: used from now on for {head.name}.", file=sys.stderr)
    else:
        print(f"{made}: name it with --weights, or copy it to {place}, where it is found.", file=sys.stderr)
