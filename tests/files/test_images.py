import hashlib
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from meshlam_core.errors import UnreadableInput
from meshlam_core.files.images import NEUTRAL_GREY, load_photo, read_clip, write_png
from meshlam_core.frames import Camera


@pytest.fixture
def gradient():
    """A picture whose orientation cannot be mistaken: red grows to the right, green downwards."""
    y, x = np.mgrid[0:40, 0:60]
    return np.stack([x * 4, y * 6, np.full_like(x, 90)], axis=-1).astype(np.uint8)


def test_a_plain_picture_comes_back_unchanged_with_its_hash(tmp_path, gradient):
    path = tmp_path / "plain.png"
    write_png(path, gradient)
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.pixels, gradient)
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (photo.alpha, photo.native_size, photo.size, photo.scale) == (None, (60, 40), (60, 40), 1.0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(tmp_path, gradient, orientation):
    undo = {
        1: gradient,
        2: gradient[:, ::-1],
        3: gradient[::-1, ::-1],
        4: gradient[::-1],
        5: gradient.transpose(1, 0, 2),
        6: np.rot90(gradient, 1),
        7: gradient[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(gradient, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(np.ascontiguousarray(undo[orientation])).save(path, exif=exif)
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.pixels, gradient)
    assert photo.native_size == (60, 40)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_heic_of_a_phone_comes_upright_with_its_focal_length(tmp_path, gradient, orientation):
    undo = {1: gradient, 3: gradient[::-1, ::-1], 6: np.rot90(gradient, 1), 8: np.rot90(gradient, -1)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 26
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation])).resize(undo[orientation].shape[1::-1])
    pillow_heif.from_pillow(stored).save(tmp_path / "IMG_1.HEIC", quality=-1, chroma=444, exif=exif.tobytes())
    photo = load_photo(tmp_path / "IMG_1.HEIC")
    assert photo.native_size == (60, 40)
    assert photo.focal_35mm == 26
    assert np.abs(photo.pixels.astype(int) - gradient).mean() < 2


def test_a_heic_of_ten_bits_is_read_as_eight(tmp_path, gradient):
    deep = gradient.astype(np.uint16) * 257
    pillow_heif.encode("RGB;16", gradient.shape[1::-1], deep.tobytes(), tmp_path / "deep.heic", quality=-1, chroma=444)
    assert pillow_heif.open_heif(tmp_path / "deep.heic", convert_hdr_to_8bit=False).info["bit_depth"] in (10, 12)
    assert np.abs(load_photo(tmp_path / "deep.heic").pixels.astype(int) - gradient).mean() < 2


@pytest.mark.parametrize("name", ["DSC_1.NEF", "IMG_2.CR3", "IMG_3.dng"])
def test_a_camera_raw_file_is_refused_with_what_to_do(tmp_path, gradient, name):
    Image.fromarray(gradient).save(tmp_path / name, "TIFF")  # most of them are TIFFs, with a thumbnail first
    with pytest.raises(UnreadableInput, match=f"{name} is a camera raw file") as caught:
        load_photo(tmp_path / name)
    assert "export it as JPEG" in caught.value.hint


def test_exif_gives_the_35_mm_focal_length(tmp_path, gradient):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 85
    path = tmp_path / "lens.jpg"
    Image.fromarray(gradient).save(path, exif=exif)
    assert load_photo(path).focal_35mm == 85


def test_a_grey_picture_becomes_three_equal_channels(tmp_path, gradient):
    path = tmp_path / "grey.png"
    write_png(path, gradient[..., 0])
    pixels = load_photo(path).pixels
    np.testing.assert_array_equal(pixels, np.repeat(gradient[..., :1], 3, axis=2))


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path, gradient):
    path = tmp_path / "deep.png"
    Image.fromarray(gradient[..., 0].astype(np.uint16) * 257).save(path)
    np.testing.assert_array_equal(load_photo(path).pixels[..., 1], gradient[..., 0])


