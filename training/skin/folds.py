"""Build data/folds.npz: the contrasts of people's skin, and what smiling and squinting do to them.

    python -m training.skin.folds [--data ../shared/data] [--cache DIR]

Every portrait that is not held out is taken apart into light and skin; the contrast of each texel with the skin around
it is regressed on the smile and the squint of its own side, and so is the square of what that leaves: one ridge
regression a texel, both sides of every face together. The result is masked to where the keys move the skin, since
people who smile more also have other brows and beards.

Contrasts are natural logarithms of linear colours. Dims: I portraits, P covered texels, R texels of the face, G groups.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.fingerprint import layout_digest
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.skin.fit import Points, fit_light, shading
from meshlam_core.skin.model import SIDE, SkinModel, load_skin_model
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.folds import FOLD_MODEL, GROUPS, FoldModel, contrast, save_fold_model
from meshlam_core.tracker.ramps import smooth_step
from training.skin.build import gather, neck_and_scalp
from training.skin.texels import linear
from training.skin.unwrap import unwrap_all
from training.splits import held_out

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHOWN = 0.1  # weight from which a vertex is used
ENOUGH = 900  # of them
FACE = 0.6  # share of the face from which a texel belongs to it: lips and lids have a contrast of their own
WILD = 1.5  # of the logarithm: larger contrasts are no skin
RIDGE = (0.1, 5.0)  # how many people's word is worth no contrast, and no dependence
REACH = {"smile": (0.0003, 0.002), "squint": (0.0001, 0.0008)}  # m of a key's movement between which it counts
ALSO = {"smile": ("mouthUpperUpLeft", "mouthUpperUpRight"), "squint": ("cheekSquintLeft", "cheekSquintRight")}
RIM = 1.5  # texels over which a fold fades towards lips and lids
LEAST = 0.01  # variance of a contrast among people, at least
SMOOTH = 1.0  # texels, of the variances
MIDDLE = 0.008  # m from the middle of the face to the side, within which both sides' keys count


def main() -> None:
    """Build."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--cache", type=Path, default=Path("build/skin"))
    options.add_argument("--out", type=Path, default=FOLD_MODEL)
    chosen = options.parse_args()
    head = load_head()
    skin = load_skin_model(head)
    assert skin is not None
    portraits = [path for path in sorted((chosen.data / "portraits").glob("*.jpg")) if not held_out(path.name)]
    kept = list(unwrap_all(portraits, head, chosen.cache / "unwrapped", print))
    atlas = build_atlas(head, SIDE)
    face = atlas.at_texels(atlas.share("face")[:, None])[:, 0].numpy() > FACE
    shown, weight, paths = contrasts(kept, face, skin, head, atlas)
    known = learn(shown, weight, expressions(paths, head), face, head, atlas)
    save_fold_model(known, layout_digest(head).hexdigest(), chosen.out, {"portraits": len(paths)})
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.2f} MB of {len(paths)} portraits")


