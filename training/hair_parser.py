"""Make meshlam_core/data/hair_network.npz: learn hair masks from a teacher's answers on public-domain portraits.

Run: python -m training.hair_parser [--data ../shared/data] [--epochs 14] [--out meshlam_core/data/hair_network.npz]

The portraits are works of the US government; the teacher is Google's hair segmenter (Apache-2.0). Twelve minutes on two
cores. Training is seeded, but floating-point sums differ between machines, so weights agree only roughly.

Frames: the window of tracker/parsing.py. Dims: B batch, C channels, N side of the network's window, M stored side.
Stored channels: red, green, blue, person, face, hair.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from meshlam_core.assets import asset_path
from meshlam_core.files.images import load_photo
from meshlam_core.points import OVAL
from meshlam_core.tracker.hair_network import HAIR_NETWORK, LAYERS, SIDE, STRIDE_2, network_inputs
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.parsing import head_window, polygon_mask, segment_person
from meshlam_core.tracker.sampling import sample_region
from training.evaluate.teachers import HairTeacher

STORED = 160  # px: room to zoom without blur
WINDOW = 384  # px, at which the masks are made
BATCH = 16
PEAK_RATE = 4e-3
HELD_OUT = 20  # every 20th portrait checks the training
# name -> channels in, channels out; the order and strides are hair_network's
WIDTHS = {
    "a0": (7, 24), "b0": (24, 40), "b1": (40, 40), "c0": (40, 64), "c1": (64, 64), "d0": (64, 96), "d1": (96, 96),
    "d2": (96, 64), "uc": (128, 40), "ub": (80, 24), "ua": (48, 24), "o": (31, 16),
}  # fmt: skip


class TrainedHairNetwork(nn.Module):
    """hair_network.HairNetwork with batch normalisation still unfolded."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                name: nn.Sequential(
                    nn.Conv2d(i, o, 3, 2 if name in STRIDE_2 else 1, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU()
                )
                for name, (i, o) in WIDTHS.items()
            }
        )
        self.last = nn.Conv2d(16, 1, 3, 1, 1)

    def forward(
        self,
        x: Tensor,  # [B, 7, N, N]
    ) -> Tensor:  # [B, 1, N, N] logits
        run = self.layers
        a = run["a0"](x)
        b = run["b1"](run["b0"](a))
        c = run["c1"](run["c0"](b))
        d = run["d2"](run["d1"](run["d0"](c)))
        y = run["uc"](torch.cat([_double(d), c], 1))
        y = run["ub"](torch.cat([_double(y), b], 1))
        y = run["ua"](torch.cat([_double(y), a], 1))
        logits: Tensor = self.last(run["o"](torch.cat([_double(y), x], 1)))
        return logits


def main() -> None:
    """Prepare, train, store."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    options.add_argument("--epochs", type=int, default=14)
    options.add_argument("--limit", type=int, default=None, help="portraits, for a quick try")
    options.add_argument("--out", type=Path, default=HAIR_NETWORK)
    chosen = options.parse_args()
    torch.manual_seed(0)
    samples = prepare(chosen.data, chosen.limit)
    network = train(samples, chosen.epochs)
    np.savez(chosen.out, allow_pickle=False, **folded(network))
    print(f"wrote {chosen.out}")


def prepare(data: Path, limit: int | None = None) -> Tensor:  # [S, 6, M, M] uint8
    """Cut every portrait's window, and ask the segmenter and the teacher about it."""
    teacher = HairTeacher.open(data / "teachers" / "hair_segmentation.tflite")
    if teacher is None:
        sys.exit(f"The teacher hair_segmentation.tflite is not in {data / 'teachers'}.")
    detector = MediaPipeDetector(asset_path("face_landmarker"))
    samples = []
    for path in sorted((data / "portraits").glob("*.jpg"))[:limit]:
        picture = load_photo(path).pixels
        faces = detector.detect(picture)
        if not faces:
            continue
        points = faces[0].landmarks[:, :2].astype(np.float64)
        window = head_window(points)
        image = sample_region(picture, window, WINDOW)
        matrix = window.picture_from_unit()
        local = (points[OVAL] - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T * WINDOW
        masks = np.stack([segment_person(image), polygon_mask(local, (WINDOW, WINDOW)), teacher(image)])
        whole = torch.from_numpy(np.concatenate([image.transpose(2, 0, 1) / np.float32(255), masks]))[None].float()
        samples.append((functional.interpolate(whole, size=(STORED, STORED), mode="area")[0] * 255 + 0.5).byte())
    return torch.stack(samples)


def train(samples: Tensor, epochs: int) -> TrainedHairNetwork:
    """Cross entropy and Dice loss on disturbed samples."""
    check = samples[::HELD_OUT]
    learn = samples[torch.arange(len(samples)) % HELD_OUT != 0]
    network = TrainedHairNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), PEAK_RATE, weight_decay=1e-3)
    steps = max(1, epochs * len(learn) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps + 1)
    for step in range(steps):
        inputs, hair = disturbed(learn, torch.randint(len(learn), (BATCH,)))
        logits = network(inputs)
        guess = torch.sigmoid(logits)
        both, either = (guess * hair).sum((1, 2, 3)), (guess + hair).sum((1, 2, 3))
        dice = (1 - (2 * both + 20) / (either + 20)).mean()
        loss = functional.binary_cross_entropy_with_logits(logits, hair) + 0.5 * dice
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if step % 100 == 99 or step == steps - 1:
            print(f"step {step + 1}/{steps}: loss {loss.item():.3f}, held out IoU {overlap(network, check):.3f}")
    return network.eval()


