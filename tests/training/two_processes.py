"""One of the processes of test_distributed.py: a few steps, and the parameters that they led to."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from meshlam_core.model.network import MeshLAM
from tests.model.tiny import TINY_HEAD, TINY_RIG, tiny_preset
from training.losses import LossWeights, PaperStage
from training.synthetic.waves import SyntheticSettings, make_sample
from training.trainer import Trainer, TrainingSettings
from training.views import Sample

SHOWN = SyntheticSettings(image_size=48, texture_size=32, views=1)
STEPS = 3


def make(accumulate: int) -> Trainer[Sample]:
    stage = PaperStage(lambda i: make_sample(TINY_HEAD, TINY_RIG, 1, SHOWN, i), TINY_RIG, LossWeights(vertex=0.3))
    settings = TrainingSettings(steps=STEPS, learning_rate=1e-3, warm_up=0, accumulate=accumulate)
    return Trainer(MeshLAM(tiny_preset()), stage, settings)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    trainer = make(accumulate=1)
    out = Path(sys.argv[1])
    assert trainer.run(out / "checkpoint.safetensors")
    found = {name: value.detach().contiguous() for name, value in trainer.parameters.items()}
    save_file(found, out / f"{trainer.rank}.safetensors")
    torch.distributed.destroy_process_group()
