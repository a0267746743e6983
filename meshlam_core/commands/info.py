"""`meshlam info`: what is in an avatar file, or what a preset of the network costs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

import numpy as np

from meshlam_core.avatar.io import read_avatar
from meshlam_core.avatar.record import TRUST, Avatar
from meshlam_core.head.surface import triangle_areas
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Read the file, which also checks it, and describe it; or describe the preset."""
    if arguments.preset:
        return describe_preset(arguments.preset)
    avatar = read_avatar(arguments.avatar)
    return {"avatar": str(arguments.avatar), "bytes": arguments.avatar.stat().st_size} | describe(avatar)


def describe_preset(name: str) -> dict[str, Any]:
    """Parameters and floating-point operations by part, for one photo."""
    from meshlam_core.model import config
    from meshlam_core.model.describe import describe as describe_network

    found = describe_network(config.preset(name))
    return {
        "preset": name,
        "vertices": found.vertices,
        "parameters": found.parameters,
        "flops": found.flops,
        "parts": [asdict(part) for part in found.parts],
        "settings": found.preset.to_dict(),
    }


def _show_preset(result: dict[str, Any]) -> str:
    from meshlam_core.model.config import from_dict
    from meshlam_core.model.describe import PartCost, PresetInfo

    parts = tuple(PartCost(**part) for part in result["parts"])
    table = PresetInfo(from_dict(result["settings"]), result["vertices"], parts).table()
    return f"preset {result['preset']}, one photo, a head of {result['vertices']:,} vertices\n{table}"


def describe(avatar: Avatar) -> dict[str, Any]:
    """An avatar in numbers and names."""
    photo = avatar.photo
    active = zip(avatar.blendshape_names, photo.expression.tolist(), strict=True)
    return {
        "vertices": len(avatar.vertices),
        "faces": len(avatar.faces),
        "texture_vertices": len(avatar.uvs),
        "texture_size": [avatar.albedo.shape[1], avatar.albedo.shape[0]],
        "texture_seen": round(float((avatar.albedo_seen > 127).mean()), 4),
        "trust": trust_shares(avatar),
        "uncertainty_mm": uncertainty(avatar),
        "parts": list(avatar.parts),
        "joints": list(avatar.joint_names),
        "blendshapes": {"kind": avatar.blendshape_kind, "names": list(avatar.blendshape_names)},
        "strands": None if avatar.strands is None else len(avatar.strands.faces),  # triangles
        "glasses": glasses(avatar),
        "pose_correctives": avatar.pose_correctives is not None,
        "photo": {
            "size": photo.size.tolist(),
            "focal": round(photo.focal, 3),
            "centre": [round(value, 3) for value in photo.centre.tolist()],
            "expression": {name: round(value, 3) for name, value in active if abs(value) >= 0.01},
        },
        "provenance": avatar.provenance,
    }


def trust_shares(avatar: Avatar) -> dict[str, float] | None:
    """How much of the head's surface was seen, mirrored, painted from the model and by the network; None: not told."""
    if avatar.trust is None:
        return None
    height, width = avatar.trust.shape[:2]
    # triangle by triangle: texels outside the islands repeat those inside, and islands have scales of their own
    u, v = avatar.uvs[avatar.uv_faces].mean(axis=1).T
    rows = ((1 - v) * height).clip(0, height - 1).astype(np.intp)
    columns = (u * width).clip(0, width - 1).astype(np.intp)
    area = triangle_areas(avatar.vertices[avatar.faces].astype(np.float64))
    shares = area @ avatar.trust[rows, columns].astype(np.float64) / (255 * max(float(area.sum()), 1e-12))
    return {name: round(float(share), 4) for name, share in zip(TRUST, shares, strict=True)}


def uncertainty(avatar: Avatar) -> dict[str, float] | None:  # mm
    """The median standard deviation of the vertices of each part that has a skin or hair; None: not told."""
    if avatar.uncertainty is None:
        return None
    found = {
        name: float(np.median(avatar.uncertainty[avatar.part == index]))
        for index, name in enumerate(avatar.parts)
        if name in ("face", "ears", "neck", "scalp", "hair") and (avatar.part == index).any()
    }
    return {name: round(1000 * value, 2) for name, value in found.items()}


def glasses(avatar: Avatar) -> dict[str, Any] | None:
    """The frame that the head wears."""
    worn = avatar.glasses
    if worn is None:
        return None
    size = np.ptp(worn.vertices, axis=0)
    colour = [round(float(value), 3) for value in worn.colour]
    return {
        "vertices": len(worn.vertices), "faces": len(worn.faces), "joint": worn.joint,
        "width_mm": round(1000 * float(size[0]), 1), "colour": colour,
    }  # fmt: skip


def show(result: dict[str, Any]) -> str:
    """The description as text."""
    if "settings" in result:
        return _show_preset(result)
    provenance = result["provenance"]
    photo = result["photo"]
    lines = [
        f"{result['avatar']} ({result['bytes'] / 1e6:.1f} MB)",
        f"  mesh        {result['vertices']} vertices, {result['faces']} triangles; {', '.join(result['parts'])}",
        f"  texture     {result['texture_size'][0]} x {result['texture_size'][1]}, "
        f"{result['texture_seen']:.0%} of it seen in the photo",
        *_trust_lines(result["trust"], result["uncertainty_mm"]),
        *([f"  strands     {result['strands']} triangles of loose hair"] if result["strands"] else []),
        *_glasses_lines(result["glasses"]),
        f"  skeleton    {', '.join(result['joints'])}",
        f"  expressions {len(result['blendshapes']['names'])} ({result['blendshapes']['kind']})",
        f"  photo       {photo['size'][0]} x {photo['size'][1]}, focal length {photo['focal']:.0f} px",
    ]
    for key in ("head", "weights", "preset"):
        value = provenance.get(key)
        if key == "weights" and key in provenance and value is None:
            lines.append("  weights     none: not refined by the network")
        elif value:
            licence = provenance.get(f"{key}_licence")
            lines.append(f"  {key:<11} {value}{f' ({licence})' if licence else ''}")
    return "\n".join(lines + [f"  warning     {text}" for text in provenance.get("warnings", [])])


def _trust_lines(shares: dict[str, float] | None, doubt: dict[str, float] | None) -> list[str]:
    lines = []
    if doubt is not None:
        lines.append("  uncertainty " + ", ".join(f"{name} {value:.1f} mm" for name, value in doubt.items()))
    if shares is not None:
        lines.insert(0, "  surface     " + ", ".join(f"{share:.0%} {name}" for name, share in shares.items()))
    return lines


def _glasses_lines(worn: dict[str, Any] | None) -> list[str]:
    if worn is None:
        return []
    return [
        f"  glasses     an own mesh of {worn['vertices']} vertices, {worn['width_mm']:.0f} mm wide, on {worn['joint']}"
    ]
