"""The overfitting test: can the network, shown eight synthetic heads for 300 steps, learn them by heart?

    python -m training.overfit --out docs/overfit.md

It must bring the photo-view PSNR above 30 dB and the mean vertex error below 1 mm, and each ablation must be worse.
This checks that every path of the network carries information and gradients; it says nothing about other heads.
Each variant can be trained by a process of its own: `--variant NAME --results FOLDER`; the command above then collects
what it finds in that folder.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meshlam_core.head.io import load_head
from meshlam_core.model.config import Preset, preset
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.render import animate, look, shade
from meshlam_core.model.state import Photo, Rig, make_rig
from training.losses import LossWeights, PaperStage
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import StepReport, Trainer, TrainingSettings
from training.views import Sample, TargetViews

HEADS = 8
BATCH = 4
STEPS = 300
SEED = 0
LOSSES = LossWeights(image=50.0, mask=0.0, normal=0.0, part=0.0, laplacian=0.02, vertex=0.3, texture=25.0)
IMAGE = 256  # px, side of the photos and of the true textures
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "no GRU": {"geometry_update": "direct", "texture_update": "passthrough"},
    "no unwrapping": {"reprojection": "none"},
    "no part-aware clip": {"deformation": "free"},
}


@dataclass(frozen=True)
class Outcome:
    """What was learnt. Pictures are those of the head that the user gets: final mesh, final texture."""

    name: str
    photo_psnr: float  # dB in the photo's view, over the whole picture; mean over the heads
    head_psnr: float  # dB there, over the pixels of the true or the learnt head
    shared_psnr: float  # dB there, over the pixels of both
    target_psnr: float  # dB over the whole picture in a view that was not the input
    overlap: float  # intersection over union of the silhouettes in the photo's view
    vertex_error: float  # mm, mean over vertices and heads
    fixed_error: float  # mm, over eyeballs, eyelids and the other parts that must not move
    seconds: float


def small_preset() -> Preset:
    """`small` at a fraction of the resolution and width: four trainings in minutes on a laptop CPU."""
    return preset("small").with_changes(
        backbone_size=128,
        feature_grid=8,
        width=64,
        frequencies=6,
        token_grid=8,
        texture_grid=64,
        latent_stride=2,
        error_size=128,
        geometry_hidden=64,
        correction="none",
    )


def settings(steps: int) -> TrainingSettings:
    """A higher rate than the paper's, which is meant for 100 epochs of clips; the silhouettes follow the vertices."""
    return TrainingSettings(steps=steps, learning_rate=3e-3, warm_up=min(20, steps))


def run_variant(name: str, sample: Sample, rig: Rig, steps: int, seed: int = SEED) -> Outcome:
    """Train one variant on the sample, again and again, and measure it there."""
    network = MeshLAM(small_preset().with_changes(**VARIANTS[name]), seed=seed)

    def show(report: StepReport) -> None:
        if report.step % 10 == 0 or report.step == 1:
            print(f"{name}: step {report.step} loss {report.loss:.4f}", file=sys.stderr, flush=True)

    count = len(sample.photo)

    def batch(step: int) -> Sample:
        return sample.take([(BATCH * step + i) % count for i in range(min(BATCH, count))])

    trainer = Trainer(network, PaperStage(batch, rig, LOSSES), settings(steps))
    started = time.monotonic()
    trainer.run(on_step=show)
    return measure(name, network, sample, rig, time.monotonic() - started)


@torch.no_grad()
def measure(name: str, network: MeshLAM, sample: Sample, rig: Rig, seconds: float = 0.0) -> Outcome:
    """PSNR in both kinds of views and the distance from the true vertices."""
    network.eval()
    assert sample.vertices is not None
    found = network.reconstruct(sample.photo, rig, sample.photo.texture.shape[-1])
    vertices, texture = torch.stack([one.vertices for one in found]), torch.stack([one.texture for one in found])
    error = (vertices - sample.vertices).norm(dim=-1) * 1000
    drawn, mask = draw(vertices, texture, rig, sample.photo)
    ours, theirs = mask > 0.5, sample.photo.mask > 0.5
    repeat = sample.targets.views
    again = vertices.repeat_interleave(repeat, 0), texture.repeat_interleave(repeat, 0)
    elsewhere, _ = draw(*again, rig, sample.targets)
    return Outcome(
        name=name,
        photo_psnr=_psnr(drawn, sample.photo.image, torch.ones_like(ours)),
        head_psnr=_psnr(drawn, sample.photo.image, ours | theirs),
        shared_psnr=_psnr(drawn, sample.photo.image, ours & theirs),
        target_psnr=_psnr(elsewhere, sample.targets.image, torch.ones_like(sample.targets.mask > 0.5)),
        overlap=float((ours & theirs).sum() / (ours | theirs).sum()),
        vertex_error=float(error.mean()),
        fixed_error=float(error[:, rig.limits == 0].mean()),
        seconds=seconds,
    )


