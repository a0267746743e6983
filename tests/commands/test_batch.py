"""Many photos at once: which, under which names, what was done before, and the report of all."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from meshlam_core import cli, pipeline
from meshlam_core.avatar.io import read_avatar
from meshlam_core.commands.batch import REPORT, find_photos, name_avatars, reconstruct_files, summary_line, table
from meshlam_core.commands.sessions import Sessions
from meshlam_core.errors import NoFace, UnreadableInput
from meshlam_core.pipeline import Failure, Reconstruction, ReconstructOptions
from meshlam_core.progress import silent
from tests.sample_avatar import make_avatar


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The photos that were worked on. Whatever is called landscape has no face."""
    photos: list[Path] = []

    def reconstruct_many(paths: list[Path], *_: object) -> Any:
        for path in paths:
            photos.append(path)
            if "landscape" in path.name:
                yield Failure(path, NoFace("No face was found.", "Use a portrait."))
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            known = {"photo": path.name, "photo_sha256": digest, "landmark_error": 0.004, "warnings": ["dark <1>"]}
            avatar = make_avatar(8, 12, 32)
            avatar = replace(avatar, provenance=avatar.provenance | known)
            report = {"landmark_error": 0.004, "warnings": ["dark <1>"], "timings": {"total": 1.5}}
            yield Reconstruction(avatar, report)

    monkeypatch.setattr(pipeline, "reconstruct_many", reconstruct_many)
    monkeypatch.setattr(pipeline.Session, "open", lambda options: "a session")
    return photos


def photo(path: Path, shade: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(path, "PNG")
    return path


def run(photos: list[Path], out: Path, **more: Any) -> list[dict[str, Any]]:
    made = reconstruct_files(photos, out, ReconstructOptions(), Sessions(), silent, **more)
    results: list[dict[str, Any]] = made["results"]
    return results


def test_a_photo_given_twice_is_made_once_and_keeps_its_name(made: list[Path], tmp_path: Path, monkeypatch) -> None:
    one, other = photo(tmp_path / "one.png", 1), photo(tmp_path / "other.png", 2)
    monkeypatch.chdir(tmp_path)
    results = run([one, Path("one.png"), other, one], tmp_path / "heads")
    assert made == [one, other]
    assert [Path(result["avatar"]).name for result in results] == ["one.meshlam", "other.meshlam"]
    assert read_avatar(tmp_path / "heads" / "other.meshlam").provenance["photo"] == "other.png"


def test_namesakes_get_as_much_of_their_path_as_tells_them_apart() -> None:
    def names(*paths: str) -> list[str]:
        return [name.removesuffix(".meshlam") for name in name_avatars([Path(path) for path in paths])]

    assert names("/p/a/x.jpg", "/p/b/x.jpg", "/p/b/y.jpg") == ["a-x", "b-x", "y"]
    assert names("/p/x.jpg", "/p/x.png") == ["x-jpg", "x-png"]
    assert names("/p/a/x.jpg", "/q/a/x.jpg") == ["p-a-x", "q-a-x"]
    assert names("/p/X.jpg", "/q/x.jpg") == ["p-X", "q-x"]  # one file on Windows and on a Mac
    tricky = names("/p/a/x.jpg", "/p/b/x.jpg", "/p/a-x.jpg", "/x.jpg", "/x.JPG", "/p/a/x.png")
    assert len({name.casefold() for name in tricky}) == 6
    assert not any("/" in name for name in tricky)


def test_a_folder_stands_for_all_photos_in_it_and_below(tmp_path: Path) -> None:
    wanted = [photo(tmp_path / name) for name in ("a.png", "deep/er/b.JPG", "deep/c.heic")]
    photo(tmp_path / "deep" / "._c.heic")  # what a Mac leaves beside files on foreign disks
    (tmp_path / "notes.txt").write_text("no photo")
    assert set(find_photos([tmp_path])) == set(wanted)
    assert find_photos([wanted[2], tmp_path]).count(wanted[2]) == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableInput, match="no photo in the folder"):
        find_photos([tmp_path / "empty"])


def test_a_run_that_was_ended_goes_on_where_it_was(made: list[Path], tmp_path: Path) -> None:
    photos, out = [photo(tmp_path / f"{n}.png", n) for n in range(4)], tmp_path / "heads"
    run(photos[:2], out)
    (out / "2.meshlam").write_bytes((out / "1.meshlam").read_bytes()[:999])  # cut off by whatever
    made.clear()
    results = run(photos, out)
    assert made == photos[2:]
    assert [bool(result.get("skipped")) for result in results] == [True, True, False, False]
    assert results[0]["landmark_error"] == 0.004

    made.clear()
    photo(tmp_path / "1.png", 99)  # another picture under the old name
    run(photos, out)
    assert made == [photos[1]]
    made.clear()
    run(photos, out, overwrite=True)
    assert made == photos


def test_the_report_shows_every_photo_with_its_picture_or_what_is_wrong(made: list[Path], tmp_path: Path) -> None:
    photos = [photo(tmp_path / name) for name in ("Zoë & co.png", "landscape.png")]
    results = run(photos, tmp_path / "heads")
    page = (tmp_path / "heads" / REPORT).read_text("utf-8")
    assert page.count("data:image/png;base64,iVBOR") == 1
    assert "Zoë &amp; co.png" in page
    assert "dark &lt;1&gt;" in page
    assert "No face was found. Use a portrait." in page
    assert summary_line(results) == "2 photos: 1 made, 0 done before, 1 failed"
    lines = table(results).splitlines()
    assert "0.40%" in lines[0]
    assert "FAILED" in lines[-2]


def test_the_command_takes_a_folder(made: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "landscape.png", 2)
    arguments = ["reconstruct", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert cli.main(arguments) == 3
    assert "1 made, 0 done before, 1 failed" in capsys.readouterr().out
    assert cli.main(arguments) == 3
    assert "0 made, 1 done before, 1 failed" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.meshlam", REPORT]
