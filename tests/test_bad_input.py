"""The photos and files that artists really have: the right exit code, one sentence that helps, nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from meshlam_core import cli
from meshlam_core.assets import home
from meshlam_core.avatar.io import read_avatar
from tests import faces

Result = dict[str, Any]
Reconstruct = Callable[..., tuple[int, Result]]


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """One portrait everything else is made from."""
    return faces.portrait(512)


@pytest.fixture
def reconstruct(tmp_path: Path, assets: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> Reconstruct:
    """Run the command and check what must hold however it ends; options come after the photo."""

    def run(photo: Path, *options: str, out: Path | None = None) -> tuple[int, Result]:
        folder = tmp_path / "the results"
        folder.mkdir(exist_ok=True)
        target = out or folder / "head.meshlam"
        code = cli.main(["reconstruct", str(photo), "-o", str(target), "--texture-size", "256", "--json", *options])
        captured = capsys.readouterr()
        result: Result = json.loads(captured.out)
        if code == 0:
            assert [path for path in target.parent.iterdir() if path.suffix == ".part"] == []
            assert len(read_avatar(target).vertices) == result["vertices"]
        else:
            assert list(folder.iterdir()) == [], "something half-written is left"
            error = result["error"]
            assert result["exit_code"] == code
            assert error["message"].endswith(".")
            assert error["hint"], "the user is not told what helps"
            assert "\n" not in error["message"]
            assert "Traceback" not in captured.err
        return code, result

    return run


# ---- photos that work, however they are stored


def _exif_rotated(image: Image.Image, path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    image.rotate(90, expand=True).save(path.with_suffix(".jpg"), exif=exif, quality=95)


def _sixteen_bit(image: Image.Image, path: Path) -> None:
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(path.with_suffix(".png"))


def _transparent(image: Image.Image, path: Path) -> None:
    y, x = np.mgrid[0:512, 0:512] / 256 - 1
    alpha = Image.fromarray(np.where(x**2 + y**2 < 0.9, 255, 0).astype(np.uint8))
    image.putalpha(alpha)
    image.save(path.with_suffix(".png"))


def _palette(image: Image.Image, path: Path) -> None:
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(path.with_suffix(".gif"))


KINDS: dict[str, Callable[[Image.Image, Path], None]] = {
    "exif-rotated": _exif_rotated,
    "greyscale": lambda image, path: image.convert("L").save(path.with_suffix(".jpg"), quality=95),
    "16-bit": _sixteen_bit,
    "cmyk": lambda image, path: image.convert("CMYK").save(path.with_suffix(".jpg"), quality=95),
    "transparent": _transparent,
    "palette": _palette,
    "wrong suffix": lambda image, path: image.save(path.with_suffix(".png"), "JPEG", quality=95),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_unusual_kind_of_picture_is_reconstructed_upright(
    kind: str, portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    KINDS[kind](portrait.copy(), tmp_path / "photo")
    photo = next(tmp_path.glob("photo.*"))
    code, result = reconstruct(photo)
    assert code == 0, result
    assert result["landmark_error"] < 0.03


def test_a_path_with_spaces_and_non_latin_letters_works(
    portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    folder = tmp_path / "Zoë’s photos 写真 фото"
    folder.mkdir()
    portrait.save(folder / "мой портрет 1.jpg", quality=95)
    code, result = reconstruct(folder / "мой портрет 1.jpg", out=folder / "голова.meshlam")
    assert code == 0, result
    assert read_avatar(folder / "голова.meshlam").provenance["photo"] == "мой портрет 1.jpg"


def test_a_60_megapixel_photo_works_on_its_own_pixel_grid(
    portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    portrait.resize((7750, 7750), Image.Resampling.BICUBIC).save(tmp_path / "huge.jpg", quality=80)
    code, result = reconstruct(tmp_path / "huge.jpg")
    assert code == 0, result
    assert read_avatar(Path(result["avatar"])).photo.size.tolist() == [7750, 7750]


def test_an_avatar_names_the_licence_of_its_head(
    portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    portrait.save(tmp_path / "photo.png")
    _, result = reconstruct(tmp_path / "photo.png")
    provenance = read_avatar(Path(result["avatar"])).provenance
    assert provenance["head_licence"].startswith("CC0"), "AVATAR_FORMAT.md, provenance: the add-on reads this key"
    assert len(provenance["photo_sha256"]) == 64


# ---- what is hardly a face


def test_a_face_that_is_hardly_seen_is_reconstructed_with_a_warning_that_speaks_of_the_picture(
    tmp_path: Path, reconstruct: Reconstruct
) -> None:
    faces.behind_a_wall().save(tmp_path / "wall.png")
    code, result = reconstruct(tmp_path / "wall.png")
    assert code == 0, result
    assert any("seen too unsurely in this picture" in warning for warning in result["warnings"])


@pytest.mark.parametrize("name", ["cat", "rocket", "brick"])
def test_a_picture_without_a_face_is_refused(name: str, tmp_path: Path, reconstruct: Reconstruct) -> None:
    Image.fromarray(getattr(data, name)()).save(tmp_path / "no face.png")
    code, result = reconstruct(tmp_path / "no face.png")
    assert (code, result["error"]["kind"]) == (3, "no_face")


@pytest.mark.parametrize("kind", ["black", "noise", "one pixel", "a line"])
def test_a_picture_of_nothing_is_refused(kind: str, tmp_path: Path, reconstruct: Reconstruct) -> None:
    size = {"one pixel": (1, 1), "a line": (3, 2000)}.get(kind, (400, 300))
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise * (kind != "black")).save(tmp_path / "nothing.png")
    code, result = reconstruct(tmp_path / "nothing.png")
    assert code == 3
    assert result["error"]["kind"] in ("no_face", "face_too_small")


def test_a_face_of_40_pixels_is_refused_with_advice(
    portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    field = Image.new("RGB", (600, 400), (120, 130, 140))
    field.paste(portrait.resize((72, 72), Image.Resampling.LANCZOS), (250, 150))
    field.save(tmp_path / "far away.png")
    code, result = reconstruct(tmp_path / "far away.png")
    assert code == 3
    assert result["error"]["kind"] == "face_too_small"


def test_one_of_several_people_can_be_chosen(group_file: Path, reconstruct: Reconstruct) -> None:
    centres = []
    for choice in ("largest", "1", "2"):
        code, result = reconstruct(group_file, "--face", choice)
        assert code == 0, result
        centres.append(read_avatar(Path(result["avatar"])).photo.crop[[0, 2]].mean())
    assert centres[1] < centres[2]
    assert centres[0] == centres[2], "the largest stands in the middle"


def test_a_face_that_is_not_there_says_how_many_there_are(group_file: Path, reconstruct: Reconstruct) -> None:
    code, result = reconstruct(group_file, "--face", "99")
    assert (code, result["error"]["kind"]) == (3, "no_face")
    assert any(character.isdigit() for character in result["error"]["message"].replace("99", ""))


# ---- what cannot be read or written


@pytest.mark.parametrize("kind", ["truncated", "text", "empty", "folder", "missing"])
def test_what_is_no_picture_is_refused(
    kind: str, portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    photo = tmp_path / "photo.jpg"
    if kind == "folder":
        photo.mkdir()
    elif kind == "truncated":
        portrait.save(photo)
        photo.write_bytes(photo.read_bytes()[:9000])
    elif kind != "missing":
        photo.write_text("I am a poem" if kind == "text" else "")
    code, result = reconstruct(photo)
    assert (code, result["error"]["kind"]) == (3, "unreadable")
    assert "photo.jpg" in result["error"]["message"]


def test_an_unwritable_target_is_refused_before_the_work(
    portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct, monkeypatch: pytest.MonkeyPatch
) -> None:
    import meshlam_core.pipeline

    monkeypatch.setattr(meshlam_core.pipeline, "reconstruct", lambda *_: pytest.fail("the work was done first"))
    portrait.save(tmp_path / "photo.png")
    for out in (tmp_path / "no such folder" / "a.meshlam", tmp_path, Path("/proc/head.meshlam")):
        code, result = reconstruct(tmp_path / "photo.png", out=out)
        assert (code, result["error"]["kind"]) == (2, "usage")


@pytest.mark.parametrize("harm", ["missing", "altered"])
def test_a_missing_or_altered_asset_says_how_to_get_it(
    harm: str, portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "home"
    (copy / "assets").mkdir(parents=True)
    for name in ("face_landmarker.task", "selfie_segmentation.tflite"):
        shutil.copy(home() / "assets" / name, copy / "assets")
    harmed = copy / "assets" / "face_landmarker.task"
    if harm == "missing":
        harmed.unlink()
    else:
        data = bytearray(harmed.read_bytes())
        data[1000] ^= 1
        harmed.write_bytes(data)
    monkeypatch.setenv("MESHLAM_HOME", str(copy))
    portrait.save(tmp_path / "photo.png")
    code, result = reconstruct(tmp_path / "photo.png")
    assert (code, result["error"]["kind"]) == (4, "asset")
    assert "meshlam assets fetch" in result["error"]["hint"]


@pytest.mark.parametrize(
    "options", [["--texture-size", "1000"], ["--head", "/no/such/flame.pkl"], ["--device", "cuda"]]
)
def test_options_that_cannot_work_are_named(
    options: list[str], portrait: Image.Image, tmp_path: Path, reconstruct: Reconstruct
) -> None:
    if options == ["--device", "cuda"] and torch.cuda.is_available():
        pytest.skip("this machine has one")
    portrait.save(tmp_path / "photo.png")
    code, result = reconstruct(tmp_path / "photo.png", *options)
    assert code in (2, 4, 5)
    assert result["error"]["hint"]
