"""Weights on disk: one safetensors file, refused before any computation when it does not fit.

The header says the format, its version, the preset with all its sizes, the head model and a hash of its topology,
and a hash over every tensor. The frozen DINOv2 backbone is not part of the file; the small backbone is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.files.outputs import write_file
from meshlam_core.head.fingerprint import layout_digest
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import Preset, from_dict
from meshlam_core.model.state import is_finite
from meshlam_core.nets.mobilenet import MobileNet

FORMAT = "meshlam-weights"
VERSION = 1
AGAIN = "Fetch or train the weights again."


@dataclass(frozen=True)
class WeightsInfo:
    """What a weights file says about itself."""

    preset: Preset
    head: str
    head_hash: str
    licence: str
    notes: Mapping[str, Any]  # how it was trained, by whom it may be used, ...
    file: str = ""  # its name
    sha256: str = ""  # of the whole file; known once it is loaded


def topology_hash(head: HeadModel) -> str:
    """Identifies a head model's mesh, texture layout and rig: weights fit only the model that they were trained on."""
    digest = layout_digest(head)
    digest.update(json.dumps([head.parts, head.blendshape_names, head.joint_names]).encode())
    return digest.hexdigest()


def save_weights(
    network: nn.Module,
    preset: Preset,
    head: HeadModel,
    path: Path,
    licence: str,
    notes: Mapping[str, Any] | None = None,
    half: bool = False,  # store numbers in half precision
) -> None:
    """Write the file whole or not at all."""
    values = own_tensors(network)
    if half:
        values = {name: v.half() if v.dtype == torch.float32 else v for name, v in values.items()}
    for name, value in values.items():
        if value.is_floating_point() and not is_finite(value):
            raise UsageError(f"weights: expected finite numbers, got NaN or infinity in {name}.")
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "preset": json.dumps(preset.to_dict(), sort_keys=True),
        "head": head.name,
        "head_hash": topology_hash(head),
        "licence": licence,
        "notes": json.dumps(dict(notes or {}), sort_keys=True),
        "content": _content_hash(values),
    }
    write_file(path, save(values, metadata=header))


def read_info(path: Path) -> WeightsInfo:
    """The header, checked for format and version; no tensor is read."""
    if not path.is_file():
        raise AssetError(f"The weights {path} are missing.", AGAIN)
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if header.get("format") != FORMAT:
        raise AssetError(f"Expected a {FORMAT} file, got {path} of format {header.get('format', 'unknown')}.")
    if header.get("version") != str(VERSION):
        raise AssetError(
            f"The weights {path}: expected version {VERSION}, got {header.get('version')}.",
            "Use the weights made for this version of meshlam.",
        )
    try:
        preset = from_dict(json.loads(header["preset"]))
        notes = dict(json.loads(header["notes"]))
        return WeightsInfo(preset, header["head"], header["head_hash"], header["licence"], notes, path.name)
    except (KeyError, ValueError, TypeError, UsageError) as error:
        raise AssetError(f"The weights {path} have a damaged header: {str(error).rstrip('.')}.", AGAIN) from error


def load_weights(
    network: nn.Module,
    preset: Preset,
    head: HeadModel,
    path: Path,
) -> WeightsInfo:
    """Fill the network, or raise naming what was expected and what was found."""
    info = read_info(path)
    check_fit(info, preset, head, path)
    _fill(network, path)
    with path.open("rb") as file:
        return replace(info, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def start_from(network: nn.Module, preset: Preset, path: Path) -> WeightsInfo:
    """Fill a network with weights of its preset to learn on from; what they were trained on may be another head."""
    info = read_info(path)
    _compare_presets(path, preset, info.preset)
    _fill(network, path)
    return info


def _fill(network: nn.Module, path: Path) -> None:
    expected = own_tensors(network)
    with torch.no_grad():
        for name, value in _read(path, expected).items():
            expected[name].copy_(value)


def check_fit(info: WeightsInfo, preset: Preset, head: HeadModel, path: Path) -> None:
    """Refuse weights of another preset or head model; this needs no tensor and no network."""
    _compare_presets(path, preset, info.preset)
    if info.head != head.name or info.head_hash != topology_hash(head):
        raise AssetError(
            f"The weights {path} belong to the head model {info.head} ({info.head_hash[:12]}), "
            f"got the head model {head.name} ({topology_hash(head)[:12]}).",
            "Use the weights made for this head model.",
        )


def own_tensors(network: nn.Module) -> dict[str, Tensor]:
    """What belongs into the file: all tensors but those of a backbone that is not ours to ship."""
    foreign = isinstance(getattr(network, "backbone", None), nn.Module) and not isinstance(network.backbone, MobileNet)
    state = network.state_dict()
    return {
        name: value.detach().contiguous()
        for name, value in sorted(state.items())
        if not (foreign and name.startswith("backbone."))
    }


def _compare_presets(path: Path, wanted: Preset, found: Preset) -> None:
    if found == wanted:
        return
    if found.name != wanted.name:
        raise AssetError(f"The weights {path}: expected preset {wanted.name}, got preset {found.name}.")
    ours, theirs = wanted.to_dict(), found.to_dict()
    name = next(key for key in ours if ours[key] != theirs[key])
    raise AssetError(
        f"The weights {path}: expected {name} {ours[name]} in preset {wanted.name}, got {theirs[name]}.", AGAIN
    )


def _read(path: Path, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            strange = sorted(names ^ set(expected))
            if strange:
                there = "unexpected" if strange[0] in names else "missing"
                raise AssetError(f"The weights {path}: tensor {strange[0]} is {there}.", AGAIN)
            values = {name: file.get_tensor(name) for name in sorted(names)}
            content = (file.metadata() or {}).get("content")
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    for name, value in values.items():
        want = expected[name]
        fits = value.dtype == want.dtype or (value.dtype, want.dtype) == (torch.float16, torch.float32)
        if value.shape != want.shape or not fits:
            raise AssetError(
                f"The weights {path}: expected {name} as {want.dtype} {tuple(want.shape)}, "
                f"got {value.dtype} {tuple(value.shape)}.",
                AGAIN,
            )
        if value.is_floating_point() and not is_finite(value):
            raise AssetError(f"The weights {path}: expected finite numbers, got NaN or infinity in {name}.", AGAIN)
    found = _content_hash(values)
    if content != found:
        raise AssetError(f"The weights {path} were altered: expected content {content}, got {found}.", AGAIN)
    return values


def _damaged(path: Path, error: Exception) -> AssetError:
    return AssetError(f"The weights {path} are not a whole safetensors file: {str(error).rstrip('.')}.", AGAIN)


def _content_hash(values: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
