"""DINOv2 with registers (Oquab et al. 2023; Darcet et al. 2024), through the `transformers` package: preset `paper`.

The weights are not ours to ship: they are read from a local folder, which `meshlam assets fetch paper` fills from the
Hub by their hash, and the network's weights file says once more which hash they must have.
Dims: B batch, H image side, c channels, h = H / 14.
"""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.nets.imagenet import normalise

LAYERS = (4, 11, 17, 23)  # of ViT-L's 24 blocks, as DPT heads on DINOv2 read them
PATCH = 14
WEIGHTS_FILE = "model.safetensors"


class DinoV2(nn.Module):
    """Frozen patch tokens of several depths."""

    def __init__(
        self,
        model: nn.Module,  # transformers.Dinov2WithRegistersModel
        layers: tuple[int, ...] = LAYERS,
    ) -> None:
        super().__init__()
        config: Any = model.config
        if max(layers) >= config.num_hidden_layers:
            raise UsageError(f"layers: expected indices below {config.num_hidden_layers}, got {layers}.")
        self.model = model.eval().requires_grad_(False)
        self.layers = layers
        self.skip = 1 + int(config.num_register_tokens)  # the class token and the registers come first
        self.patch = int(config.patch_size)
        self.channels = int(config.hidden_size)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the levels."""
        return (self.channels,) * len(self.layers)

    def forward(
        self,
        image: Tensor,  # [B, 3, H, H] sRGB 0..1, H a multiple of the patch
    ) -> list[Tensor]:  # layers x [B, c, h, h]
        grid = image.shape[-1] // self.patch
        if image.shape[-1] % self.patch or image.shape[-2] != image.shape[-1]:
            raise UsageError(f"image: expected a square of a multiple of {self.patch} px, got {tuple(image.shape)}.")
        with torch.no_grad():
            out = self.model(pixel_values=normalise(image), output_hidden_states=True)
        # hidden_states[0] is the embedding, so block k ends at k + 1
        tokens = [out.hidden_states[k + 1][:, self.skip :] for k in self.layers]
        return [t.transpose(1, 2).unflatten(2, (grid, grid)) for t in tokens]

    def train(self, mode: bool = True) -> DinoV2:
        """Frozen: always in evaluation mode."""
        del mode
        super().train(False)
        return self


def load_dinov2(
    folder: Path,  # config.json and model.safetensors, as on the Hub
    sha256: str = "",  # of model.safetensors; empty trusts the local folder
    layers: tuple[int, ...] = LAYERS,
) -> DinoV2:
    """DINOv2 from a local folder, checked against its hash."""
    weights = folder / WEIGHTS_FILE
    if not weights.is_file() or not (folder / "config.json").is_file():
        raise AssetError(
            f"DINOv2: expected config.json and {WEIGHTS_FILE} in {folder}.",
            "Run `meshlam assets fetch paper`, or name a folder that holds them: --backbone DIR.",
        )
    library = require_transformers()
    if sha256 and (found := dinov2_sha256(folder)) != sha256:
        raise AssetError(
            f"DINOv2: expected {weights} with sha256 {sha256}, got {found}.", "Delete the file and fetch it again."
        )
    library.utils.logging.disable_progress_bar()  # the callers report progress themselves
    try:
        model, report = library.Dinov2WithRegistersModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # transformers raises what its parsers do
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise AssetError(f"DINOv2: the files in {folder} cannot be read: {reason}.", "Fetch them again.") from error
    # transformers fills what a file lacks with random numbers and only warns
    lacking = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
    if lacking:
        raise AssetError(
            f"DINOv2: expected {weights} to fit its config.json, got no fitting {lacking[0]}.", "Fetch both."
        )
    return DinoV2(model, layers)


def dinov2_sha256(folder: Path) -> str:
    """What a weights file that was trained on this backbone notes as `backbone_sha256`."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def random_dinov2(**config: Any) -> DinoV2:
    """DINOv2 of the given transformers configuration with random weights: for tests and cost measurements."""
    library = require_transformers()
    settings = library.Dinov2WithRegistersConfig(**config)
    count = int(settings.num_hidden_layers)
    layers = LAYERS if count == LAYERS[-1] + 1 else tuple(round((i + 1) * count / 4) - 1 for i in range(4))
    return DinoV2(library.Dinov2WithRegistersModel(settings), layers)


def require_transformers() -> Any:
    """The optional package, or an error that says how to get it."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise AssetError(
            "The preset `paper` needs the package transformers for its DINOv2 backbone, which is not installed.",
            "Run `pip install 'meshlam[paper]'`, or choose --preset small.",
        ) from error
    return transformers
