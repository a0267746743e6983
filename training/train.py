"""Train a stage (stages.py), one after the other.

    python -m training train --stage G --minutes 50 --data SHARDS --held-out SHARDS --out RUN
    python -m training train --stage T --minutes 50 --data ../shared/data --start RUN/small.safetensors --out NEXT

`--head` names the head model that is learnt on, that of the shards in stage G; the weights say so, and fit no other.
RUN holds `checkpoint.safetensors`, from which a run goes on that was ended, `log.csv`, `curve.csv` and `curve.png`, the
errors on the held-out samples (in the first row those of V_0, in the second those of --start), and in the end
`small.safetensors`: the running mean of the weights, in half precision.
Stages T and R draw `sheet.jpg`, too: held-out heads as their targets, the start and the result show them.
All numbers, and a sheet every `--sheet-every` minutes, are for TensorBoard in RUN/board (board.py).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.head.io import load_head
from meshlam_core.model.config import COMPONENTS, PEERS, preset
from meshlam_core.model.weights import save_weights, start_from
from meshlam_core.opencv import set_threads
from training.backbones import load_imagenet
from training.board import Board
from training.geometry.curve import Curve
from training.peers import NOTE, Peer, begin_from
from training.stages import STAGES, Measure
from training.trainer import StepReport, Trainer, TrainingSettings

LICENCE = "CC0-1.0"
QUALITY = 88  # of the sheet's JPEG
SHOW_EVERY = 30.0  # s between lines where there is no terminal


class Reporter:
    """One line of progress: loss, speed, what is waited for, and when it will be over."""

    def __init__(self, settings: TrainingSettings, batch: int, log: Path, board: Board | None = None) -> None:
        self.settings, self.batch, self.log, self.board = settings, batch, log, board
        self.shown, self.first, self.loss, self.waited, self.worked = 0.0, -1, math.nan, 0.0, 0.0

    def __call__(self, report: StepReport) -> None:
        """After each step."""
        smooth = 0.98 if math.isfinite(self.loss) else 0.0
        if math.isfinite(report.loss):
            self.loss = report.loss if not smooth else smooth * self.loss + (1 - smooth) * report.loss
        self.waited, self.worked = self.waited + report.waited, self.worked + report.seconds
        now = time.monotonic()
        if now - self.shown < (1.0 if sys.stderr.isatty() else SHOW_EVERY):
            return
        self.shown = now
        speed = report.step * self.batch / max(report.spent, 1e-3)
        share = self.waited / max(self.waited + self.worked, 1e-9)
        along = max(report.step / self.settings.steps, report.spent / self.settings.budget)
        left = report.spent / max(along, 1e-6) - report.spent
        end = time.strftime("%H:%M", time.localtime(time.time() + left))
        line = (
            f"{100 * along:5.1f} %  step {report.step}  loss {self.loss:.3f}  {speed:.2f} samples/s  "
            f"waiting {100 * share:.0f} %  rate {report.rate:.1e}  end {end}"
        )
        print(
            f"\r{line}" if sys.stderr.isatty() else line,
            end="" if sys.stderr.isatty() else "\n",
            file=sys.stderr,
            flush=True,
        )
        if self.board is not None:
            told = {"loss": self.loss, "rate": report.rate, "samples a second": speed, "share of time waiting": share}
            self.board.scalars("run", told, report.step * self.batch)
        new = not self.log.is_file()
        with self.log.open("a", encoding="utf-8") as stream:
            if new:
                stream.write("step,samples,minutes,loss,rate,samples_per_second,waiting\n")
            stream.write(
                f"{report.step},{report.step * self.batch},{report.spent / 60:.2f},{self.loss:.4f},{report.rate:.2e},"
                f"{speed:.3f},{share:.3f}\n"
            )


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m training train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stage", default="G", choices=list(STAGES))
    parser.add_argument("--config", default="small", choices=["small", "paper"])
    parser.add_argument(
        "--deformation",
        default="rays",
        choices=COMPONENTS["deformation"][:2],
        help="part_aware: the paper's, for its ablation",
    )
    parser.add_argument("--peer", default=None, choices=list(PEERS), help="stage T of what the paper compares with")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--data", type=Path, required=True, help="G: folder of shards; T, R: the shared data")
    parser.add_argument("--head", type=Path, default=None, help="a head model's file; the open head if none")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, default=None, help="ImageNet weights: see training/backbones.py")
    parser.add_argument(
        "--start", type=Path, default=None, help="weights to begin with, of the same preset and any head"
    )
    parser.add_argument("--steps", type=int, default=1_000_000, help="at most")
    usual = ", ".join(f"{name} {kind.batch} and {kind.rate:g}" for name, kind in STAGES.items())
    parser.add_argument("--batch", type=int, default=None, help=f"with --rate, where none are named: {usual}")
    parser.add_argument("--rate", type=float, default=None)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument(
        "--measure-every", type=float, default=5.0, help="minutes between looks at the held-out samples"
    )
    parser.add_argument("--sheet-every", type=float, default=10.0, help="minutes between sheets for TensorBoard")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    shapes = parser.add_argument_group("stage G")
    shapes.add_argument("--held-out", type=Path, default=None, help="folder of shards to measure on")
    shapes.add_argument("--single", type=int, default=96, help="vertices by themselves")
    shapes.add_argument("--patches", type=int, default=3)
    shapes.add_argument("--most", type=int, default=30_000, help="samples kept in memory")
    pictures = parser.add_argument_group("stages T and R")
    pictures.add_argument("--check", type=int, default=16, help="held-out heads to measure on")
    pictures.add_argument("--views", type=int, default=4, help="targets a head: the photo's view, the back, others")
    pictures.add_argument("--size", type=int, default=160, help="px, of the targets")
    pictures.add_argument("--people", type=Path, default=None, help="R: shards of photographs and clips (collect)")
    pictures.add_argument("--workers", type=int, default=1, help="processes that draw; 0: the one that learns")
    pictures.add_argument("--cache", type=Path, default=None, help="folder that keeps prepared skins")
    pictures.add_argument("--lpips", type=Path, default=None, help="weights of VGG16; those of the shared data if none")
    options = parser.parse_args(arguments)
    if options.peer and options.stage != "T":
        parser.error("--peer: only stage T trains what is seen")
    kind = STAGES[options.stage]
    options.batch, options.rate = options.batch or kind.batch, options.rate or kind.rate
    return options


def main(arguments: list[str]) -> None:
    """Train, measure, export."""
    learn(arguments)


def learn(arguments: list[str], **changes: object) -> dict[str, float]:
    """The same for a variant of the preset. Returns the held-out errors, and how many `samples` were seen."""
    options = parse(arguments)
    set_threads(options.threads)
    if "WORLD_SIZE" in os.environ:  # torchrun
        torch.distributed.init_process_group("gloo")
    options.out.mkdir(parents=True, exist_ok=True)
    head = load_head(options.head)
    peculiar = PEERS[options.peer] if options.peer else {"deformation": options.deformation}
    variant = preset(options.config).with_changes(**{**peculiar, **changes})
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    kind = STAGES[options.stage]
    task = kind.prepare(options, head, variant, processes)
    network, held_out = task.network, task.held_out
    if options.backbone is not None:
        load_imagenet(network, options.backbone)
    if options.start is not None and isinstance(network, Peer):
        begin_from(network, options.start)
    elif options.start is not None:
        start_from(network, variant, options.start)
    settings = TrainingSettings(
        steps=options.steps,
        learning_rate=options.rate,
        warm_up=kind.warm_up,
        precision=options.precision,
        accumulate=options.accumulate,
        mean_decay=0.998,
        budget=60 * options.minutes,
        paced=True,
        checkpoint_every=kind.keep,
    )
    trainer = Trainer(network, task.stage, settings)
    checkpoint = options.out / "checkpoint.safetensors"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    curve = Curve(options.out / "curve.csv")
    per_step = options.batch * options.accumulate * trainer.processes
    if held_out is not None and trainer.step == 0 and trainer.rank == 0:
        curve.add(0, 0.0, held_out.start())
        if options.start is not None:
            network.eval()
            curve.add(0, 0.0, held_out.measure(network))
    if trainer.rank > 0:  # the first process measures, reports and exports
        trainer.run(checkpoint)
        return {}
    board = Board.open(options.out, trainer.step * per_step)
    report = Reporter(settings, per_step, options.out / "log.csv", board)
    look = Looks(trainer, held_out, curve, report, per_step, options.measure_every, options.sheet_every)
    trainer.run(checkpoint, look)
    errors = {}
    with trainer.averaged():
        if held_out is not None:
            errors = look.measure()
            curve.draw(options.out / "curve.png", held_out.unit)
            sheet = look.draw()
            if sheet is not None:
                Image.fromarray(sheet).save(options.out / "sheet.jpg", quality=QUALITY)
        notes = {"stage": kind.note, "samples": trainer.step * per_step, "minutes": round(trainer.spent / 60, 1)}
        named = "held_out_mm" if options.stage == "G" else "held_out"
        notes |= {NOTE: options.peer} if options.peer else {}
        notes |= {named: {name: round(value, 3) for name, value in errors.items()}}
        name = options.peer or options.config
        save_weights(network, variant, head, options.out / f"{name}.safetensors", LICENCE, notes, half=True)
    if board is not None:
        board.close()
    return errors | {"samples": float(trainer.step * per_step)}


class Looks:
    """Looks at the held-out heads every few minutes, for the curve and for TensorBoard."""

    def __init__(
        self,
        trainer: Trainer[Any],
        held_out: Measure | None,
        curve: Curve,
        report: Reporter,
        per_step: int,
        measure_every: float,  # minutes
        sheet_every: float,  # minutes
    ) -> None:
        self.trainer, self.held_out, self.curve, self.report, self.per_step = trainer, held_out, curve, report, per_step
        self.every = {self.measure: 60 * measure_every, self.draw: 60 * sheet_every}  # s
        self.last = dict.fromkeys(self.every, trainer.spent)

    def __call__(self, step: StepReport) -> None:
        """After each step."""
        self.report(step)
        due = [look for look, every in self.every.items() if step.spent - self.last[look] > every]
        if self.held_out is None or not due:
            return
        with self.trainer.averaged():
            for look in due:
                self.last[look] = step.spent
                look()

    def measure(self) -> dict[str, float]:
        """The errors of the network as it is."""
        assert self.held_out is not None
        errors = self.held_out.measure(self.trainer.network)
        samples = self.trainer.step * self.per_step
        self.curve.add(samples, self.trainer.spent / 60, errors)
        if self.report.board is not None:
            self.report.board.scalars("held out", errors, samples)
        told = ", ".join(f"{name} {error:.3g}" for name, error in errors.items())
        print(f"\nheld out: {told} {self.held_out.unit}", file=sys.stderr, flush=True)
        return errors

    def draw(self) -> NDArray[np.uint8] | None:  # [H, W, 3] sRGB
        """The sheet of the network as it is, where the stage has pictures."""
        assert self.held_out is not None
        sheet = self.held_out.sheet(self.trainer.network)
        if sheet is not None and self.report.board is not None:
            self.report.board.picture("held out", sheet, self.trainer.step * self.per_step)
        return sheet
