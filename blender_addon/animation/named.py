"""Expressions and visemes by name, as mixes of the 52; and the artist's own, kept for all files. Knows no Blender.

The 15 visemes are those of Oculus' lip sync (sil, PP, FF, TH, DD, kk, CH, SS, nn, RR, aa, E, I, O, U), which other
programs for avatars use, too.
"""

from __future__ import annotations

import json
from pathlib import Path

Mix = dict[str, float]


def both(name: str, value: float) -> Mix:
    """The same on both sides."""
    return {f"{name}Left": value, f"{name}Right": value}


EMOTIONS: dict[str, Mix] = {
    "happy": both("mouthSmile", 0.8) | both("cheekSquint", 0.5) | both("eyeSquint", 0.2),
    "angry": both("browDown", 0.9) | both("noseSneer", 0.5) | both("mouthPress", 0.4) | both("eyeSquint", 0.3),
    "sad": {"browInnerUp": 0.8} | both("mouthFrown", 0.7) | {"mouthShrugLower": 0.3},
    "relaxed": both("mouthSmile", 0.3) | both("eyeBlink", 0.3),
    "surprised": {"browInnerUp": 0.7, "jawOpen": 0.4} | both("browOuterUp", 0.8) | both("eyeWide", 0.7),
}
EXPRESSIONS: dict[str, Mix] = EMOTIONS | {
    "afraid": {"browInnerUp": 0.9, "jawOpen": 0.15} | both("eyeWide", 0.8) | both("mouthStretch", 0.6),
    "disgusted": both("noseSneer", 0.9) | both("mouthUpperUp", 0.5) | both("browDown", 0.5) | both("eyeSquint", 0.4),
    "doubtful": {"browOuterUpLeft": 0.9, "browDownRight": 0.7, "mouthLeft": 0.3} | both("mouthPress", 0.3),
    "smirk": {"mouthSmileLeft": 0.7, "cheekSquintLeft": 0.4, "mouthDimpleLeft": 0.3},
    "kiss": {"mouthPucker": 1.0} | both("eyeBlink", 0.2),
    "blink": both("eyeBlink", 1.0),
    "wink": {"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.5, "mouthSmileLeft": 0.3},
}
VISEMES: dict[str, Mix] = {
    "sil": {},
    "PP": both("mouthPress", 0.5) | {"mouthRollLower": 0.4, "mouthRollUpper": 0.4},
    "FF": {"mouthRollLower": 0.7, "jawOpen": 0.05} | both("mouthUpperUp", 0.4),
    "TH": {"jawOpen": 0.2, "tongueOut": 0.4} | both("mouthLowerDown", 0.3),
    "DD": {"jawOpen": 0.15} | both("mouthLowerDown", 0.35) | both("mouthUpperUp", 0.2),
    "kk": {"jawOpen": 0.25} | both("mouthLowerDown", 0.2) | both("mouthStretch", 0.15),
    "CH": {"jawOpen": 0.1, "mouthFunnel": 0.7} | both("mouthUpperUp", 0.2),
    "SS": {"jawOpen": 0.05} | both("mouthStretch", 0.4) | both("mouthLowerDown", 0.4) | both("mouthUpperUp", 0.2),
    "nn": {"jawOpen": 0.15} | both("mouthLowerDown", 0.25) | both("mouthDimple", 0.2),
    "RR": {"jawOpen": 0.15, "mouthFunnel": 0.45, "mouthPucker": 0.2},
    "aa": {"jawOpen": 0.6},
    "E": {"jawOpen": 0.3} | both("mouthStretch", 0.4) | both("mouthSmile", 0.15),
    "I": {"jawOpen": 0.15} | both("mouthSmile", 0.3) | both("mouthStretch", 0.5),
    "O": {"jawOpen": 0.4, "mouthFunnel": 0.7},
    "U": {"jawOpen": 0.15, "mouthPucker": 0.8},
}
_FILE = "expressions.json"


def own_expressions(folder: Path) -> dict[str, Mix]:
    """The artist's expressions in the data folder; what cannot be read is as if it were not there."""
    try:
        stored = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return {str(name): {str(key): float(value) for key, value in mix.items()} for name, mix in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep_expressions(folder: Path, expressions: dict[str, Mix]) -> None:
    """Write the artist's expressions whole, or leave the file as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{_FILE}.part"
    part.write_text(json.dumps(expressions, ensure_ascii=False, indent=1), encoding="utf-8")
    part.replace(folder / _FILE)
