"""Build data/skin_model.npz: the albedo of people, learnt from portraits and complete skins.

    python -m training.skin.build [--data ../shared/data] [--cache DIR] [--limit N]

Only portraits that are not held out (training/splits.py) take part; photos in black and white are left out. The same
inputs give the same model. The portraits are works of the US government in the public domain, the skins are CC0.
Frame: avatar frame. Dims: I people, V vertices, P covered texels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.raster.normals import vertex_normals
from meshlam_core.skin.harmonics import LOBE, basis
from meshlam_core.skin.model import SIDE, SKIN_MODEL, SkinModel, save_skin_model
from meshlam_core.texture.atlas import Atlas, build_atlas
from meshlam_core.texture.fill import smooth_fill
from training.skin.delight import Ground, People, learn, solve
from training.skin.lights import light_prior
from training.skin.scalp import bare_scalp
from training.skin.texels import complete_skins, fine_detail, linear, texel_basis
from training.skin.unwrap import unwrap_all
from training.splits import held_out
from training.synthetic.light import measure_openness

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

DIRECTIONS = 400  # from which is looked what the head shadows of itself
FIRM = 1e3  # how firmly a vertex keeps the colour of its texels
BOUNCED = 0.5  # of the light that a fold shadows
GREY = 0.03  # spread of the channels of the skin's colour up to which a photo is black and white
COSTUME = 5  # the one complete skin that wears make-up, hair and a suit
CLOTHED = ("neck", "scalp")  # collars and hair: there the complete skins alone are believed
BEHIND = 0.2  # of the normal towards the front, below which portraits show of an ear its rim, mixed with the wall
HIDDEN = ("mouth_interior", "eye_sockets")
STEPS = 127.0  # of the stored basis


def main() -> None:
    """Build and report."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--cache", type=Path, default=Path("build/skin"))
    options.add_argument("--limit", type=int, default=10_000, help="portraits at most")
    options.add_argument("--out", type=Path, default=SKIN_MODEL)
    chosen = options.parse_args()
    head = load_head()
    portraits = [path for path in sorted((chosen.data / "portraits").glob("*.jpg")) if not held_out(path.name)]
    kept = unwrap_all(portraits[: chosen.limit], head, chosen.cache / "unwrapped", print)
    model, notes = build(list(kept), chosen.data, chosen.cache, head)
    save_skin_model(model, head, chosen.out, notes)
    print(f"{chosen.out}: {chosen.out.stat().st_size / 1e6:.2f} MB, {notes}")


def build(unwrapped: list[Path], data: Path, cache: Path, head: HeadModel) -> tuple[SkinModel, dict[str, object]]:
    """The model and what is to be told of it."""
    atlas = build_atlas(head, SIDE)
    chosen = [index for index in range(12) if index != COSTUME]
    skins = complete_skins(data, head, chosen, SIDE, cache)
    ground = make_ground(head, atlas, skins)
    people, paths = gather(unwrapped, ground.clothed, atlas)
    model, prior, _ = learn(people, ground, light_prior(data), print)
    fits = [solve(people, index, model, ground, prior)[0] for index in range(len(paths))]
    texel, mean, modes = texel_basis(paths, people, fits, model, ground, skins, atlas)
    scale = np.abs(modes).max(axis=(1, 2)) / STEPS
    detail, tone = fine_detail(data, head, cache)
    skin_model = SkinModel(
        mean=model.mean.astype(np.float32),
        basis=model.basis.astype(np.float32),
        texel=texel.astype(np.int32),
        texel_mean=mean,
        texel_basis=np.round(modes / scale[:, None, None]).astype(np.int8),
        texel_scale=scale,
        detail=detail,
        detail_tone=tone,
        transfer=ground.transfer,
        normals=ground.normals,
        openness=ground.openness,
        describes=ground.skin,
        prior=prior,
    )
    return bare_scalp(skin_model, head), {"portraits": len(paths), "skins": len(chosen), "modes": len(modes)}


def make_ground(head: HeadModel, atlas: Atlas, skins: F32) -> Ground:
    """The template's own shadows, and the complete skins at its vertices."""
    template = torch.from_numpy(head.template.copy())[None]
    normals = vertex_normals(template, torch.from_numpy(head.faces.astype(np.int64)))[0].numpy()
    seen = measure_openness(head, DIRECTIONS)
    cosine = (normals @ seen.directions.T).clip(0)
    # folds light themselves: part of what they shadow comes back from the skin around
    arriving = cosine * (seen.free + BOUNCED * (1 - seen.free))
    transfer = arriving @ basis(seen.directions) * (4 * np.pi / DIRECTIONS) / LOBE
    rows = []
    for skin in skins:
        colour = torch.from_numpy(skin)
        mean, sure = atlas.at_vertices(torch.cat([colour, torch.ones(len(colour), 1)], 1))
        # some triangles are smaller than a texel
        firm = (FIRM * (sure > 0))[:, None].expand(-1, 3)
        whole = linear(smooth_fill(atlas.graph, mean, firm).numpy())
        rows.append((whole + whole[head.mirror]) / 2)
    number = head.parts.index
    behind = (head.part == number("ears")) & (normals[:, 2] < BEHIND)
    return Ground(
        transfer=transfer.astype(np.float32),
        normals=normals,
        openness=BOUNCED + (1 - BOUNCED) * seen.ambient,
        mirror=head.mirror.astype(np.intp),
        skin=atlas.skin_vertex.numpy() & ~np.isin(head.part, [number(name) for name in HIDDEN]),
        face=head.part == number("face"),
        clothed=neck_and_scalp(head) | behind,
        behind_ears=behind,
        complete=np.stack(rows).astype(np.float64),
    )


def neck_and_scalp(head: HeadModel) -> NDArray[np.bool_]:  # [V]
    """Where portraits show collars and hair."""
    return np.isin(head.part, [head.parts.index(name) for name in CLOTHED])


def gather(
    unwrapped: list[Path],
    clothed: NDArray[np.bool_],  # [V] where nothing is believed
    atlas: Atlas,
) -> tuple[People, list[Path]]:
    """The portraits in colour, at the vertices."""
    colours, weights, normals, paths = [], [], [], []
    for path in unwrapped:
        with np.load(path, allow_pickle=False) as stored:
            if float(np.ptp(stored["skin_colour"])) < GREY:
                continue
            mean, sure = atlas.at_vertices(torch.from_numpy(stored["skin"].astype(np.float32) / 255))
            bare = (1 - stored["cover"].astype(np.float32)) * (1 - 2 * mean[:, 3].numpy()).clip(0) * ~clothed
            normals.append(stored["normals"].astype(np.float32))
        colours.append(linear(mean[:, :3].numpy()))
        weights.append(sure.numpy() * bare)
        paths.append(path)
    return People(np.stack(colours), np.stack(weights).astype(np.float32), np.stack(normals)), paths


if __name__ == "__main__":
    main()
