"""The tone of a whole head's skin, judged from what a photo shows and what light and skin were told apart as.

One photo shows albedo times light: how bright the skin is is settled by priors alone, and a Gaussian on the strength of
the light lets dark skins come out too pale and pale ones too dark. What people are like under which photographs is
no Gaussian: a small network has learnt it from drawn people (training/skin/tone.py).

Colours are linear, their logarithms natural. Dims: F = 9 cues, H hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.errors import AssetError
from meshlam_core.files.npz import checked_array, read_npz, readable
from meshlam_core.skin.fit import LightFit, Points, shading

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

TONE_MODEL = Path(__file__).resolve().parent.parent / "data" / "skin_tone.npz"
FORMAT, VERSION = "meshlam-skin-tone", 1
CUES = 9
FARTHEST = 3.0  # standard deviations to which a cue is believed
HUE = 0.5  # of the judged hue that is taken: it comes from twelve skins, the fit's from all portraits
ARRAYS = {
    "centre": "9",
    "scale": "9",
    "inner": "9 H",
    "inner_bias": "H",
    "outer": "H 3",
    "outer_bias": "3",
    "doubt": "2",
}


@dataclass(frozen=True)
class ToneModel:
    """A network of one hidden layer."""

    centre: F64  # [9] mean of each cue
    scale: F64  # [9] and its standard deviation
    inner: F64  # [9, H]
    inner_bias: F64  # [H]
    outer: F64  # [H, 3]
    outer_bias: F64  # [3]
    doubt: F64  # [2] standard deviation of the tone's logarithm; second where the white of the eyes was seen

    def judge(self, cues: F64) -> F64:  # [..., 9] -> [..., 3] logarithm of the albedo
        """The tone that skin with these cues has."""
        told = ((cues - self.centre) / self.scale).clip(-FARTHEST, FARTHEST)
        return np.asarray(np.tanh(told @ self.inner + self.inner_bias) @ self.outer + self.outer_bias)


def cues(points: Points, fit: LightFit) -> F64:  # [9]
    """Brightness and two differences of the channels: of the skin as it shows, of the person, of the light."""
    shown = np.median(points.colour, axis=0)
    person = (points.mean + np.tensordot(fit.coefficients, points.basis, 1)).mean(axis=0)
    lit = np.log(shading(points.transfer, fit.light)).mean(axis=0)
    return np.concatenate([[three.mean(), three[0] - three[1], three[1] - three[2]] for three in (shown, person, lit)])


def with_tone(fit: LightFit, points: Points, model: ToneModel) -> LightFit:
    """The same light but for its strength and tint, and the same person in the tone that is judged."""
    bare = np.median(points.colour - np.log(shading(points.transfer, fit.light)), axis=0)
    shift = model.judge(cues(points, fit)) - bare
    shift = shift.mean() + HUE * (shift - shift.mean())
    doubt = float(model.doubt[int(points.white is not None)])
    return replace(fit, light=fit.light * np.exp(-shift), paler=fit.paler + shift, tone_doubt=doubt)


@cache
def load_tone_model(path: Path = TONE_MODEL) -> ToneModel:
    """What is shipped; AssetError where the file is missing or damaged."""
    label, advice = f"The model of the skin's tone {path}", "Rebuild it with `python -m training.skin.tone`."
    with readable(label, advice):
        header, arrays = read_npz(path)
    if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
        raise AssetError(f"Expected a {FORMAT} file of version {VERSION}, got {path}.", advice)
    sizes = {"9": CUES, "3": 3, "2": 2}
    return ToneModel(
        **{name: checked_array(arrays, name, shape, np.float64, sizes, label) for name, shape in ARRAYS.items()}
    )
