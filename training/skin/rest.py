"""Build data/neutral.npz: what an expression does to people beyond the open head's keys, learnt without pairs.

    python -m training.skin.rest [--data ../shared/data] [--cache DIR]

Nobody's neutral head depends on the expression of a photo. The neutral heads that the fit finds in portraits do: mouths
get wider with the smile. That dependence is found by ridge regression of the neutral heads on the coefficients of
mouth, jaw, cheeks and nose, beside the size of the head (men smile less than women in these portraits, and have larger
heads), over all portraits that are not held out and their mirror images.

Frame: avatar frame, metres. Dims: I portraits, V vertices, A keys, M vertices that move.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.points import LIPS_OUTER
from meshlam_core.tracker.neutral import NEUTRAL_MODEL, NeutralModel, save_neutral_model
from meshlam_core.tracker.ramps import smooth_step
from meshlam_core.tracker.residual import fade
from meshlam_core.tracker.rig import landmark_rig
from training.skin.unwrap import unwrap_all
from training.splits import held_out

F64 = NDArray[np.float64]

KEYS = ("mouth", "jaw", "cheek", "nose")
MOVED = (0.0, 0.004)  # m of the keys' movement between which a vertex takes part
STILL = 0.0005  # m of it up to which a vertex tells the head's size
STILL_PARTS = ("face", "ears", "neck", "scalp")
SIZES = 3  # principal components of those: about height, width and depth
SIZE_RIDGE, RIDGE = 1.0, 3.0  # how many people's word no dependence is worth
CALM = (0.3, 0.7)  # smiles up to which and from which portraits are compared in the report


def main() -> None:
    """Build and report."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--cache", type=Path, default=Path("build/skin"))
    options.add_argument("--out", type=Path, default=NEUTRAL_MODEL)
    chosen = options.parse_args()
    head = load_head()
    kept = list(unwrap_all(sorted((chosen.data / "portraits").glob("*.jpg")), head, chosen.cache / "unwrapped", print))
    neutral, expression = gather(kept)
    learning = np.array([not held_out(path.name) for path in kept])
    known = learn(neutral[learning], expression[learning], head)
    save_neutral_model(known, head, chosen.out, {"portraits": int(learning.sum())})
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.2f} MB")
    print(report(neutral[~learning], expression[~learning], known, head))


def gather(kept: list[Path]) -> tuple[F64, F64]:  # [I, V, 3], [I, K]
    """The heads and expressions that were fitted to the portraits."""
    neutral, expression = [], []
    for path in kept:
        with np.load(path, allow_pickle=False) as stored:
            neutral.append(stored["neutral"])
            expression.append(stored["expression"])
    return np.stack(neutral).astype(np.float64), np.stack(expression).astype(np.float64)


def learn(
    neutral: F64,  # [I, V, 3]
    expression: F64,  # [I, K]
    head: HeadModel,
) -> NeutralModel:
    """The dependence of the one on the other."""
    names = [name for name in head.blendshape_names if name.startswith(KEYS)]
    keys = np.array([head.blendshape_names.index(name) for name in names], np.intp)
    twins = [names.index(_other_side(name)) for name in names]
    active = expression[:, keys]
    active = np.concatenate([active, active[:, twins]])
    off = neutral - head.template
    off = np.concatenate([off, off[:, head.mirror] * [-1, 1, 1]])
    reach = np.linalg.norm(head.blendshapes[keys], axis=2).max(axis=0)
    share = smooth_step(reach, *MOVED) * fade(head)
    still = (reach < STILL) & np.isin(head.part, [head.parts.index(name) for name in STILL_PARTS])
    design = np.concatenate([np.ones((len(off), 1)), _sizes(off[:, still].reshape(len(off), -1)), active], axis=1)
    ridge = np.diag([0.0] + [SIZE_RIDGE] * SIZES + [RIDGE] * len(keys))
    moved = np.flatnonzero(share > 0)
    found = np.linalg.solve(design.T @ design + ridge, design.T @ off[:, moved].reshape(len(off), -1))
    fields = found[1 + SIZES :].reshape(len(keys), len(moved), 3) * share[moved, None]
    return NeutralModel(keys, moved.astype(np.int32), fields.astype(np.float32))


def _sizes(values: F64) -> F64:  # [I, C] -> [I, SIZES] of unit variance
    values = values - values.mean(axis=0)
    order = np.linalg.svd(values, full_matrices=False)
    return np.asarray(order[0][:, :SIZES] * np.sqrt(len(values)))


def _other_side(name: str) -> str:
    swapped = {"Left": "Right", "Right": "Left"}
    return next((name.removesuffix(a) + b for a, b in swapped.items() if name.endswith(a)), name)


def report(neutral: F64, expression: F64, known: NeutralModel, head: HeadModel) -> str:
    """Width of the neutral mouth of those who smile and of those who don't, before and after."""
    rig = landmark_rig(head)
    after = neutral.copy()
    after[:, known.moved] -= np.tensordot(expression[:, known.keys], known.fields, 1)
    smile = expression[:, [head.blendshape_names.index(f"mouthSmile{side}") for side in ("Left", "Right")]].mean(axis=1)
    rows = [f"{len(neutral)} held-out portraits; width of the neutral mouth"]
    for name, heads in (("as it was fitted", neutral), ("at rest", after)):
        corners = np.einsum("lk,nlkd->nld", rig.bary, heads[:, rig.corners])[:, LIPS_OUTER[[0, 10]]]
        width = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1) * 1e3
        calm, wide = width[smile < CALM[0]], width[smile > CALM[1]]
        rows.append(f"{name}: {calm.mean():.1f} mm of {len(calm)} calm, {wide.mean():.1f} mm of {len(wide)} smiling")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
