"""`meshlam info`: what is in an avatar file."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core.avatar import Avatar
from meshlam_core.avatar_io import read_avatar
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Read the file, which also checks it, and describe it."""
    avatar = read_avatar(arguments.avatar)
    return {"avatar": str(arguments.avatar), "bytes": arguments.avatar.stat().st_size} | describe(avatar)


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
        "parts": list(avatar.parts),
        "joints": list(avatar.joint_names),
        "blendshapes": {"kind": avatar.blendshape_kind, "names": list(avatar.blendshape_names)},
        "pose_correctives": avatar.pose_correctives is not None,
        "photo": {
            "size": photo.size.tolist(),
            "focal": round(photo.focal, 3),
            "centre": [round(value, 3) for value in photo.centre.tolist()],
            "expression": {name: round(value, 3) for name, value in active if abs(value) >= 0.01},
        },
        "provenance": avatar.provenance,
    }


def show(result: dict[str, Any]) -> str:
    """The description as text."""
    provenance = result["provenance"]
    photo = result["photo"]
    lines = [
        f"{result['avatar']} ({result['bytes'] / 1e6:.1f} MB)",
        f"  mesh        {result['vertices']} vertices, {result['faces']} triangles; {', '.join(result['parts'])}",
        f"  texture     {result['texture_size'][0]} x {result['texture_size'][1]}, "
        f"{result['texture_seen']:.0%} of it seen in the photo",
        f"  skeleton    {', '.join(result['joints'])}",
        f"  expressions {len(result['blendshapes']['names'])} ({result['blendshapes']['kind']})",
        f"  photo       {photo['size'][0]} x {photo['size'][1]}, focal length {photo['focal']:.0f} px",
    ]
    for key in ("head", "weights", "preset"):
        if value := provenance.get(key):
            licence = provenance.get(f"{key}_licence")
            lines.append(f"  {key:<11} {value}{f' ({licence})' if licence else ''}")
    return "\n".join(lines + [f"  warning     {text}" for text in provenance.get("warnings", [])])
