"""The training loop: schedule, steps, time budget and checkpoints from which a run goes on bit for bit.

What is learnt from and by which loss is a Stage's business: the paper's losses on pictures (losses.PaperStage), or the
geometry alone (geometry.GeometryStage). Adam, learning rate 2e-4, linear warm-up then cosine (MeshLAM, sec. training).
A checkpoint is one safetensors file: weights, their running mean, Adam's moments, the step and the time spent. The
weights for users are exported from the running mean.

Under torchrun every process draws batches of its own and all take the same step on the mean of their gradients; the
first one writes the checkpoints. Stages call parts of the network, which is why the gradients are averaged here and
not by DistributedDataParallel, whose forward they would have to go through.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, distributed

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.model.network import MeshLAM, autocast
from meshlam_core.model.weights import own_tensors

FORMAT = "meshlam-checkpoint"
VERSION = 2
PATIENCE = 5  # steps in a row without a finite loss, after which the run ends

Batch = TypeVar("Batch")


class Stage(Protocol[Batch]):
    """What is learnt from."""

    def batch(self, step: int) -> Batch:
        """The batch of a step; the same step gives the same batch, so that runs can go on."""

    def loss(self, network: MeshLAM, batch: Batch) -> Tensor:
        """[] what is to be small."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to learn."""

    steps: int = 1000
    learning_rate: float = 2e-4
    warm_up: int = 100  # steps
    floor: float = 0.01  # of the learning rate, at the end of the cosine
    clip_norm: float = 1.0
    precision: str = "float32"
    accumulate: int = 1  # batches a step
    mean_decay: float = 0.0  # of the running mean of the weights, a step; 0: the weights themselves
    budget: float = math.inf  # s; the run stops after the step that exceeds it
    paced: bool = False  # the cosine ends with the budget instead of with the steps
    checkpoint_every: int = 200  # steps

    def __post_init__(self) -> None:
        counts = (self.steps, self.checkpoint_every, self.accumulate)
        if min(counts) < 1 or self.warm_up < 0 or not self.learning_rate > 0 or not 0 <= self.mean_decay < 1:
            raise UsageError(f"training: expected positive steps, intervals and learning rate, got {self}.")
        if self.paced and not math.isfinite(self.budget):
            raise UsageError("training: a cosine that ends with the budget needs a budget.", "Name one in minutes.")

    def rate(self, step: int, spent: float = 0.0) -> float:
        """The learning rate of a step, counted from 0, after so many seconds."""
        if step < self.warm_up:
            return self.learning_rate * (step + 1) / self.warm_up
        along = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        if self.paced:
            along = max(along, spent / self.budget)
        wave = 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
        return self.learning_rate * (self.floor + (1 - self.floor) * wave)


@dataclass(frozen=True)
class StepReport:
    """One training step."""

    step: int
    loss: float  # NaN where the step was left out
    rate: float
    seconds: float  # forward, backward and optimiser
    waited: float  # s, for the batches
    spent: float  # s, of the whole run so far


