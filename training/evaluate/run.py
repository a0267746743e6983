"""`meshlam evaluate`: photos and clips in, one report out (JSON for programs, one HTML file for people).

Three rows everywhere: the tracker alone, the hull fit and, where there are weights, the network; where they are asked
for, Gaussians on the last one's mesh and the paper's peers (painters.py). What fails is counted and named, never
dropped.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshlam_core.assets import asset_path
from meshlam_core.commands.sessions import Sessions
from meshlam_core.errors import AssetError, UnreadableInput, UsageError
from meshlam_core.files.images import CLIP_SUFFIXES, PHOTO_SUFFIXES
from meshlam_core.model.files import choose_weights
from meshlam_core.pipeline import ReconstructOptions, Session
from meshlam_core.progress import Progress
from training.evaluate.clip import ClipResult, measure_clip
from training.evaluate.identity import FaceIdentity
from training.evaluate.inception import VARIABLE, Inception
from training.evaluate.likeness import Critics, Likeness
from training.evaluate.painters import MeshWay, Way, find_ways, learnt_by, open_peers
from training.evaluate.paper import DIFFERENCES, PAPER
from training.evaluate.photo import PhotoResult, measure_photo
from training.evaluate.sheets import frame_strip, person_strip
from training.evaluate.styles import Styles, measure_styles
from training.evaluate.summary import (
    ClipSummary,
    PhotoSummary,
    summarise_clip,
    summarise_clips,
    summarise_photos,
)
from training.evaluate.teachers import HairTeacher, PersonTeacher
from training.evaluate.truth import HeadTruth, Judges
from training.evaluate.variants import variants
from training.lpips import Lpips

TEACHERS = "MESHLAM_TEACHERS"  # environment variable that names the teachers' folder
TEACHERS_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "teachers"
SHOWN_FRAMES = 3  # of a clip, in the report

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Work:
    """What is to be measured, and how."""

    photos: tuple[Path, ...]
    clips: tuple[Path, ...]
    options: ReconstructOptions
    every: int  # of the clips' frames
    pictures: int  # photos that are shown in the report
    gaussians: int = 0  # on the last mesh, in a row of their own; 0: no such row
    peers: tuple[Path, ...] = ()  # their weights
    known: int = 0  # drawn heads of each held-out hairstyle, whose shape is compared


@dataclass
class HeadReport:
    """All that was measured of one kind of head."""

    photos: list[PhotoResult] = field(default_factory=list)
    clips: list[ClipResult] = field(default_factory=list)
    strips: list[U8] = field(default_factory=list)  # pictures for people
    drawn: str = ""  # what is drawn
    learnt: str = ""  # what it was trained with
    styles: Styles = field(default_factory=dict)  # heads whose shape is known
    seconds: list[float] = field(default_factory=list)  # that each photo or clip took, all measuring included

    def photo_summary(self) -> PhotoSummary:
        """Means over the photos."""
        return summarise_photos(self.photos)

    def clip_summary(self) -> ClipSummary:
        """Means over the clips."""
        return summarise_clips(self.clips)

    def failures(self) -> list[tuple[Path, str]]:
        """What could not be made or measured, and why."""
        photos = [(result.path, result.failure) for result in self.photos]
        return [(path, why) for path, why in photos + [(clip.path, clip.failure) for clip in self.clips] if why]


@dataclass(frozen=True)
class Evaluation:
    """The whole measurement."""

    heads: dict[str, HeadReport]
    remarks: tuple[str, ...]  # what could not be measured, and why


def find_sources(sources: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[Path, ...]]:  # photos, clips
    """Photos and clips among files and in folders; files named by the user that are neither count as clips."""
    photos, clips = [], []
    for source in sources:
        if source.is_dir():
            inside = sorted(path for path in source.iterdir() if path.is_file())
            photos += [path for path in inside if path.suffix.lower() in PHOTO_SUFFIXES]
            clips += [path for path in inside if path.suffix.lower() in CLIP_SUFFIXES]
        elif source.is_file():
            (photos if source.suffix.lower() in PHOTO_SUFFIXES else clips).append(source)
        else:
            raise UnreadableInput(f"There is no file or folder {source}.", "Check the path.")
    if not photos and not clips:
        raise UsageError("There are neither photos nor clips to evaluate.", "Name photos, clips or folders of them.")
    return tuple(photos), tuple(clips)


def evaluate(work: Work, teachers: Path | None, progress: Progress) -> Evaluation:
    """Measure everything with every kind of head."""
    heads: dict[str, HeadReport] = {}
    sessions = Sessions()
    meshes = variants(work.options)
    weights = choose_weights(work.options.preset, work.options.weights) if "network" in meshes else None
    peers, notes = open_peers(work.peers, sessions.get(meshes["hull"]).head)
    notes |= {} if weights is None else {"network": learnt_by(weights)}
    ways = find_ways(meshes, work.gaussians, peers, notes)
    remarks = [] if "network" in ways else ["There are no weights of the network: its rows are left out."]
    critics, unknown = open_critics(teachers)
    remarks += unknown
    judges: Judges | None = None
    total, done = len(ways) * (len(work.photos) + len(work.clips)), 0
    for name, way in ways.items():
        session = sessions.get(way.options)
        judges = judges or open_judges(teachers, session)
        drawn, learnt = way.budget()
        report = heads[name] = HeadReport(drawn=drawn, learnt=learnt)
        for source in (*work.photos, *work.clips):
            progress("evaluating", done / total, f"{name}, {source.name}")
            done += 1
            started = time.monotonic()
            if source in work.photos:
                _photo(report, source, way, session, judges, critics, len(report.photos) < work.pictures)
            else:
                _clip(report, source, way, session, judges, critics, work.every)
            report.seconds.append(time.monotonic() - started)
    if work.known:
        progress("evaluating", 1.0, "heads of known shape")
        opened = {name: sessions.get(options) for name, options in meshes.items()}
        for name, styles in measure_styles(teachers_folder(teachers).parent, meshes, opened, work.known).items():
            heads[name].styles = styles
    else:
        remarks.append("Millimetres are left out: --known names how many heads of known shape are drawn a hairstyle.")
    return Evaluation(heads, tuple(remarks))


def _photo(
    report: HeadReport,
    path: Path,
    way: Way,
    session: Session,
    judges: Judges,
    critics: Critics,
    shown: bool,
) -> None:
    result = measure_photo(path, way.options, session, judges, critics, way.painter)
    if shown and isinstance(way, MeshWay):
        report.strips.append(person_strip(result))
    elif shown:  # the mesh's other sides are not what was measured
        pair = [(result.truth, result.rendering)] if result.truth and result.rendering is not None else []
        report.strips.append(frame_strip(path.name, pair))
    report.photos.append(replace(result, truth=None, rendering=None, avatar=None))  # an avatar takes 10 MB


def _clip(
    report: HeadReport,
    path: Path,
    way: Way,
    session: Session,
    judges: Judges,
    critics: Critics,
    every: int,
) -> None:
    shown: list[tuple[HeadTruth, U8]] = []

    def keep(index: int, truth: HeadTruth, rendering: U8) -> None:
        if len(shown) < SHOWN_FRAMES:
            shown.append((truth, rendering))

    report.clips.append(measure_clip(path, way.options, session, judges, critics, every, keep, way.painter))
    report.strips.append(frame_strip(path.name, shown))


def teachers_folder(named: Path | None) -> Path:
    """Where the teachers lie: as named, as the environment says, or in the documented data folder."""
    return named or Path(os.environ.get(TEACHERS) or TEACHERS_FOLDER)


def open_judges(teachers: Path | None, session: Session) -> Judges:
    """The networks that know the truth; AssetError without the hair segmenter."""
    model = teachers_folder(teachers) / "hair_segmentation.tflite"
    hair = HairTeacher.open(model)
    if hair is None:
        hint = f"Put Google's hair segmenter there, or name its folder with --teachers or {TEACHERS}."
        raise AssetError(f"The hair segmenter, which says where the hair is, is not at {model}.", hint)
    return Judges(session.detector, hair, PersonTeacher(asset_path("selfie_segmentation")))


def open_critics(teachers: Path | None) -> tuple[Critics, list[str]]:
    """The networks that compare, and a sentence for each that is missing."""
    remarks = []
    weights = teachers_folder(teachers) / "lpips_alexnet.npz"
    lpips = Lpips.open(weights) if weights.is_file() else None
    if lpips is None:
        remarks.append(f"LPIPS is left out: its weights are not at {weights}.")
    identity, inception = FaceIdentity.open(), Inception.open()
    if identity is None:
        remarks.append("CSIM is left out: dlib and its model are not installed (pip install 'meshlam[evaluate]').")
    if inception is None:
        remarks.append(f"FID is left out: {VARIABLE} names no file of the Inception network.")
    return Critics(lpips, identity, inception), remarks


def as_json(evaluation: Evaluation, work: Work) -> dict[str, Any]:
    """Everything that was measured, as plain data; null where nobody knows."""
    heads = {
        name: {
            "drawn": report.drawn,
            "learnt": report.learnt,
            "seconds": report.seconds,
            "photos": asdict(report.photo_summary()) if report.photos else None,
            "clips": asdict(report.clip_summary()) if report.clips else None,
            "styles": {
                style: [None if one is None else asdict(one) for one in scores]
                for style, scores in report.styles.items()
            },
            "photo": {str(result.path): _photo_data(result) for result in report.photos},
            "clip": {str(result.path): _clip_data(result) for result in report.clips},
        }
        for name, report in evaluation.heads.items()
    }
    failures = [
        {"heads": name, "source": str(path), "reason": why}
        for name, report in evaluation.heads.items()
        for path, why in report.failures()
    ]
    data = {
        "heads": heads,
        "failures": failures,
        "remarks": list(evaluation.remarks),
        "every": work.every,
        "paper": [asdict(row) for row in PAPER],
        "differences": list(DIFFERENCES),
    }
    plain: dict[str, Any] = _plain(data)
    return plain


def _photo_data(result: PhotoResult) -> dict[str, Any]:
    return {
        "scores": asdict(result.scores) if result.scores else None,
        "likeness": _likeness_data(result.likeness) if result.likeness else None,
        "faults": asdict(result.faults) if result.faults else None,
        "failure": result.failure,
    }


def _clip_data(result: ClipResult) -> dict[str, Any]:
    frames = [asdict(frame.view) | _likeness_data(frame.likeness) for frame in result.frames]
    return asdict(summarise_clip(result)) | {"failure": result.failure, "frame": frames}


def _likeness_data(likeness: Likeness) -> dict[str, Any]:
    return {name: value for name, value in vars(likeness).items() if name != "features"}


def _plain(value: Any) -> Any:
    """JSON knows no nan."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