def disturbed(samples: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:  # [B, 7, N, N], [B, 1, N, N]
    """Turn, zoom, shift and flip; change the light, the colours and the background."""
    count = len(chosen)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape)

    angle, zoom = (uniform() - 0.5) * 0.45, torch.exp((uniform() - 0.5) * 0.5)
    flip = torch.where(uniform() < 0.5, -1.0, 1.0)
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    linear = torch.stack([torch.stack([cos * flip, -sin], 1), torch.stack([sin * flip, cos], 1)], 1)
    affine = torch.cat([linear, (uniform(2, 1) - 0.5) * 0.2], 2)
    grid = functional.affine_grid(affine, [count, 6, SIDE, SIDE], align_corners=False)
    picked = samples[chosen].float() / 255
    picked = functional.grid_sample(picked, grid, padding_mode="border", align_corners=False)
    rgb, person, face, hair = picked.split([3, 1, 1, 1], 1)  # type: ignore[no-untyped-call]

    ramp = torch.linspace(-1, 1, SIDE)
    flat = uniform(3, 1, 1) + ramp.view(1, 1, SIDE, 1) * torch.randn(count, 3, 1, 1) * 0.2
    blobs = functional.interpolate(uniform(3, 8, 8), size=(SIDE, SIDE), mode="bicubic")
    others = samples[torch.randint(len(samples), (count,)), :3].float() / 255
    others = functional.interpolate(others, size=(SIDE, SIDE), mode="bilinear").roll(SIDE // 2, 3)
    kind = uniform(1, 1, 1)
    behind = torch.where(kind < 0.35, flat, torch.where(kind < 0.6, blobs, others)).clamp(0, 1)
    matte = torch.maximum(((person - 0.3) / 0.5).clamp(0, 1), (uniform(1, 1, 1) > 0.6).float())
    rgb = rgb * matte + behind * (1 - matte)

    gain = torch.exp(torch.randn(count, 3, 1, 1) * 0.12 + torch.randn(count, 1, 1, 1) * 0.2)
    rgb = (rgb.clamp(1e-3, 1) ** torch.exp(torch.randn(count, 1, 1, 1) * 0.3) * gain).clamp(0, 1)
    side = uniform(1, 1, 1) * 2 * torch.pi
    light = side.cos() * ramp.view(1, 1, 1, SIDE) + side.sin() * ramp.view(1, 1, SIDE, 1)
    rgb = (rgb * (1 + 0.4 * uniform(1, 1, 1) * light)).clamp(0, 1)
    grey = (uniform(1, 1, 1) < 0.1).float()
    rgb = rgb + grey * (rgb.mean(1, keepdim=True) - rgb)
    if torch.rand(()) < 0.3:
        rgb = functional.interpolate(functional.avg_pool2d(rgb, 2), scale_factor=2.0, mode="bilinear")
    rgb = rgb + torch.randn_like(rgb) * 0.03 * uniform(1, 1, 1)
    if torch.rand(()) < 0.3:  # the segmenter errs towards the background
        person = functional.max_pool2d(person, 7, 1, 3)
    return network_inputs(rgb, person, face), hair


def overlap(network: TrainedHairNetwork, samples: Tensor) -> float:
    """Mean intersection over union with the teacher."""
    network.eval()
    with torch.inference_mode():
        small = functional.interpolate(samples.float() / 255, size=(SIDE, SIDE), mode="area")
        found = network(network_inputs(small[:, :3], small[:, 3:4], small[:, 4:5])) > 0
        wanted = small[:, 5:] > 0.5
    network.train()
    union = (found | wanted).sum((1, 2, 3)).clamp_min(1)
    return float(((found & wanted).sum((1, 2, 3)) / union).mean())


def folded(network: TrainedHairNetwork) -> dict[str, NDArray[np.floating]]:
    """Weights and biases with the batch normalisation multiplied in, weights in half precision."""
    arrays: dict[str, NDArray[np.floating]] = {}
    for name in LAYERS[:-1]:
        block = network.layers[name]
        assert isinstance(block, nn.Sequential)
        convolution, norm = block[0], block[1]
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        arrays[f"{name}.weight"] = (convolution.weight * scale[:, None, None, None]).detach().half().numpy()
        arrays[f"{name}.bias"] = (norm.bias - norm.running_mean * scale).detach().numpy()
    arrays["f.weight"] = network.last.weight.detach().half().numpy()
    assert network.last.bias is not None
    arrays["f.bias"] = network.last.bias.detach().numpy()
    return arrays


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


if __name__ == "__main__":
    main()
