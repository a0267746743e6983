"""`--neural`: pictures repainted by the image-space network, for render and reenact."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshlam_core.errors import UsageError
from meshlam_core.model.files import AUTO, find_renderer

if TYPE_CHECKING:
    from meshlam_core.avatar.record import Avatar
    from meshlam_core.head.model import HeadModel
    from meshlam_core.viewing.viewer import Repaint


@dataclass(frozen=True)
class NeuralOptions:
    """What belongs to `--neural`."""

    head: str = "open"  # or a path: the head model of the avatar
    weights: str = AUTO


def head_of(avatar: Avatar, name: str) -> HeadModel:
    """The head model that the avatar was made with, as far as the file tells."""
    from meshlam_core.head.io import load_head

    head = load_head(None if name == "open" else Path(name))
    if head.blendshape_kind != avatar.blendshape_kind:
        hint = "Name the head model it was made with: --head PATH."
        raise UsageError(f"The avatar was not made with the head model {head.name!r}.", hint)
    return head


def neural_options(arguments: argparse.Namespace) -> NeuralOptions | None:
    """What the command line asks for; None without `--neural`."""
    if not arguments.neural and arguments.weights != AUTO:
        raise UsageError("--weights belongs to --neural, which is missing.", "Add --neural, or leave --weights out.")
    return NeuralOptions(arguments.head, arguments.weights) if arguments.neural else None


def open_repaint(avatar: Avatar, options: NeuralOptions | None, device: str) -> Repaint | None:
    """The renderer's weights, loaded; AssetError where they are missing or don't fit."""
    if options is None:
        return None
    path = find_renderer(options.weights)
    from meshlam_core.model.neural import PortraitRenderer

    return PortraitRenderer.open(path, head_of(avatar, options.head), device).repaint