class Trainer(Generic[Batch]):
    """Trains what is not frozen."""

    def __init__(self, network: MeshLAM, stage: Stage[Batch], settings: TrainingSettings) -> None:
        self.network, self.stage, self.settings = network, stage, settings
        self.step, self.spent, self.failures = 0, 0.0, 0
        together = distributed.is_available() and distributed.is_initialized()
        self.rank, self.processes = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        self.parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
        self.mean = {name: p.detach().clone() for name, p in self.parameters.items()} if settings.mean_decay else {}
        self.optimiser = torch.optim.Adam(list(self.parameters.values()), lr=settings.learning_rate, fused=True)

    def run(
        self,
        checkpoint: Path | None = None,
        on_step: Callable[[StepReport], None] = lambda report: None,
    ) -> bool:
        """Train until the last step or the end of the budget. True when nothing is left to do."""
        before = time.monotonic()
        while self.step < self.settings.steps and self.spent <= self.settings.budget:
            report = self.train_step()
            self.spent += time.monotonic() - before
            before = time.monotonic()
            on_step(report)
            ended = self.step == self.settings.steps or self.spent > self.settings.budget
            due = ended or self.step % self.settings.checkpoint_every == 0
            if checkpoint is not None and due and self.rank == 0:
                self._keep(checkpoint)
        return self.step >= self.settings.steps or self.settings.paced

    def train_step(self) -> StepReport:
        """Batches, losses, backward, optimiser. A step without a finite loss changes nothing and is reported."""
        settings = self.settings
        rate = settings.rate(self.step, self.spent)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        waited, worked, total = 0.0, 0.0, 0.0
        for part in range(settings.accumulate):
            started = time.monotonic()
            batch = self.stage.batch((self.step * settings.accumulate + part) * self.processes + self.rank)
            fetched = time.monotonic()
            with autocast(settings.precision, next(iter(self.parameters.values())).device):
                loss = self.stage.loss(self.network, batch) / settings.accumulate
            total += float(loss.detach())
            if math.isfinite(total):  # kernels that look things up must not be handed NaN
                loss.backward()  # type: ignore[no-untyped-call]
            waited, worked = waited + fetched - started, worked + time.monotonic() - fetched
        started = time.monotonic()
        parameters = list(self.parameters.values())
        total = self._averaged_over_processes(total)
        if math.isfinite(total) and bool(torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm).isfinite()):
            self.optimiser.step()
            self._follow()
            self.failures = 0
        else:
            self._failed(total)
        self.step += 1
        worked += time.monotonic() - started
        return StepReport(self.step, total, rate, worked, waited, self.spent)

    def _averaged_over_processes(self, loss: float) -> float:
        """Mean loss and gradients; a loss that is not finite anywhere is so everywhere, and all leave the step out."""
        if self.processes == 1:
            return loss
        mean = torch.tensor([loss, self.spent], dtype=torch.float64)
        distributed.all_reduce(mean)
        loss, self.spent = (mean / self.processes).tolist()  # so that all end, and pace the rate, at the same step
        if math.isfinite(loss):
            for parameter in self.parameters.values():
                if parameter.grad is not None:
                    distributed.all_reduce(parameter.grad)
                    parameter.grad /= self.processes
        return loss

    def _failed(self, loss: float) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        self.failures += 1
        print(f"training: the loss of step {self.step} is {loss}; the step is left out.", file=sys.stderr)
        if self.failures >= PATIENCE:
            raise UsageError(
                f"training: {PATIENCE} steps in a row had no finite loss, the last one {loss}.",
                "Lower the learning rate and go on from the last checkpoint.",
            )

    def _follow(self) -> None:
        """The running mean of the weights; short at first, when they are far from anything."""
        decay = min(self.settings.mean_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, mean in self.mean.items():
                mean.lerp_(self.parameters[name], 1 - decay)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[MeshLAM]:
        """The network with the running mean of its weights, for as long as it is looked at."""
        kept = {name: self.parameters[name].detach().clone() for name in self.mean}
        with torch.no_grad():
            for name, mean in self.mean.items():
                self.parameters[name].copy_(mean)
        self.network.eval()
        try:
            yield self.network
        finally:
            with torch.no_grad():
                for name, value in kept.items():
                    self.parameters[name].copy_(value)

    def _keep(self, path: Path) -> None:
        try:
            self.save(path)
        except OSError as error:  # a full disk: the last checkpoint stands, and the run may outlive the trouble
            print(f"training: the checkpoint of step {self.step} could not be written: {error}.", file=sys.stderr)

    def save(self, path: Path) -> None:
        """Write a checkpoint whole or not at all."""
        values = {f"network.{name}": value for name, value in own_tensors(self.network).items()}
        values |= {f"mean.{name}": value for name, value in self.mean.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                values[f"adam.{key}.{name}"] = torch.as_tensor(value)
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "step": str(self.step),
            "spent": repr(self.spent),
            "preset": json.dumps(self.network.preset.to_dict(), sort_keys=True),
            "settings": json.dumps(asdict(self.settings), sort_keys=True),
        }
        content = save({name: value.detach().contiguous() for name, value in values.items()}, metadata=header)
        temporary = path.with_name(path.name + ".part")
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

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
            for name, mean in self.mean.items():
                mean.copy_(values.get(f"mean.{name}", values[f"network.{name}"]))
        for name, parameter in self.parameters.items():
            keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"adam.{key}.{name}" in values]
            self.optimiser.state[parameter] = {key: values[f"adam.{key}.{name}"] for key in keys}
            if not keys:
                del self.optimiser.state[parameter]
        self.step, self.spent = int(header["step"]), float(header["spent"])


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
