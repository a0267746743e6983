"""The training loop of the parsing network: mixed batches, averaged weights, a checkpoint to go on from.

Dims: B batch, C classes, N side.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.tracker.parsing import segment_known
from meshlam_core.tracker.parsing_network import (
    CLASSES,
    CLOTHES,
    EARS,
    GLASSES,
    HAIR,
    HAND,
    LEARNED_FROM,
    MASK,
    NECK,
    OBJECT,
    SIDE,
    SKIN,
    ParsingNetwork,
    fused,
    network_inputs,
    positions,
)
from training.parser.batches import Batches, Masks

RATE, ENCODER_RATE, LAST_RATE = 3e-3, 6e-4, 9e-3
HOLD = 0.5  # weight of what a network that goes on learning said before
NAMED_MORE = torch.tensor([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])  # of portraits.PARTS: frames are thin
COARSE = ((0,), (1,), (2, 3, 4, 5), (6, 7, 8, 9))  # classes now for each of background, hair, skin and other before
AT_FIRST = (1, 1, 0.9, 0.03, 0.06, 0.01, 0.97, 0.01, 0.01, 0.01)  # share of each class in its coarse one
Checks = dict[str, list[tuple[Tensor, Tensor]]]
AVERAGE = 0.985  # of the weights' moving average
WARM_UP = 30  # steps
CHECKPOINT_EVERY = 60


@dataclass(frozen=True)
class Plan:
    """How long to learn: the learning rate rises and falls within the given time, kills and resumptions left out."""

    minutes: float
    batch: int = 8
    rate: float = 1.0  # of the learning rates below: less for a network that has learned already


def new_network(imagenet: Path) -> ParsingNetwork:
    """MobileNetV2's weights in the encoder (torchvision's checkpoint), the rest at random."""
    network = ParsingNetwork()
    values: dict[str, Tensor] = torch.load(imagenet, map_location="cpu", weights_only=True)
    network.encoder.load_state_dict({name: values[f"features.{name}"] for name in network.encoder.state_dict()})
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def learned_network(path: Path) -> ParsingNetwork:
    """A stored network that goes on learning, its batch normalisation folded in.

    One that tells background, hair, skin and other alone is widened: the sums over the classes stay what they were.
    """
    with np.load(path, allow_pickle=False) as stored:
        values = {name: torch.from_numpy(stored[name].astype(np.float32)) for name in stored.files}
    if len(values["last.bias"]) == 4 * len(COARSE):
        group = [k for k, members in enumerate(COARSE) for _ in members]
        for name in ("last.weight", "last.bias"):
            values[name] = values[name].reshape(len(COARSE), 4, *values[name].shape[1:])[group].flatten(0, 1)
        values["last.bias"] += torch.tensor(AT_FIRST).log().repeat_interleave(4)
    network = fused(ParsingNetwork())
    network.load_state_dict(values)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def learn(network: ParsingNetwork, batches: Batches, checks: Checks, plan: Plan, checkpoint: Path) -> ParsingNetwork:
    """Train until the plan's time is up, from the checkpoint if there is one; returns the averaged network."""
    encoder = list(network.encoder[LEARNED_FROM:].parameters())
    last = list(network.last.parameters())
    others = [p for name, p in network.named_parameters() if not name.startswith(("encoder.", "last."))]
    optimiser = torch.optim.AdamW([{"params": group} for group in (others, encoder, last)], weight_decay=1e-2)
    average, before = copy.deepcopy(network), copy.deepcopy(network).eval() if plan.rate < 1 else None
    step, spent = 0, 0.0
    if checkpoint.is_file():
        kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network.load_state_dict(kept["network"])
        average.load_state_dict(kept["average"])
        optimiser.load_state_dict(kept["optimiser"])
        torch.set_rng_state(kept["random"])
        step, spent = kept["step"], kept["seconds"]
    start = time.monotonic() - spent
    progress = 0.0
    while progress < 1:
        progress = min(1.0, (time.monotonic() - start) / (60 * plan.minutes))
        for group, peak in zip(optimiser.param_groups, (RATE, ENCODER_RATE, LAST_RATE), strict=True):
            group["lr"] = plan.rate * peak * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * progress))
        set_training(network)
        inputs, masks = batches.next(plan.batch)
        logits = network(inputs)
        loss = loss_of(logits, masks)
        if before is not None:
            with torch.no_grad():
                said = before(inputs)
            loss = loss + HOLD * departure(logits, said, masks)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        step += 1
        with torch.no_grad():
            keep = min(AVERAGE, step / (step + 10))
            for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - keep)
        if step % CHECKPOINT_EVERY == 0 or progress == 1:
            state = {"network": network.state_dict(), "average": average.state_dict(), "step": step}
            state |= {"optimiser": optimiser.state_dict(), "seconds": time.monotonic() - start}
            torch.save(state | {"random": torch.get_rng_state()}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            scores = ", ".join(f"{name} {overlap(average, samples):.3f}" for name, samples in checks.items())
            print(f"step {step}, {100 * progress:.0f} %: loss {loss.item():.3f}; hair IoU {scores}", flush=True)
    return average


def between(network: ParsingNetwork, start: ParsingNetwork, share: float) -> ParsingNetwork:
    """The mean of what a network was and what it has become: sturdier on what neither was trained on (Wortsman et al.,
    "Robust fine-tuning of zero-shot models", CVPR 2022)."""
    result = copy.deepcopy(network)
    with torch.no_grad():
        for value, before in zip(result.state_dict().values(), start.state_dict().values(), strict=True):
            if value.is_floating_point():
                value.lerp_(before, share)
    return result


def set_training(network: ParsingNetwork) -> None:
    """Batch norm of the encoder keeps ImageNet's statistics."""
    network.train()
    for module in network.encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def loss_of(
    logits: Tensor,  # [B, C, N, N]
    masks: Masks,
) -> Tensor:
    """Cross entropy where the picture is known, and the hair's and the person's Dice loss.

    Where a label does not say which of several classes it means, any of them will do.
    """
    log = functional.log_softmax(logits, 1)
    ears, neck, glasses, mask, hand, thing = masks.parts.split(1, 1)  # type: ignore[no-untyped-call]
    bare = torch.minimum(masks.skin, (masks.person - masks.hair).clamp_min(0))
    rest = (masks.person - masks.hair - bare).clamp_min(0)
    plain = (bare - ears - neck - glasses).clamp_min(0)
    cloth = (rest - mask - hand - thing).clamp_min(0)
    told, clear = masks.told > 0, masks.clear > 0
    skin = torch.where(
        told,
        log[:, SKIN : SKIN + 1],
        torch.where(clear, any_of(log, SKIN, EARS, NECK), any_of(log, *range(SKIN, CLOTHES))),
    )
    other = torch.where(told | clear, log[:, CLOTHES : CLOTHES + 1], any_of(log, *range(CLOTHES, len(CLASSES))))
    # where skin is not told from the rest, either answer will do
    either = torch.logaddexp(skin, other)
    named = masks.parts * NAMED_MORE.view(1, -1, 1, 1) * log[:, [EARS, NECK, GLASSES, MASK, HAND, OBJECT]]
    fit = (
        (1 - masks.person) * log[:, :1]
        + masks.hair * log[:, HAIR : HAIR + 1]
        + masks.sure * (plain * skin + cloth * other)
        + (1 - masks.sure) * (plain + cloth) * either
        + named.sum(1, keepdim=True)
    )
    weight = masks.known
    entropy = -(fit * weight).sum() / weight.sum()
    chance = log.exp() * weight
    total: Tensor = entropy
    for guess, truth in ((chance[:, 1:2], masks.hair * weight), (chance[:, 1:].sum(1, True), masks.person * weight)):
        both, size = (guess * truth).sum((1, 2, 3)), (guess + truth).sum((1, 2, 3))
        total = total + 0.25 * (1 - (2 * both + 40) / (size + 40)).mean()
    return total


def departure(
    logits: Tensor,  # [B, C, N, N]
    said: Tensor,  # [B, C, N, N]
    masks: Masks,
) -> Tensor:
    """How far the coarse classes have moved, where nothing is before the head: Kullback and Leibler's divergence."""
    now, then = (
        torch.cat([any_of(x, *members) for members in COARSE], 1)
        for x in (functional.log_softmax(logits, 1), functional.log_softmax(said, 1))
    )
    weight = masks.known * (1 - masks.parts[:, 2:].sum(1, keepdim=True)).clamp_min(0)
    return ((then.exp() * (then - now)).sum(1, keepdim=True) * weight).sum() / weight.sum().clamp_min(1)


def any_of(log: Tensor, *members: int) -> Tensor:  # [B, 1, N, N]
    """Log of the chance that it is one of several classes."""
    return torch.logsumexp(log[:, list(members)], 1, keepdim=True)


def check_inputs(
    samples: Tensor,  # [S, C, M, M] uint8
) -> list[tuple[Tensor, Tensor]]:  # [1, 8, N, N] and [1, C, N, N] each
    """Stored samples as the network sees them at run time."""
    found = []
    edge = (samples.shape[-1] - SIDE) // 2
    for sample in samples:
        whole = sample[None, :, edge : edge + SIDE, edge : edge + SIDE].float() / 255
        known = whole[:, 4:5] > 0.5
        picture = np.ascontiguousarray((whole[0, :3] * 255).byte().permute(1, 2, 0).numpy())
        selfie = torch.from_numpy(segment_known(picture, known[0, 0].numpy()))[None, None]
        face = (whole[:, 3:4] > 0.5).float()
        found.append((network_inputs(whole[:, :3], selfie, face, known.float(), positions(SIDE)), whole))
    return found


def overlap(network: ParsingNetwork, samples: list[tuple[Tensor, Tensor]]) -> float:
    """Mean intersection over union of the hair with the labels, where the picture is known."""
    network.eval()
    values = []
    with torch.inference_mode():
        for inputs, whole in samples:
            known = whole[:, 4:5] > 0.5
            found = (functional.softmax(network(inputs), 1)[:, 1:2] > 0.5) & known
            wanted = (whole[:, 5:6] > 0.5) & known
            values.append(float((found & wanted).sum() / (found | wanted).sum().clamp_min(1)))
    return float(np.mean(values))


def store(network: ParsingNetwork, path: Path) -> None:
    """Write the weights, batch normalisation folded in, matrices in half precision."""
    values = {name: value.detach().numpy() for name, value in fused(copy.deepcopy(network)).state_dict().items()}
    np.savez(path, allow_pickle=False, **{n: v.astype(np.float16) if v.ndim == 4 else v for n, v in values.items()})