def draw(
    vertices: Tensor,  # [M, V, 3] neutral heads, m
    texture: Tensor,  # [M, 3, D, D]
    rig: Rig,
    views: Photo | TargetViews,
) -> tuple[Tensor, Tensor]:  # [M, 3, H, H] before the view's own background; [M, 1, H, H] 0 or 1
    """Heads as these views show them. The background of synthetic views has one colour."""
    view = look(animate(vertices, rig, views), rig, views.cameras)
    empty = 1 - views.mask
    background = (views.image * empty).sum((2, 3), keepdim=True) / empty.sum((2, 3), keepdim=True).clamp_min(1)
    shown = torch.where(view.mask, shade(view, rig, texture).clamp(0, 1), background)
    return shown, view.mask.to(shown.dtype)


def _psnr(drawn: Tensor, image: Tensor, where: Tensor) -> float:
    error = ((drawn - image).square() * where).sum((1, 2, 3)) / (3 * where.sum((1, 2, 3)))
    return float((-10 * error.log10()).mean())


def table(start: Outcome, outcomes: list[Outcome], steps: int, command: str) -> str:
    """A Markdown page."""
    lines = [
        "# Overfitting eight synthetic heads",
        "",
        f"`{command}`, {steps} steps of {BATCH} of the {HEADS} heads, threads: {torch.get_num_threads()}. Seconds",
        "are wall time, of variants that were trained side by side where `--results` is given.",
        "Goal: photo view above 30 dB, vertex error below 1 mm; every ablation worse. Compared are whole pictures:",
        "the final mesh with the final texture before the photo's own background against the photo. A wrong outline",
        "costs decibels, most of all in `head region`, which counts only the pixels of the true or the learnt head.",
        "`both` counts only pixels of both heads, and `overlap` is the intersection over union of their silhouettes.",
        "",
        "| variant | photo view, dB | another view, dB | head region, dB | both, dB | overlap | vertex error, mm "
        "| fixed parts, mm | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in (start, *outcomes):
        lines.append(
            f"| {one.name} | {one.photo_psnr:.2f} | {one.target_psnr:.2f} | {one.head_psnr:.2f} | "
            f"{one.shared_psnr:.2f} | {one.overlap:.4f} | {one.vertex_error:.3f} | {one.fixed_error:.3f} | "
            f"{one.seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def remembered(folder: Path | None, name: str, steps: int, heads: int, train: Callable[[], Outcome]) -> Outcome:
    """The outcome of a variant: as a former run has left it in the folder, or trained and left there."""
    if folder is None:
        return train()
    path = folder / f"{name.replace(' ', '-')}-{heads}x{steps}.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(train())), encoding="utf-8")
    return Outcome(**json.loads(path.read_text(encoding="utf-8")))


def main(arguments: list[str] | None = None) -> None:
    """Train all variants and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file; standard output otherwise")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--heads", type=int, default=HEADS)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="one or more; all otherwise")
    parser.add_argument("--results", type=Path, help="folder that keeps finished variants, which are not trained again")
    options = parser.parse_args(arguments)
    head = load_head()
    rig = make_rig(head)
    sizes = small_preset()
    shown = SyntheticSettings(image_size=IMAGE, texture_size=IMAGE, views=1)
    sample = make_sample(head, rig, options.heads, shown, SEED)
    start = measure("before training", MeshLAM(sizes, seed=SEED), sample, rig)
    outcomes = [
        remembered(
            options.results, name, options.steps, options.heads, partial(run_variant, name, sample, rig, options.steps)
        )
        for name in options.variant or VARIANTS
    ]
    command = "python -m training.overfit " + " ".join(arguments if arguments is not None else sys.argv[1:])
    text = table(start, outcomes, options.steps, command.strip())
    if options.out is None:
        print(text)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
