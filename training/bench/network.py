"""Time and memory of the network: `python -m training.bench.network` prints markdown tables.

Every case runs in a process of its own, so that its peak memory is its own. Times are the smallest and the median of
several warm runs of wall time. The weights are random: cost does not depend on them. `--cases small paper` picks rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

import torch
from torch import nn

from meshlam_core.frames import Camera
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import Preset, preset
from meshlam_core.model.correction import carry_rig
from meshlam_core.model.describe import describe
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.state import Photo, Rig, make_rig
from meshlam_core.model.topology import correct, epsilon_for
from meshlam_core.opencv import set_threads
from training.losses import LossWeights, PaperStage
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import Trainer, TrainingSettings

PHOTO = 1024  # px
TEXTURE = 1024
VIT_L = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 518, "patch_size": 14}


@dataclass(frozen=True)
class Measured:
    """One case."""

    smallest: float  # s
    median: float  # s
    processor: float  # s, smallest processor time over all threads: what a busy machine does not distort
    memory: float  # GB, peak of the process
    device_memory: float  # GB, peak of the GPU's allocator
    note: str = ""


def device() -> str:
    """Where the cases run."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def make_network(sizes: Preset) -> MeshLAM:
    """Random weights; the paper's preset brings a random DINOv2 of the published size."""
    backbone: nn.Module | None = None
    if sizes.backbone == "dinov2":
        from meshlam_core.model.backbone.dinov2 import random_dinov2

        backbone = random_dinov2(**VIT_L)
    return MeshLAM(sizes, backbone).eval().to(device())


def make_input(head: HeadModel, rig: Rig, batch: int, texture: int) -> Photo:
    """Noise photos of the head seen from the front."""
    centre = rig.template.mean(0)
    joints = torch.from_numpy(head.joints(head.template))
    camera = Camera(2.1 * PHOTO, (PHOTO / 2, PHOTO / 2), (PHOTO, PHOTO))
    generator = torch.Generator().manual_seed(0)
    photo = Photo(
        image=torch.rand(batch, 3, PHOTO, PHOTO, generator=generator),
        mask=torch.ones(batch, 1, PHOTO, PHOTO),
        cameras=(camera,) * batch,
        rotations=torch.zeros(batch, len(rig.parents), 3),
        translation=torch.tensor([[-centre[0], -centre[1], -0.75]]).repeat(batch, 1),
        expression=torch.zeros(batch, len(rig.blendshapes)),
        vertices=rig.template[None].repeat(batch, 1, 1),
        joints=joints[None].repeat(batch, 1, 1),
        texture=torch.rand(batch, 3, texture, texture, generator=generator),
    )
    return photo.to(device())


def make_grown_rig(head: HeadModel, vertices: int) -> Rig:
    """The head with about this many vertices by splitting edges; nothing is split afterwards."""
    rig = make_rig(head)
    if vertices <= 1.2 * len(head.template):
        return rig
    epsilon = epsilon_for(head.template, head.faces, vertices)
    return carry_rig(rig, correct(head.template, head.faces, head.uvs, head.uv_faces, epsilon))


def infer(
    name: str, runs: int, batch: int = 1, texture: int = TEXTURE, vertices: int = 0, precision: str = "float32"
) -> Measured:
    """`vertices` 0 is the normal case: the head model's own, split to the preset's number on the way."""
    sizes, head = preset(name), load_head()
    rig = make_grown_rig(head, vertices) if vertices else make_rig(head, sizes.target_vertices)
    rig, network = rig.to(device()), make_network(sizes)
    photo = make_input(head, rig, batch, texture)
    found = network.reconstruct(photo, rig, texture, precision)  # warm up
    call = partial(network.reconstruct, photo, rig, texture, precision)
    return timed(call, runs, f"{len(found[0].vertices):,} vertices")


def train(runs: int, batch: int = 4, precision: str = "float32") -> Measured:
    """Seconds a step of `small`: two target views of 256 px a head, all losses of the paper."""
    sizes, head = preset("small").with_changes(correction="none"), load_head()
    rig = make_rig(head)
    settings = TrainingSettings(precision=precision, warm_up=0)
    sample = make_sample(head, rig, batch, SyntheticSettings(image_size=256, texture_size=256, views=2), 0)
    moved = replace(sample, photo=sample.photo.to(device()), targets=sample.targets.to(device()))
    trainer = Trainer(make_network(sizes), PaperStage(lambda step: moved, rig.to(device()), LossWeights()), settings)
    trainer.train_step()
    return timed(trainer.train_step, runs, f"batch of {batch}")


def timed(call: Callable[[], object], runs: int, note: str) -> Measured:
    """Wall time of warm calls."""
    times, processor = [], []
    for _ in range(runs):
        _wait()
        started, worked = time.perf_counter(), time.process_time()
        call()
        _wait()
        times.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
    on_device = torch.cuda.max_memory_allocated() / 1e9 if device() == "cuda" else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return Measured(min(times), statistics.median(times), min(processor), peak, on_device, note)


def _wait() -> None:
    if device() == "cuda":
        torch.cuda.synchronize()


WANTED = """Wanted on two cores: `small` 1.0 s and 2 GB, `paper` 40 s and 10 GB, a training step at 2 samples a second
(a batch of 4 in 2.0 s), and growth no worse than linear. With a GPU: `paper` 0.1 s."""

CASES: Mapping[str, Callable[[int], Measured]] = {
    "small": partial(infer, "small"),
    "small bfloat16": partial(infer, "small", precision="bfloat16"),
    "small 5k vertices": partial(infer, "small", vertices=5_000),
    "small 20k vertices": partial(infer, "small", vertices=20_000),
    "small 80k vertices": partial(infer, "small", vertices=80_000),
    "small texture 512": partial(infer, "small", texture=512),
    "small texture 2048": partial(infer, "small", texture=2048),
    "small batch 4": partial(infer, "small", batch=4),
    "small batch 16": partial(infer, "small", batch=16),
    "training step": train,
    "training step bfloat16": partial(train, precision="bfloat16"),
    "paper": partial(infer, "paper"),
    "paper bfloat16": partial(infer, "paper", precision="bfloat16"),
}


def run_case(name: str, runs: int, threads: int) -> Measured:
    """Measure one case in a fresh process."""
    command = [sys.executable, "-m", "training.bench.network", "--one", name]
    command += ["--runs", str(runs), "--threads", str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--runs", type=int, default=5, help="timed runs a case")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", choices=list(CASES), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    set_threads(options.threads)
    if options.one:
        print(json.dumps(asdict(CASES[options.one](options.runs))))
        return
    print(
        f"{options.threads} threads, device {device()}; 1024-pixel photo and texture unless the case says otherwise.\n"
    )
    print("| case | smallest, s | median, s | processor, s | memory, GB | GPU memory, GB | |")
    print("|---|---|---|---|---|---|---|")
    for name in options.cases:
        found = run_case(name, 2 if name.startswith("paper") else options.runs, options.threads)
        numbers = f"{found.smallest:.3f} | {found.median:.3f} | {found.processor:.2f} | "
        numbers += f"{found.memory:.2f} | {found.device_memory:.2f}"
        print(f"| {name} | {numbers} | {found.note} |", flush=True)
    print(f"\n{WANTED}")
    for name in ("small", "paper"):
        print(f"\nParameters and FLOPs of `{name}`, 8 000 vertices:\n\n```\n{describe(preset(name)).table()}\n```")


if __name__ == "__main__":
    main()