def contrasts(
    kept: list[Path], face: Mask, skin: SkinModel, head: HeadModel, atlas: Atlas
) -> tuple[F32, F32, list[Path]]:  # [I, P], [I, P]
    """The contrast of each portrait's skin without its light, and how far it is believed."""
    people, paths = gather(kept, neck_and_scalp(head), atlas)
    shown, believed = np.zeros((len(paths), len(face)), np.float32), np.zeros((len(paths), len(face)), np.float32)
    for index, path in enumerate(paths):
        rows = np.flatnonzero((people.weight[index] > SHOWN) & skin.describes)
        some = rows[:: -(-len(rows) // ENOUGH)]
        transfer = skin.transfer_of(people.normals[index])
        colour, weight = people.colour[index, some], people.weight[index, some]
        fit = fit_light(Points(colour, weight, transfer[some], skin.mean[some], skin.basis[:, some]), skin.prior)
        lit = np.log(shading(transfer, fit.light)).astype(np.float32)
        with np.load(path, allow_pickle=False) as stored:
            seen, cover = stored["skin"].astype(np.float32) / 255, stored["cover"].astype(np.float32)
        bare = (linear(seen[:, :3]) - atlas.at_texels(torch.from_numpy(lit)).numpy()).mean(axis=1)
        bald = 1 - atlas.at_texels(torch.from_numpy(cover)[:, None])[:, 0].numpy()
        believed[index] = seen[:, 4] * bald * (1 - 2 * seen[:, 3]).clip(0) * face
        both = atlas.uv_map.scatter(torch.from_numpy(np.stack([bare, believed[index]], 1))[None])[0]
        found = contrast(both[None, ..., 0], both[..., 1])[0].reshape(-1)
        shown[index] = found[atlas.places.long()].clamp(-WILD, WILD).numpy()
    return shown, believed, paths


def expressions(paths: list[Path], head: HeadModel) -> F64:  # [I, 2, G] left and right
    """The groups' coefficients."""
    found = []
    for path in paths:
        with np.load(path, allow_pickle=False) as stored:
            found.append(stored["expression"])
    columns = [[head.blendshape_names.index(keys[side]) for keys in GROUPS.values()] for side in (0, 1)]
    return np.stack(found)[:, columns].astype(np.float64)


def learn(shown: F32, weight: F32, active: F64, face: Mask, head: HeadModel, atlas: Atlas) -> FoldModel:
    """Moments of the contrast at rest and with each expression."""
    across = atlas.at_texels(torch.from_numpy(head.template.copy()))[:, 0].numpy()
    left = np.flatnonzero(face & (across > 0))
    right = atlas.mirror_texel.numpy()[left]
    ones = np.ones((len(active), 1))
    design = np.concatenate([np.concatenate([ones, active[:, side]], axis=1) for side in (0, 1)])
    values = np.concatenate([shown[:, left], shown[:, right]]).astype(np.float64)
    believed = np.concatenate([weight[:, left], weight[:, right]]).astype(np.float64)
    mean = _regress(design, values, believed)
    spread = _regress(design, (values - design @ mean) ** 2, believed)
    whole = np.zeros((2, 1 + len(GROUPS), len(face)), np.float32)
    for rows in (right, left):
        whole[:, :, rows] = np.stack([mean, spread])
    texel = np.flatnonzero(face)
    rim = _picture(face.astype(np.float32), atlas)
    rim = cv2.GaussianBlur(cv2.erode(rim, np.ones((3, 3))), (0, 0), RIM) * rim
    masks = np.stack([_picture(_share(name, head, atlas), atlas) * rim for name in GROUPS])
    smooth = [cv2.GaussianBlur(_picture(row.clip(0), atlas), (0, 0), SMOOTH) for row in whole[1]]
    at = atlas.places.numpy()[texel]
    return FoldModel(
        texel=at.astype(np.int32),
        rest=whole[0, 0, texel],
        rest_spread=smooth[0].ravel()[at].clip(LEAST),
        left=smooth_step(across[texel], -MIDDLE, MIDDLE).astype(np.float32),
        mean=np.stack([whole[0, 1 + g, texel] * masks[g].ravel()[at] for g in range(len(GROUPS))]),
        spread=np.stack([(smooth[1 + g] * masks[g]).ravel()[at] for g in range(len(GROUPS))]),
    )


def _regress(design: F64, values: F64, weight: F64) -> F64:  # [2 I, D], [2 I, R], [2 I, R] -> [D, R]
    ridge = np.diag([RIDGE[0]] + [RIDGE[1]] * (design.shape[1] - 1))
    left = np.einsum("ir,ij,ik->rjk", weight, design, design, optimize=True) + ridge
    right = np.einsum("ir,ij->rj", values * weight, design, optimize=True)
    return np.asarray(np.linalg.solve(left, right[..., None])[..., 0].T)


def _share(name: str, head: HeadModel, atlas: Atlas) -> F32:  # [P]
    """Where a group's keys move the skin."""
    keys = [head.blendshape_names.index(key) for key in (*GROUPS[name], *ALSO[name])]
    reach = np.linalg.norm(head.blendshapes[keys], axis=2).max(axis=0)
    share = smooth_step(reach, *REACH[name]).astype(np.float32)
    return np.asarray(atlas.at_texels(torch.from_numpy(share)[:, None])[:, 0].numpy())


def _picture(values: F32, atlas: Atlas) -> F32:  # [P] -> [SIDE, SIDE]
    return np.asarray(atlas.uv_map.scatter(torch.from_numpy(values)[None, :, None])[0, ..., 0].numpy())


if __name__ == "__main__":
    main()