def test_sixteen_bit_colour_keeps_its_brightness(tmp_path, gradient):
    rows = (gradient.astype(">u2") * 257).reshape(40, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 60, 40, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    path = tmp_path / "deep.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    np.testing.assert_array_equal(load_photo(path).pixels, gradient)


def test_a_float_tiff_in_the_unit_range_is_stretched(tmp_path, gradient):
    path = tmp_path / "float.tif"
    Image.fromarray(gradient[..., 0].astype(np.float32) / 255).save(path)
    np.testing.assert_array_equal(load_photo(path).pixels[..., 2], gradient[..., 0])


def test_cmyk_is_converted(tmp_path, gradient):
    path = tmp_path / "print.jpg"
    Image.fromarray(gradient).convert("CMYK").save(path, quality=95)
    assert np.abs(load_photo(path).pixels.astype(int) - gradient).mean() < 4


def test_a_palette_picture_is_expanded(tmp_path, gradient):
    path = tmp_path / "palette.gif"
    Image.fromarray(gradient).quantize(256).save(path)
    assert np.abs(load_photo(path).pixels.astype(int) - gradient).mean() < 8


def test_transparency_shows_neutral_grey_and_stays_as_a_mask(tmp_path, gradient):
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 30:] = 255
    path = tmp_path / "cutout.png"
    write_png(path, np.dstack([gradient, alpha]))
    photo = load_photo(path)
    np.testing.assert_array_equal(photo.alpha, alpha)
    assert (photo.pixels[:, :30] == NEUTRAL_GREY).all()
    np.testing.assert_array_equal(photo.pixels[:, 30:], gradient[:, 30:])


