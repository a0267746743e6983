"""`meshlam sheet`: a contact sheet of an avatar."""

from __future__ import annotations

import argparse
from typing import Any

from meshlam_core.avatar.io import read_avatar
from meshlam_core.files.outputs import check_output_file, write_file
from meshlam_core.files.png import encode_png
from meshlam_core.progress import Progress


def run(arguments: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Draw the sheet and tell where it is."""
    check_output_file(arguments.out)
    progress("reading", 0.0, arguments.avatar.name)
    avatar = read_avatar(arguments.avatar)
    from meshlam_core.pipeline import choose_device, prefer_rasteriser
    from meshlam_core.viewing.contact_sheet import contact_sheet

    device = choose_device(arguments.device)
    prefer_rasteriser(arguments.rasteriser, device)
    sheet = contact_sheet(avatar, progress, device)
    write_file(arguments.out, encode_png(sheet))
    return {"out": str(arguments.out), "size": [sheet.shape[1], sheet.shape[0]]}


def show(result: dict[str, Any]) -> str:
    """One line."""
    return f"{result['out']}: {result['size'][0]} x {result['size'][1]}"
