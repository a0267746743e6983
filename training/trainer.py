"""The training loop: schedule, steps, time budget and checkpoints from which a run goes on bit for bit.

Adam, learning rate 2e-4, linear warm-up then cosine (MeshLAM, sec. training).
A checkpoint is one safetensors file: weights, Adam's moments and the step. The weights for users are exported from it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM, autocast
from meshlam_core.model.state import Rig
from meshlam_core.model.weights import own_tensors
from training.losses import LossWeights, Perceptual, total_loss
from training.views import Sample

FORMAT = "meshlam-checkpoint"
VERSION = 1


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn."""

    steps: int = 1000
    learning_rate: float = 2e-4
    warm_up: int = 100  # steps
    floor: float = 0.01  # of the learning rate, at the end of the cosine
    clip_norm: float = 1.0
    precision: str = "float32"
    budget: float = math.inf  # s; the run stops after the step that exceeds it
    checkpoint_every: int = 200  # steps
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warm_up < 0 or self.checkpoint_every < 1 or not self.learning_rate > 0:
            raise UsageError(f"training: expected positive steps, intervals and learning rate, got {self}.")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        along = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        wave = 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
        return self.learning_rate * (self.floor + (1 - self.floor) * wave)


@dataclass(frozen=True)
class StepReport:
    """One training step."""

    step: int
    loss: float
    rate: float
    seconds: float  # forward, backward and optimiser
    waited: float  # s, for the batch


Batches = Callable[[int], Sample]  # the batch of a step; the same step gives the same batch, so that runs can go on


class Trainer:
    """Trains what is not frozen."""

    def __init__(
        self, network: MeshLAM, rig: Rig, settings: TrainingSettings, perceptual: Perceptual | None = None
    ) -> None:
        self.network, self.rig, self.settings, self.perceptual = network, rig, settings, perceptual
        self.step = 0
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.optimiser = torch.optim.Adam(list(self.parameters.values()), lr=settings.learning_rate, fused=True)

    def run(
        self,
        batches: Batches,
        checkpoint: Path | None = None,
        on_step: Callable[[StepReport], None] = lambda report: None,
    ) -> bool:
        """Train until the last step or the end of the budget. True when all steps are done."""
        started = time.monotonic()
        while self.step < self.settings.steps:
            before = time.monotonic()
            sample = batches(self.step)
            on_step(self.train_step(sample, time.monotonic() - before))
            over = time.monotonic() - started > self.settings.budget
            due = self.step % self.settings.checkpoint_every == 0 or self.step == self.settings.steps
            if checkpoint is not None and (due or over):
                self.save(checkpoint)
            if over:
                break
        return self.step >= self.settings.steps

    def train_step(self, sample: Sample, waited: float = 0.0) -> StepReport:
        """Forward, losses on the target views, backward, optimiser."""
        started = time.monotonic()
        rate = self.settings.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        with autocast(self.settings.precision, sample.photo.image.device):
            steps = self.network(sample.photo, self.rig)
            loss = total_loss(steps, sample, self.settings.losses, self.perceptual)
        if not bool(torch.isfinite(loss)):
            raise UsageError(f"training: the loss of step {self.step} is {loss.item()}.", "Lower the learning rate.")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), self.settings.clip_norm)
        self.optimiser.step()
        self.step += 1
        return StepReport(self.step, float(loss.detach()), rate, time.monotonic() - started, waited)

    def save(self, path: Path) -> None:
        """Write a checkpoint whole or not at all."""
        values = {f"network.{name}": value for name, value in own_tensors(self.network).items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                values[f"adam.{key}.{name}"] = torch.as_tensor(value)
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "step": str(self.step),
            "preset": json.dumps(self.network.preset.to_dict(), sort_keys=True),
            "settings": json.dumps(asdict(self.settings), sort_keys=True),
        }
        temporary = path.with_name(path.name + ".part")
        save_file({name: value.detach().contiguous() for name, value in values.items()}, temporary, metadata=header)
        temporary.replace(path)

    def resume(self, path: Path) -> None:
        """Go on where a checkpoint ended. The steps may be more than before, the preset must be the same."""
        header, values = _read(path)
        preset = json.dumps(self.network.preset.to_dict(), sort_keys=True)
        if header.get("preset") != preset:
            raise AssetError(f"The checkpoint {path}: expected preset {preset}, got {header.get('preset')}.")
        own = own_tensors(self.network)
        strange = set(own) ^ {name[len("network.") :] for name in values if name.startswith("network.")}
        if strange:
            raise AssetError(f"The checkpoint {path}: tensor {min(strange)} is missing or unexpected.")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(values[f"network.{name}"])
        for name, parameter in self.parameters.items():
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in values]
            self.optimiser.state[parameter] = {key: values[f"adam.{key}.{name}"] for key in keys}
            if not keys:
                del self.optimiser.state[parameter]
        self.step = int(header["step"])


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            values = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise AssetError(f"The checkpoint {path} is not a whole safetensors file: {error}.") from error
    if header.get("format") != FORMAT or header.get("version") != str(VERSION):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.")
    return header, values
