"""How often the true head lies within the uncertainty that an avatar tells, on heads whose geometry is known.

    python -m training.bench.uncertainty ../shared/data --each 2

Skin: the bald head's vertices of face, neck and ears against the true ones, laid onto each other by their faces. Hair:
the vertices that hair covers, on those hairstyles that are hulls themselves, so that vertices correspond. A Gaussian
would lie within one (two) standard deviations of its distance at 61 % (99 %) of the places where it errs in three
directions alike, and at 68 % (95 %) where it errs along one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.avatar.record import Avatar
from meshlam_core.errors import MeshlamError
from meshlam_core.files.images import write_png
from meshlam_core.head.model import HeadModel
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from training.bench.markdown import print_head, print_row
from training.evaluate.geometry import laid_on
from training.evaluate.known_heads import BARE, SKINS, KnownHead, known_heads
from training.hairstyles import HELD_OUT_FAMILIES

GROWN = 0.004  # m of growth, true or found, from which a vertex is hair
PARTS = ("face", "neck", "ears")

F64 = NDArray[np.float64]


def ratios(avatar: Avatar, truth: KnownHead, head: HeadModel) -> dict[str, tuple[F64, F64]]:  # by region, both [*] m
    """The true error and the told standard deviation at each vertex."""
    assert avatar.uncertainty is not None
    assert avatar.hair is not None
    count = len(head.template)
    told = avatar.uncertainty[:count].astype(np.float64)
    grown = np.linalg.norm(avatar.hair[:count], axis=1)
    found = laid_on(avatar, truth, head)[:count]
    out = {}
    for name in PARTS:
        rows = (head.part == head.parts.index(name)) & (grown < 1e-4)
        out[name] = np.linalg.norm(found[rows] - truth.bald[rows], axis=1), told[rows]
    if truth.style in HELD_OUT_FAMILIES:
        true = truth.vertices[:count]
        hairy = np.maximum(grown, np.linalg.norm(true - truth.bald, axis=1)) > GROWN
        front = truth.bald[:, 2] > np.median(truth.bald[:, 2])
        for name, rows in (("hair, front", hairy & front), ("hair, back", hairy & ~front)):
            out[name] = np.linalg.norm(found[rows] - true[rows], axis=1), told[rows]
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of portraits, hair meshes and light")
    parser.add_argument("--each", type=int, default=2, help="heads per hairstyle")
    arguments = parser.parse_args()
    options = ReconstructOptions(texture_size=512)
    session = Session.open(options)
    skins = [
        reconstruct(arguments.data / "portraits" / f"{name}.jpg", options, session).avatar.albedo for name in SKINS
    ]
    found: dict[str, list[tuple[F64, F64]]] = defaultdict(list)
    heads = 0
    with tempfile.TemporaryDirectory() as scratch:
        for truth in known_heads(arguments.data, session.head, skins, arguments.each):
            if truth.style not in (*HELD_OUT_FAMILIES, *BARE):
                continue
            photo = Path(scratch) / "head.png"
            write_png(photo, truth.picture)
            try:
                avatar = reconstruct(photo, options, session).avatar
            except MeshlamError:
                continue
            heads += 1
            for name, pair in ratios(avatar, truth, session.head).items():
                found[name].append(pair)
    print(f"{heads} heads\n")
    print_head("region", "error mm, median", "told mm, median", "within one", "within two", "factor")
    for name, pairs in found.items():
        error, told = (np.concatenate(some) for some in zip(*pairs, strict=True))
        within = [f"{(error <= times * told).mean():.0%}" for times in (1, 2)]
        # the one number on all deviations that would make the mean square of error / told 1, without wild places
        factor = np.sqrt(np.mean(np.minimum(error / np.maximum(told, 1e-9), 6) ** 2))
        print_row(name, f"{1000 * np.median(error):.1f}", f"{1000 * np.median(told):.1f}", *within, f"{factor:.2f}")


if __name__ == "__main__":
    main()