def test_a_transparent_palette_entry_is_a_mask_too(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    path = tmp_path / "sprite.png"
    image.save(path, transparency=0)
    photo = load_photo(path)
    assert photo.alpha[0, 0] == 0
    assert photo.alpha[1, 1] == 255
    assert photo.pixels[1, 1].tolist() == [10, 20, 30]


def test_an_opaque_alpha_channel_is_no_mask(tmp_path, gradient):
    path = tmp_path / "opaque.png"
    write_png(path, np.dstack([gradient, np.full((40, 60), 255, np.uint8)]))
    assert load_photo(path).alpha is None


def _profile_with_swapped_primaries():
    """A minimal ICC matrix profile: sRGB's primaries with red and blue exchanged, gamma 2.2 (ICC.1:2001-04)."""
    fixed = lambda *values: b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    xyz = lambda *values: b"XYZ \0\0\0\0" + fixed(*values)
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"swap\0" + bytes(78 + 1)
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0none", b"wtpt": xyz(0.9642, 1.0, 0.8249), b"rXYZ": xyz(*blue)}
    tags |= {b"gXYZ": xyz(*green), b"bXYZ": xyz(*red), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    table, data, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        table += name + struct.pack(">II", offset + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + body


def test_an_embedded_profile_is_converted_to_srgb(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path, icc_profile=_profile_with_swapped_primaries())
    red, _, blue = load_photo(path).pixels[4, 4].tolist()
    assert blue > 230
    assert red < 30


def test_a_broken_profile_does_not_cost_the_picture(tmp_path, gradient):
    path = tmp_path / "broken.png"
    Image.fromarray(gradient).save(path, icc_profile=b"not a profile")
    np.testing.assert_array_equal(load_photo(path).pixels, gradient)


def test_a_big_photo_is_worked_on_at_a_bounded_size_with_one_scale_for_both_axes(tmp_path):
    y, x = np.mgrid[0:700, 0:1001]
    path = tmp_path / "big.png"
    write_png(path, np.where(x + y < 800, 255, 0).astype(np.uint8))
    photo = load_photo(path, max_side=300)
    assert photo.size == (300, 209)
    assert photo.native_size == (1001, 700)
    assert photo.scale == 300 / 1001
    # the edge x + y = 800 lands where the camera says: centre of mass of the white part of the top row
    assert abs((photo.pixels[0, :, 0] > 127).sum() - 800 * photo.scale) <= 1.0
    camera = photo.camera_on_pixels(Camera(1000.0, (500.5, 350.0), photo.native_size))
    assert camera == Camera(1000.0 * photo.scale, (150.0, 350.0 * photo.scale), (300, 209))


def test_a_big_jpeg_is_decoded_small(tmp_path, gradient):
    path = tmp_path / "big.jpg"
    Image.fromarray(gradient).resize((1200, 800), Image.Resampling.BICUBIC).save(path, quality=95)
    photo = load_photo(path, max_side=60)
    assert photo.size == (60, 40)
    assert np.abs(photo.pixels.astype(int) - gradient).mean() < 3


def test_a_path_with_spaces_and_other_scripts_is_read(tmp_path, gradient):
    path = tmp_path / "портрет 头像 é.png"
    write_png(path, gradient)
    assert load_photo(path).pixels.shape == (40, 60, 3)


def test_bad_files_are_refused_with_one_sentence(tmp_path, gradient):
    good = tmp_path / "good.jpg"
    Image.fromarray(gradient).resize((400, 400)).save(good)
    files = {
        "cut.jpg": good.read_bytes()[:900],
        "empty.png": b"",
        "text.jpg": b"hello, this is no picture",
        "phone.heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "clip.bin": bytes(100),
    }
    wanted = {
        "cut.jpg": "damaged or cut off",
        "empty.png": "empty",
        "text.jpg": "no picture",
        "phone.heic": "no picture|damaged",
        "clip.bin": "not a picture",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UnreadableInput, match=wanted[name]) as caught:
            load_photo(tmp_path / name)
        assert caught.value.exit_code == 3
        assert caught.value.hint
    with pytest.raises(UnreadableInput, match="no file"):
        load_photo(tmp_path / "nowhere.png")
    with pytest.raises(UnreadableInput, match="folder"):
        load_photo(tmp_path)


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", side, side + 5000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(UnreadableInput, match="megapixels"):
        load_photo(path)


def test_writing_into_a_missing_folder_says_so(tmp_path, gradient):
    with pytest.raises(Exception, match="cannot be written"):
        write_png(tmp_path / "none" / "a.png", gradient)


def _write_clip(path, frames, fps=10):
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def test_a_clip_gives_its_frames_with_their_times(tmp_path):
    frames = [np.full((48, 64, 3), value, np.uint8) for value in (30, 120, 220)]
    path = tmp_path / "clip é.mp4"
    _write_clip(path, frames)
    read = list(read_clip(path))
    np.testing.assert_allclose([frame.time for frame in read], [0.0, 0.1, 0.2], atol=1e-6)
    assert [round(frame.pixels.mean() / 10) for frame in read] == [3, 12, 22]
    assert read[0].pixels.shape == (48, 64, 3)


def test_what_is_no_clip_is_refused(tmp_path):
    path = tmp_path / "no.mp4"
    path.write_bytes(bytes(2000))
    with pytest.raises(UnreadableInput, match="not a clip"):
        list(read_clip(path))
    with pytest.raises(UnreadableInput, match="no file"):
        list(read_clip(tmp_path / "none.mp4"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from Linux's /proc")
def test_a_sixty_megapixel_jpeg_stays_within_memory(tmp_path):
    path = tmp_path / "huge.jpg"
    Image.new("RGB", (9000, 6700), (90, 120, 150)).save(path)
    # VmHWM begins anew with the program; getrusage would still show the peak of the process that started it
    script = (
        "import sys; from meshlam_core.files.images import load_photo; p = load_photo(sys.argv[1]);"
        "print(p.size, next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    size, peak_kib = run.stdout.rsplit(maxsplit=1)
    assert size == "(4096, 3049)"
    assert int(peak_kib) < 400_000
