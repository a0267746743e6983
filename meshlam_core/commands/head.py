"""`meshlam head`: convert a distributed head model once, tell what is in one, compare two."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from meshlam_core.errors import UsageError
from meshlam_core.files.outputs import check_output_file
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Do what is asked."""
    actions = {"convert": _convert, "info": _info, "compare": _compare}
    return {"action": arguments.action} | actions[arguments.action](arguments, progress)


def _convert(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from meshlam_core.head.convert import LICENCES, ConvertOptions, convert, likely_licence, model_kind
    from meshlam_core.head.io import load_head, save_converted

    out = check_output_file(arguments.out)
    progress("reading", 0.0, str(arguments.model))
    kind = model_kind(arguments.model)
    if not arguments.licence:
        likely = likely_licence(arguments.model, kind)
        raise UsageError(
            f"{arguments.model.name} seems to be under: {LICENCES[likely].text}.",
            f"Confirm the licence that you have it under with --licence {likely}, or name another.",
        )
    options = ConvertOptions(
        masks=arguments.masks,
        layout=arguments.layout,
        keys=arguments.keys,
        raw_keys=arguments.raw_keys,
        borrow=tuple(arguments.borrow),
    )
    progress("converting", 0.1, "the open head is laid onto it")
    converted = convert(arguments.model, load_head(), arguments.licence, options)
    progress("writing", 0.9, str(out))
    save_converted(converted, out)
    return {"head": str(out), "bytes": out.stat().st_size} | _described(out)


def _info(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return {"head": str(arguments.model)} | _described(_path(arguments.model))


def _compare(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from meshlam_core.head.compare import compare
    from meshlam_core.head.io import load_head

    one, two = (load_head(_path(name)) for name in (arguments.model, arguments.other))
    found = compare(one, two, load_head())
    return {
        "models": [arguments.model, arguments.other],
        "vertices": [len(one.template), len(two.template)],
        "scale": round(found.scale, 4),
        "parts_mm": found.parts,
        "keys_mm": {name: list(values) for name, values in found.keys.items()},
    }


def _path(name: str) -> Path | None:
    return None if name == "open" else Path(name)


def _described(path: Path | None) -> dict[str, Any]:
    """A head model in numbers and names."""
    from meshlam_core.head.io import head_metadata, load_head

    head = load_head(path)
    raw = head.raw
    return {
        "name": head.name,
        "licence": head.licence,
        "vertices": len(head.template),
        "faces": len(head.faces),
        "identity_modes": len(head.identity_basis),
        "blendshapes": list(head.blendshape_names),
        "raw_keys": 0 if raw is None else len(raw.names),
        "joints": list(head.joint_names),
        "parts": list(head.parts),
        "shares_layout": head.correspondence is None or head.correspondence.shares_layout,
        "metadata": head_metadata(path),
    }


def show(result: dict[str, Any]) -> str:
    """A few lines, and the table of the keys."""
    if result["action"] == "compare":
        return _show_compared(result)
    metadata = result["metadata"]
    lines = [
        f"{result['head']}: {result['name']}, {result['vertices']:,} vertices, {result['faces']:,} triangles",
        f"licence: {result['licence']}",
        f"{result['identity_modes']} identity modes, {len(result['blendshapes'])} keys, {result['raw_keys']} raw keys",
        f"joints: {', '.join(result['joints'])}",
        f"parts: {', '.join(result['parts'])}",
        f"texture layout: {'that of the open head' if result['shares_layout'] else 'its own'}",
    ]
    fits = metadata.get("key_fits", [])
    if fits:
        lines += ["", "key                     moves    left over   at most   (mm)"]
        row = "{name:<22} {moves:6.2f} {rms:12.2f} {most:9.2f}   {says}"
        lines += [row.format(**fit) for fit in fits]
    return "\n".join(lines)


def _show_compared(result: dict[str, Any]) -> str:
    one, two = result["models"]
    lines = [
        f"{one}: {result['vertices'][0]:,} vertices; {two}: {result['vertices'][1]:,}, scaled by {result['scale']}",
        "",
        "part          apart (mm, rms of the mean heads)",
        *(f"{name:<12} {value:7.2f}" for name, value in result["parts_mm"].items()),
        "",
        "key                    first  second   apart   (mm, rms over the face)",
        *(f"{name:<20} {a:7.2f} {b:7.2f} {d:7.2f}" for name, (a, b, d) in result["keys_mm"].items()),
    ]
    return "\n".join(lines)
