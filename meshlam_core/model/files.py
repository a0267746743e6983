"""Where the networks' weights lie. Imports no torch, so that looking for them costs nothing.

A file of the package wins over one in the data folder. No hash is pinned for them: the file itself carries one over its
tensors (weights.py), and says which preset, head model and version it belongs to.
"""

from __future__ import annotations

from pathlib import Path

from meshlam_core.assets import home
from meshlam_core.errors import AssetError

DATA = Path(__file__).resolve().parent.parent / "data"
AUTO, NONE = "auto", "none"
RENDERER = "small_renderer"
DINOV2 = "dinov2-with-registers-large"


def data_folder() -> Path:
    """The folder for weights that don't come with the package."""
    return home() / "weights"


def bundled_weights(name: str) -> Path | None:
    """The weights of a preset, or None: then the tracker's result stands."""
    places = (folder / f"{name}.safetensors" for folder in (DATA, data_folder()))
    return next((path for path in places if path.is_file()), None)


def trained_weights(name: str, head_hash: str) -> Path:
    """Where the weights of a preset lie that were trained for another head model (weights.topology_hash)."""
    return data_folder() / f"{name}-{head_hash[:16]}.safetensors"


def all_trained_weights(name: str) -> list[Path]:
    """The weights of a preset for any other head model."""
    return sorted(data_folder().glob(f"{name}-*.safetensors"))


def bundled_renderer() -> Path | None:
    """The weights of the image-space renderer, or None: then `--neural` is not available."""
    return bundled_weights(RENDERER)


def choose_weights(
    preset: str,
    wanted: str = AUTO,  # or NONE, or a path
) -> Path | None:
    """The file to refine with, or None when the tracker's result is to stand. A named file must be there."""
    if wanted == NONE:
        return None
    if wanted == AUTO:
        return bundled_weights(preset)
    path = Path(wanted)
    if not path.is_file():
        raise AssetError(f"The weights {path} are missing.", "Name an existing file, or leave --weights out.")
    return path


def find_renderer(wanted: str = AUTO) -> Path:
    """The renderer's weights, or an AssetError that says where they were looked for."""
    path = choose_weights(RENDERER, wanted)
    if path is None:
        raise AssetError(
            f"The weights of the neural renderer are missing: expected {data_folder() / f'{RENDERER}.safetensors'}.",
            "Put trained weights there or name them with --weights PATH, or render without --neural.",
        )
    return path


def find_backbone(wanted: str = AUTO) -> Path:
    """The folder of DINOv2: as `meshlam assets fetch paper` leaves it, or beside the weights.

    Whether it holds the right files is for the backbone to check.
    """
    if wanted != AUTO:
        return Path(wanted)
    fetched = home() / "assets" / DINOV2
    return fetched if fetched.is_dir() else data_folder() / DINOV2
