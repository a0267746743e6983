"""The stages of training (METHOD.md 6): what each one trains, on what, by which loss, and what it is measured by.

G  the shape of the head on some vertices at a time, from shards of drawn photographs (training/geometry)
T  everything, by the paper's losses, on drawn heads that are seen from all around (training/pictures)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import Preset
from meshlam_core.model.geometry import STAGE
from meshlam_core.model.network import MeshLAM
from training.data.make import check_head
from training.data.pool import Pool
from training.geometry.curve import HeldOut
from training.geometry.stage import GeometrySettings, GeometryStage, without_errors
from training.losses import LossWeights, OneView, PaperStage
from training.lpips import Lpips
from training.pictures.ahead import Ahead
from training.pictures.draw import Drawer
from training.pictures.held_out import HeldOutPictures
from training.rigs import training_rig, without_lashes
from training.trainer import Stage


class Measure(Protocol):
    """Samples that are never learnt from. Errors have names, and are the smaller the better."""

    unit: str

    def start(self) -> dict[str, float]:
        """Errors of what the network begins with."""

    def measure(self, network: MeshLAM) -> dict[str, float]:
        """Errors of what it makes of that."""


@dataclass(frozen=True)
class Task:
    """A stage made ready."""

    network: MeshLAM
    stage: Stage[Any]
    held_out: Measure | None
    show: Callable[[MeshLAM, Path], None] = lambda network, folder: None  # what there is to look at in the end


@dataclass(frozen=True)
class Kind:
    """A stage by its name."""

    prepare: Callable[[argparse.Namespace, HeadModel, Preset, int], Task]  # the last one: how many processes learn
    note: str  # in the weights, under "stage"
    batch: int
    rate: float
    warm_up: int  # steps


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
    rig = without_lashes(training_rig(head), head)
    network = MeshLAM(preset.with_changes(correction="none"), seed=options.seed)  # a batch shares the topology
    lpips = Lpips.open(options.lpips or options.data / "teachers" / "lpips_vgg16.npz")
    sizes = (options.views, options.size)
    drawer = Drawer(options.data, options.cache, options.head, options.batch, *sizes, options.seed)
    stage = PaperStage(
        Ahead(drawer, options.workers, processes),
        rig,
        LossWeights(perceptual=1.0),
        OneView(lpips, options.views),
    )
    held_out = Drawer(options.data, options.cache, options.head, 1, *sizes, 0, held_out=True)
    samples = [held_out(number) for number in range(options.check)]
    if not samples:
        return Task(network, stage, None)
    measure = HeldOutPictures(samples, rig, lpips)
    return Task(network, stage, measure, measure.sheet)


STAGES: Mapping[str, Kind] = {
    "G": Kind(geometry, STAGE, 8, 1.5e-3, 100),
    "T": Kind(pictures, "pictures", 2, 2e-4, 20),
}
