"""The stages of training (METHOD.md 6): what each one trains, on what, by which loss, and what it is measured by.

G  the shape of the head on some vertices at a time, from shards of drawn photographs (training/geometry)
T  everything, by the paper's losses, on drawn heads that are seen from all around (training/pictures)
R  the same, half of it on real portraits (training/pictures/real.py)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import UsageError
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import Preset
from meshlam_core.model.geometry import STAGE
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.weights import start_from
from training.data.make import check_head
from training.data.pool import Pool
from training.geometry.curve import HeldOut
from training.geometry.stage import GeometrySettings, GeometryStage, without_errors
from training.losses import LossWeights, OneView, PaperStage
from training.lpips import Lpips
from training.peers import PeerStage, make_peer
from training.pictures.ahead import Ahead
from training.pictures.draw import Drawer
from training.pictures.held_out import HeldOutPictures
from training.pictures.people import People
from training.pictures.portraits import Portraits
from training.pictures.real import Mixed, RealStage, RealWeights
from training.rigs import training_rig, without_lashes
from training.trainer import Stage
from training.views import Sample

# The paper's weights, but for what is known of drawn heads [ours]: every texel is told its colour, that of the back,
# too, and every vertex its place. Our Laplacian counts square millimetres: the paper's 2 undoes much of stage G.
DRAWN = LossWeights(perceptual=1.0, laplacian=0.05, vertex=0.1, texture=5.0)


class Measure(Protocol):
    """Samples that are never learnt from. Errors have names, and are the smaller the better."""

    unit: str

    def start(self) -> dict[str, float]:
        """Errors of what the network begins with."""

    def measure(self, network: MeshLAM) -> dict[str, float]:
        """Errors of what it makes of that."""

    def sheet(self, network: MeshLAM) -> NDArray[np.uint8] | None:  # [H, W, 3] sRGB
        """What there is to look at."""


@dataclass(frozen=True)
class Task:
    """A stage made ready."""

    network: MeshLAM
    stage: Stage[Any]
    held_out: Measure | None


@dataclass(frozen=True)
class Kind:
    """A stage by its name."""

    prepare: Callable[[argparse.Namespace, HeadModel, Preset, int], Task]  # the last one: how many processes learn
    note: str  # in the weights, under "stage"
    batch: int
    rate: float
    warm_up: int  # steps
    keep: int  # steps between checkpoints


def geometry(options: argparse.Namespace, head: HeadModel, preset: Preset, processes: int) -> Task:
    """Stage G."""
    del processes
    for folder in (options.data, options.held_out):
        if folder is not None:
            check_head(folder, head)
    rig = training_rig(head)
    network = without_errors(MeshLAM(preset, seed=options.seed))
    chosen = GeometrySettings(batch=options.batch, single=options.single, patches=options.patches)
    stage = GeometryStage(Pool(options.data, options.most), rig, chosen, options.seed)
    held_out = options.held_out and HeldOut(Pool(options.held_out, growing=False).records, rig)
    return Task(network, stage, held_out)


def pictures(options: argparse.Namespace, head: HeadModel, preset: Preset, processes: int) -> Task:
    """Stage T."""
    made = _Pictures(options, head, preset)
    batches = Ahead(made.drawer(options.batch), options.workers, processes)
    losses = (PeerStage if options.peer else PaperStage)(batches, made.rig, *made.losses)
    return made.task(losses)


def portraits(options: argparse.Namespace, head: HeadModel, preset: Preset, processes: int) -> Task:
    """Stage R."""
    if options.start is None or options.batch % 2:
        raise UsageError("Stage R: expected weights of stage T to begin with, and an even batch.", "Name --start.")
    made = _Pictures(options, head, preset)
    teacher = made.network()
    start_from(teacher, preset, options.start)
    half = options.batch // 2
    real: Callable[[int], Sample]
    if options.people is not None:
        check_head(options.people, head)
        real = People(options.people, half, options.size, options.seed)
    else:
        real = Portraits(options.data / "portraits", options.head, half, options.size, options.seed)
    batches = Ahead(Mixed(made.drawer(half), real), options.workers, processes)
    photos = (RealWeights(), OneView(made.lpips, 1))
    return made.task(RealStage(batches, head, made.rig, teacher, made.losses, photos))


class _Pictures:
    """What both stages on pictures need."""

    def __init__(self, options: argparse.Namespace, head: HeadModel, preset: Preset) -> None:
        self.options, self.preset = options, preset
        self.rig = without_lashes(training_rig(head), head)
        self.lpips = Lpips.open(options.lpips or options.data / "teachers" / "lpips_vgg16.npz")
        self.losses = (DRAWN, OneView(self.lpips, options.views))

    def drawer(self, batch: int, held_out: bool = False) -> Drawer:
        chosen = self.options
        seed = 0 if held_out else chosen.seed
        return Drawer(chosen.data, chosen.cache, chosen.head, batch, chosen.views, chosen.size, seed, held_out=held_out)

    def network(self) -> MeshLAM:
        """Without correction: a batch shares the topology."""
        if self.options.peer:
            return make_peer(self.options.peer, self.preset, self.options.seed)
        return MeshLAM(self.preset.with_changes(correction="none"), seed=self.options.seed)

    def task(self, stage: Stage[Any]) -> Task:
        network, drawer = self.network(), self.drawer(1, held_out=True)
        samples = [drawer(number) for number in range(self.options.check)]
        if not samples:
            return Task(network, stage, None)
        return Task(network, stage, HeldOutPictures(samples, self.rig, self.lpips))


STAGES: Mapping[str, Kind] = {
    "G": Kind(geometry, STAGE, 8, 1.5e-3, 100, 100),
    "T": Kind(pictures, "pictures", 2, 2e-4, 20, 20),
    "R": Kind(portraits, "portraits", 2, 1e-4, 20, 20),
}
