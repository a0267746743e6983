from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.cli import main
from meshlam_core.errors import UnreadableInput, UsageError
from meshlam_core.pipeline import ReconstructOptions
from training.evaluate.clip import ClipResult, FrameScores
from training.evaluate.geometry import GeometryScores, Millimetres
from training.evaluate.likeness import Likeness
from training.evaluate.mesh import MeshFaults
from training.evaluate.photo import PhotoResult, PhotoScores
from training.evaluate.report import html_report, plot
from training.evaluate.run import Evaluation, HeadReport, Work, as_json, find_sources
from training.evaluate.styles import HELD_OUT
from training.evaluate.summary import CLIP_TITLES, cells, summarise_clips, summarise_photos

NAN = float("nan")


def photo(head: float, hair: float = 0.5, failure: str = "") -> PhotoResult:
    faults = None if failure else MeshFaults(2, 13.0, 1, 0)
    return PhotoResult(Path(f"{head}.jpg"), PhotoScores(head, hair, 0.9, 30.0, 0.95), failure, faults=faults)


def clip(name: str, lpips: list[float], failure: str = "") -> ClipResult:
    view = PhotoScores(20.0, 0.8, 0.9, 25.0, 0.95)
    frames = tuple(
        FrameScores(view, Likeness(0.7, 0.9, value, 3.0, NAN, index > 0)) for index, value in enumerate(lpips)
    )
    return ClipResult(Path(name), frames, 1, failure)


def evaluation() -> Evaluation:
    report = HeadReport(
        [photo(20.0), photo(5.0, failure="No face <here>.")],
        [clip("a.mp4", [0.1, 0.3])],
        [np.zeros((4, 6, 3), np.uint8)],
    )
    return Evaluation({"tracker": report}, ("FID is left out.",))


def test_a_failed_photo_is_counted_and_pulls_the_mean_down() -> None:
    summary = summarise_photos([photo(20.0), photo(30.0), photo(4.0, 0.0, "no face")])
    assert (summary.n, summary.failed) == (3, 1)
    assert summary.head == pytest.approx(18)
    assert summary.hair == pytest.approx(1 / 3)
    assert summary.needles == 2  # of the heads that there are


def test_a_photo_without_hair_does_not_make_the_mean_unknown() -> None:
    assert summarise_photos([photo(20.0, NAN), photo(20.0, 0.8)]).hair == pytest.approx(0.8)


def test_every_clip_counts_the_same_however_long_it_is() -> None:
    summary = summarise_clips([clip("a.mp4", [0.1, 0.1, 0.1]), clip("b.mp4", [0.3], "cut off")])
    assert summary.lpips == pytest.approx(0.2)
    assert (summary.frames, summary.failed, summary.faceless, summary.lost) == (4, 1, 2, 2)
    assert cells(summary, CLIP_TITLES)[list(CLIP_TITLES).index("csim")] == ""  # nobody asked


def test_the_report_is_json_with_null_for_what_nobody_knows() -> None:
    work = Work((Path("20.0.jpg"),), (Path("a.mp4"),), ReconstructOptions(), 10, 1)
    data = json.loads(json.dumps(as_json(evaluation(), work), allow_nan=False))
    tracker = data["heads"]["tracker"]
    assert tracker["photos"]["failed"] == 1
    assert tracker["clips"]["csim"] is None
    assert [frame["lpips"] for frame in tracker["clip"]["a.mp4"]["frame"]] == [0.1, 0.3]
    assert data["failures"] == [{"heads": "tracker", "source": "5.0.jpg", "reason": "No face <here>."}]
    assert data["paper"][2]["psnr"] == 25.233


def test_the_page_holds_tables_plots_pictures_failures_and_the_papers_rows() -> None:
    page = html_report(evaluation())
    for text in (
        "hair covered",
        "MeshLAM + UNet",
        "ours: tracker",
        "<svg",
        "data:image/jpeg;base64,",
        "FID is left out",
    ):
        assert text in page
    assert "5.0.jpg: No face &lt;here&gt;." in page
    assert "http" not in page.replace("http-equiv", "")  # nothing is loaded from elsewhere


def test_the_page_tells_millimetres_front_and_back_and_heads_without_an_avatar() -> None:
    distances = [Millimetres(float(k), 10.0 + k) for k in range(7)]
    scores = GeometryScores(*distances, silhouettes={"front": 0.91, "side": 0.82, "back": 0.73})
    report = HeadReport(styles={"bob": [scores, None], HELD_OUT: [scores, None]})
    page = html_report(Evaluation({"hull": report}, ()))
    assert "<th>hair, front</th><th>hair, back</th>" in page
    row = page.split("<td>bob</td>")[1].split("</tr>")[0]
    cells = row.replace("<td>", " ").replace("</td>", " ").split()
    assert cells[:6] == ["hull", "2", "1", "0.0", "/", "10.0"]
    assert "4.0 / 14.0" in row  # the back's
    assert "0.730" in row


def test_a_plot_spans_its_values_and_leaves_out_what_is_unknown() -> None:
    drawing = plot("x", {"hull": [1.0, math.nan, 3.0]})
    points = drawing.split('points="')[1].split('"')[0].split()
    assert len(points) == 2
    assert float(points[0].split(",")[1]) > float(points[1].split(",")[1])  # larger values are higher up
    assert plot("x", {"hull": []}) == ""


def test_photos_and_clips_are_told_apart_by_their_suffix(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.PNG", "c.mp4", "SOURCES.txt"):
        (tmp_path / name).write_bytes(b"")
    photos, clips = find_sources([tmp_path, tmp_path / "c.mp4"])
    assert [path.name for path in photos] == ["a.PNG", "b.jpg"]
    assert [path.name for path in clips] == ["c.mp4", "c.mp4"]


def test_nothing_to_evaluate_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither photos nor clips"):
        find_sources([tmp_path])
    with pytest.raises(UnreadableInput, match="There is no file or folder"):
        find_sources([tmp_path / "missing"])


def test_the_command_counts_a_picture_without_a_face(
    shared_data: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    sources = [str(shared_data / "negatives" / "s23.jpg"), str(next((shared_data / "hires").glob("*.jpg")))]
    assert main(["evaluate", *sources, "-o", str(out), "--pictures", "2"]) == 0
    data = json.loads(out.read_text())
    for heads in ("tracker", "hull"):
        summary = data["heads"][heads]["photos"]
        assert (summary["n"], summary["failed"]) == (2, 1)
        assert summary["head"] > 10
    assert "No face was found" in capsys.readouterr().out
    assert out.with_suffix(".html").stat().st_size > 50_000


def test_a_missing_hair_segmenter_is_told_in_one_sentence(
    portrait_file: Path, assets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["evaluate", str(portrait_file), "-o", str(tmp_path / "r.json"), "--teachers", str(tmp_path)])
    assert code == 4
    assert "The hair segmenter, which says where the hair is, is not at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
