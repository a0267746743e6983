"""How well each of the 52 expression keys is recovered: people are drawn with one key set, and tracked again.

    python -m training.bench.expressions [--photos FOLDER] [--limit N]

Avatars are made from photos of people, drawn through a camera before their face at rest and with each key at STRENGTH,
and seen by the real detector. A key's figure is the change of its own coefficient against the face at rest, divided by
STRENGTH: 1 is recovered, 0 unseen; medians over people. `photo` fits each picture by itself, `clip` knows the person
from all pictures, as the tracker of clips does. `beside` is the largest change of any other key in the clip's fit.
A tongue comes out of an open mouth: with it the jaw is opened by JAW.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES
from meshlam_core.errors import MeshlamError
from meshlam_core.pipeline import ReconstructOptions, Session, reconstruct
from meshlam_core.tracker.clip_fit import fit_person
from meshlam_core.tracker.fit import HeadFitter, clip_fitter, head_fitter
from meshlam_core.tracker.landmarks import choose_face, face_centre
from meshlam_core.tracker.track import follow, key_frames
from meshlam_core.tracker.types import Detection
from training.bench.markdown import print_head, print_row
from training.bench.tracker import DATA, spread
from training.expressions.sitter import SIDE, Sitter

F64 = NDArray[np.float64]

STRENGTH = 0.8
JAW = 0.3


@dataclass(frozen=True)
class Recovered:
    """The coefficients found for one person."""

    photo: F64  # [1 + 52, K] at rest, then with each key
    clip: F64  # [1 + 52, K]


def recover(sitter: Sitter, session: Session) -> Recovered:
    """Draw a person with each key, and track the pictures."""
    fitter = head_fitter(session.head)
    detections: list[Detection] = []
    for settings in [{}, *map(with_company, ARKIT_NAMES)]:
        picture = sitter.picture(settings)
        found = choose_face(session.detector.detect(picture, every=False))
        detections.append(session.detector.refine(picture, found))
    photo = np.array([fitter.fit(detection, (SIDE, SIDE)).expression for detection in detections])
    return Recovered(photo, as_clip(clip_fitter(session.head), detections))


def with_company(key: str) -> dict[str, float]:
    """What is set to show a key."""
    return {key: STRENGTH} | ({"jawOpen": JAW} if key == "tongueOut" else {})


def as_clip(fitter: HeadFitter, detections: list[Detection]) -> F64:  # [M, K]
    """Pictures of one person, tracked as frames of a clip."""
    centre = np.median([face_centre(detection) for detection in detections], axis=0)
    person, start = fit_person(fitter, key_frames(fitter, detections), centre)
    faces, _ = follow(fitter, person, detections, start, centre)
    return np.array([face.expression for face in faces])


def figures(people: list[Recovered], names: tuple[str, ...]) -> list[tuple[str, float, float, str, float]]:
    """Key, recovered in photos, in clips, the key that changes most beside it and by how much; medians."""
    rows = []
    for row, key in enumerate(ARKIT_NAMES, start=1):
        at = names.index(key)
        photo, clip = (
            np.median([(one[row] - one[0]) / STRENGTH for one in kind], axis=0)
            for kind in ([p.photo for p in people], [p.clip for p in people])
        )
        others = clip.copy()
        others[at] = 0.0
        worst = int(np.abs(others).argmax())
        rows.append((key, float(photo[at]), float(clip[at]), names[worst], float(others[worst])))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=DATA / "hires")
    parser.add_argument("--limit", type=int, default=12, help="at most this many people")
    arguments = parser.parse_args()
    session = Session.open(ReconstructOptions(weights="none"))
    people = []
    for path in spread(sorted(arguments.photos.glob("*.jpg")), arguments.limit):
        avatar = reconstruct(path, replace(ReconstructOptions(), weights="none"), session).avatar
        try:
            people.append(recover(Sitter(avatar), session))
        except MeshlamError as error:
            print(f"{path.name}: {error}")
    print_head("key", "photo", "clip", "beside")
    rows = figures(people, head_fitter(session.head).rig.names)
    for key, photo, clip, other, value in rows:
        print_row(key, f"{photo:.2f}", f"{clip:.2f}", f"{other} {value:+.2f}")
    for title, kind in (("photo", 1), ("clip", 2)):
        values = np.array([row[kind] for row in rows], float)
        print(f"\n{title}: {int((values >= 0.5).sum())} of 52 at least half recovered, median {np.median(values):.2f}")


if __name__ == "__main__":
    main()
