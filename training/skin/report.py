"""How well the skin model describes people that it has never seen.

    python -m training.skin.report [--data ../shared/data] [--cache DIR]

The portraits that are held out are taken apart into light and skin as any photo; what the modes leave of the skin, on
the vertices that are seen, is compared with what the mean alone leaves. Both sides of a face count as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from meshlam_core.head.io import load_head
from meshlam_core.skin.fit import Points, fit_light, shading
from meshlam_core.skin.model import SIDE, load_skin_model
from meshlam_core.texture.atlas import build_atlas
from training.skin.build import gather, neck_and_scalp
from training.skin.unwrap import unwrap_all
from training.splits import held_out

SEEN = 0.3  # weight from which a vertex counts


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data")
    options.add_argument("--cache", type=Path, default=Path("build/skin"))
    chosen = options.parse_args()
    head = load_head()
    skin = load_skin_model(head)
    assert skin is not None
    portraits = [path for path in sorted((chosen.data / "portraits").glob("*.jpg")) if held_out(path.name)]
    kept = list(unwrap_all(portraits, head, chosen.cache / "unwrapped", lambda text: None))
    people, paths = gather(kept, neck_and_scalp(head), build_atlas(head, SIDE))
    left, whole, doubts = 0.0, 0.0, []
    for colour, weight, normals in zip(people.colour, people.weight, people.normals, strict=True):
        rows = np.flatnonzero((weight > SEEN) & skin.describes)
        transfer = skin.transfer_of(normals)[rows]
        points = Points(colour[rows], weight[rows], transfer, skin.mean[rows], skin.basis[:, rows])
        fit = fit_light(points, skin.prior)
        bare = colour[rows] - np.log(shading(transfer, fit.light))
        share = weight[rows, None] * fit.robust[:, None]
        left += float((share * (bare - skin.vertices_of(fit.coefficients)[rows]) ** 2).sum() / share.sum())
        whole += float((share * (bare - skin.mean[rows]) ** 2).sum() / share.sum())
        doubts.append(fit.tone_doubt)
    print(
        f"{len(paths)} held-out portraits in colour: {len(skin.basis)} modes keep {1 - left / whole:.3f} of the ",
        end="",
    )
    print(f"variance about the mean, {np.sqrt(left / len(paths) / 3):.3f} of the logarithm is left; ", end="")
    print(f"uncertainty of the tone {np.median(doubts):.2f}")


if __name__ == "__main__":
    main()
