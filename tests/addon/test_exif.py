import pytest
from PIL import Image

from blender_addon.exif import UPRIGHT, orientation, size


@pytest.mark.parametrize("how", range(1, 9))
def test_the_orientation_that_a_camera_wrote_is_read(tmp_path, how):
    image = Image.new("RGB", (30, 20))
    note = image.getexif()
    note[0x010F], note[0x0112] = "a camera", how
    image.save(tmp_path / "photo.jpg", exif=note)
    assert orientation(tmp_path / "photo.jpg") == how


def test_a_photo_without_a_note_is_upright(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.jpg")
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    assert orientation(tmp_path / "photo.jpg") == UPRIGHT
    assert orientation(tmp_path / "photo.png") == UPRIGHT


@pytest.mark.parametrize("kept", [0, 3, 20, 30, 40])
def test_a_cut_file_is_taken_as_upright(tmp_path, kept):
    image = Image.new("RGB", (30, 20))
    note = image.getexif()
    note[0x0112] = 6
    image.save(tmp_path / "photo.jpg", exif=note)
    whole = (tmp_path / "photo.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:kept])
    assert orientation(tmp_path / "cut.jpg") == UPRIGHT


def test_a_missing_file_is_no_error(tmp_path):
    assert orientation(tmp_path / "none.jpg") == UPRIGHT


def test_the_size_of_a_photo_is_read_from_its_header(tmp_path):
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (321, 123)).save(tmp_path / name)
        assert size(tmp_path / name) == (321, 123)
    for data in (b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n1", b"GIF89a" + b"\0" * 30):
        (tmp_path / "x").write_bytes(data)
        assert size(tmp_path / "x") == (0, 0)
    assert size(tmp_path / "none") == (0, 0)
