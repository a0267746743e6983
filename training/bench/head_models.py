"""Other head models against the open one: `python -m training.bench.head_models [HEAD.npz ...]` prints markdown tables.

Each photo is fitted with every model in turn, and so are the network and the topology correction timed, so that a slow
minute of the machine falls on all: ratios are medians of what was measured side by side. Reconstructions are timed in
pairs with the open head's, because texture layouts are kept for two models at a time.
The converted files are the user's; where none are named, stand-ins are made and converted (tests/head_models.py).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from meshlam_core.assets import asset_path
from meshlam_core.files.images import load_photo
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.model.config import preset
from meshlam_core.model.state import make_rig
from meshlam_core.model.topology import correct, epsilon_for
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.tracker.fit import head_fitter
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.track import find_face
from training.bench.network import TEXTURE, make_input, make_network
from training.bench.topology import GROWTH
from training.bench.tracker import DATA, spread

T = TypeVar("T")
LOADS = 5
STAND_INS = {
    "flame": ("flame2023_Open.pkl", "flame-open"),
    "gnm": ("gnm_head.npz", "gnm"),
    "ict": ("FaceXModel", "ict"),
}


@dataclass
class Row:
    """One head model. Processor time in seconds, which a busy machine distorts less."""

    name: str
    head: HeadModel
    load: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)  # of the face height
    fit: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)  # the open head's, photo by photo with `whole`
    correction: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)


def measure(names: list[str], limit: int, whole: int, runs: int) -> list[Row]:
    """The open head first."""
    rows = [Row(name, load_head(_path(name))) for name in ("open", *names)]
    for _ in range(LOADS):
        for row in rows:
            row.load.append(seconds(partial(load_head, _path(row.name))))
    detector = MediaPipeDetector(asset_path("face_landmarker.task"))
    paths = [path for kind in ("portraits", "hires") for path in spread(sorted((DATA / kind).glob("*.jpg")), limit)]
    for number, path in enumerate(paths):
        photo = load_photo(path)
        detection = find_face(photo, detector)
        for row in turned(rows, number):
            fitter = head_fitter(row.head)
            began = time.process_time()
            row.errors.append(fitter.fit(detection, photo.native_size, photo.focal_35mm).landmark_error)
            row.fit.append(time.process_time() - began)
    paths = spread(sorted((DATA / "hires").glob("*.jpg")), whole + 1)
    calls = [reconstructing(row.name) for row in rows]
    for row, call in zip(rows[1:], calls[1:], strict=True):
        for number, path in enumerate(paths):
            for times, made in turned([(row.beside, calls[0]), (row.whole, call)], number):
                took = seconds(partial(made, path))
                if number:  # the first one warms up
                    times.append(took)
        rows[0].whole += row.beside
    rows[0].beside = rows[0].whole
    del calls
    timed = [(row, correction(row.head), network(row.head)) for row in rows]
    for number in range(runs):
        for row, correcting, inferring in turned(timed, number):
            row.correction.append(seconds(correcting))
            row.network.append(seconds(inferring))
    return rows


def reconstructing(name: str) -> Callable[[Path], object]:
    """The whole way from a photo to an avatar."""
    options = ReconstructOptions(head=name)
    session = Session.open(options)
    return lambda path: reconstruct(path, options, session)


def correction(head: HeadModel) -> Callable[[], object]:
    """One topology correction that makes 1.6 times as many vertices and carries positions and keys."""
    epsilon = epsilon_for(head.template, head.faces, round(GROWTH * len(head.template)))

    def call() -> object:
        grown = correct(head.template, head.faces, head.uvs, head.uv_faces, epsilon)
        return grown.carry(head.template), grown.carry(head.blendshapes)

    return call


def network(head: HeadModel) -> Callable[[], object]:
    """The whole network `small`, random weights, warmed up."""
    sizes = preset("small")
    rig, made = make_rig(head, sizes.target_vertices), make_network(sizes).cpu()
    photo = make_input(head, rig, 1, TEXTURE).to("cpu")
    call = partial(made.reconstruct, photo, rig, TEXTURE)
    call()
    return call


def turned(items: list[T], number: int) -> list[T]:
    """Forwards and backwards in turn, so that nobody always comes first."""
    return items[::-1] if number % 2 else items


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def _path(name: str) -> Path | None:
    return None if name == "open" else Path(name)


def markdown(rows: list[Row]) -> str:
    lines = [
        "| head | vertices | loading, processor | landmark error, median | 95 % | to the open head's |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        error, error_95 = (100 * np.quantile(row.errors, share) for share in (0.5, 0.95))
        lines.append(
            f"| {Path(row.name).stem} | {len(row.head.template)} | {np.median(row.load):.2f} s |"
            f" {error:.2f} % | {error_95:.2f} % | {ratio(row.errors, rows[0].errors)} |"
        )
    lines += [
        "",
        "Medians of processor time, and in brackets the median ratio to the open head's.",
        "",
        "| head | fit | reconstruction | topology correction | network `small` |",
        "|---|---|---|---|---|",
    ]
    opened = rows[0]
    for row in rows:
        pairs = (
            (row.fit, opened.fit),
            (row.whole, row.beside),
            (row.correction, opened.correction),
            (row.network, opened.network),
        )
        cells = (f"{1000 * np.median(own):.0f} ms ({ratio(own, first)})" for own, first in pairs)
        lines.append(f"| {Path(row.name).stem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio(own: list[float], first: list[float]) -> str:
    return f"{np.median(np.array(own) / np.array(first)):.2f}"


def stand_ins(folder: Path) -> list[str]:
    """Files of the models' layout, made of the open head and converted."""
    subprocess.run([sys.executable, "-m", "tests.head_models", str(folder)], check=True)
    for name, (file, licence) in STAND_INS.items():
        call = ["head", "convert", str(folder / file), "-o", str(folder / f"{name}.npz"), "--licence", licence]
        subprocess.run([sys.executable, "-m", "meshlam_core", *call], check=True, stdout=subprocess.DEVNULL)
    return [str(folder / f"{name}.npz") for name in STAND_INS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("heads", nargs="*", help="converted head models; stand-ins if none")
    parser.add_argument("--limit", type=int, default=24, help="photos of each folder")
    parser.add_argument("--whole", type=int, default=7, help="reconstructions of each")
    parser.add_argument("--runs", type=int, default=7, help="of the network and the correction")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(arguments.heads or stand_ins(Path(folder)), arguments.limit, arguments.whole, arguments.runs)
    print(f"One thread.\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
