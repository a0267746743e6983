"""Reading photos and clips, writing PNGs.

Image frame: frames.py. Every array is upright (EXIF and clip rotation applied), 8-bit sRGB, row 0 at the top.
A photo is kept at a working size (long side at most MAX_SIDE): `Photo.scale` working pixels make one native pixel.
Cameras, landmarks and boxes are always in native upright pixels; `Photo.camera_on_pixels` converts.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from pillow_heif import register_heif_opener

from meshlam_core.errors import UnreadableInput
from meshlam_core.files.outputs import write_file
from meshlam_core.files.png import encode_png
from meshlam_core.frames import Camera

U8 = NDArray[np.uint8]

MAX_SIDE = 4096  # px; a head that fills such a picture has twice the texels of a 1024 texture on every side
MAX_PIXELS = 200_000_000  # larger claims are refused before anything is decoded
MAX_BYTES = 1 << 30
# JPEG includes MPO; HEIF is what iPhones write
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "AVIF", "JPEG2000", "ICO", "HEIF")
READABLE = "JPEG, PNG, WebP, TIFF, BMP, AVIF or HEIC"
PHOTO_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".tga"),
    *(".avif", ".jp2", ".heic", ".heif", ".hif"),
)
CLIP_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v")
RAW_SUFFIXES = (  # most of them are TIFFs that Pillow would open, and find a thumbnail or the sensor's mosaic
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw"),
    *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
)
NEUTRAL_GREY = 128  # sRGB behind transparent pixels: biases neither skin nor hair colours
EXIF_FOCAL_35MM = 0xA405
EXIF_IFD = 0x8769


@dataclass(frozen=True)
class Photo:
    """One still image, upright."""

    pixels: U8  # [H, W, 3] sRGB at the working size
    alpha: U8 | None  # [H, W] 255 where opaque; None when the file has no transparency
    sha256: str  # of the file's bytes
    path: Path
    native_size: tuple[int, int]  # px, (width, height) of the upright photo in the file
    scale: float = 1.0  # working pixels per native pixel, at most 1
    focal_35mm: float | None = None  # EXIF's 35 mm equivalent focal length, mm

    @property
    def size(self) -> tuple[int, int]:
        """Working size, (width, height)."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def camera_on_pixels(self, camera: Camera) -> Camera:
        """The camera of the native photo, expressed on the working pixels."""
        return replace(camera.scaled(self.scale), size=self.size)


@dataclass(frozen=True)
class Frame:
    """One frame of a clip."""

    time: float  # s since the first frame
    pixels: U8  # [H, W, 3] sRGB


def load_photo(path: str | os.PathLike[str], max_side: int = MAX_SIDE) -> Photo:
    """Read any still image the project accepts; UnreadableInput says why where it cannot."""
    path = Path(path)
    _check_file(path)
    if path.suffix.lower() in RAW_SUFFIXES:
        raise UnreadableInput(
            f"{path.name} is a camera raw file: it holds the sensor's values, which are no picture yet.",
            "Develop it in the camera's or any photo program and export it as JPEG, TIFF or HEIC.",
        )
    register_heif_opener()  # upright by itself; 10 bits become 8; gain maps and depth stay unread
    try:
        with warnings.catch_warnings():
            # Pillow warns from 90 megapixels on; our own limit comes first
            warnings.simplefilter("ignore")
            return _decode(path, max_side)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unknown_format(path, error) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError) as error:
        raise UnreadableInput(f"{path.name} is damaged or cut off: {error}.", "Export or copy it again.") from error


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise UnreadableInput(f"{path} is a folder, not a picture.", "Choose a picture file.")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise UnreadableInput(f"There is no file {path}.", "Check the path.") from error
    except OSError as error:
        raise UnreadableInput(f"{path} cannot be opened: {error.strerror}.", "Check the permissions.") from error
    if size == 0:
        raise UnreadableInput(f"{path.name} is empty (0 bytes).", "Export or copy it again.")
    if size > MAX_BYTES:
        raise UnreadableInput(f"{path.name} has {size >> 20} MiB; at most 1024 are read.", "Save a smaller copy.")


def _unknown_format(path: Path, error: Exception) -> UnreadableInput:
    hint = f"Save it as {READABLE}."
    if isinstance(error, Image.DecompressionBombError):
        return UnreadableInput(
            f"{path.name} claims more than {MAX_PIXELS // 10**6} megapixels.", "Save a smaller copy."
        )
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return UnreadableInput(f"{path.name} is no picture, or is damaged from its first bytes on.", hint)
    return UnreadableInput(f"{path.name} is not a picture in a known format.", hint)


def _decode(path: Path, max_side: int) -> Photo:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    with Image.open(path, formats=FORMATS) as image:
        stored = image.size
        if stored[0] * stored[1] > MAX_PIXELS:
            raise Image.DecompressionBombError
        if min(stored) < 1:
            raise UnreadableInput(f"{path.name} has no pixels.", "Export or copy it again.")
        exif = image.getexif()
        if image.format in ("JPEG", "MPO"):
            shrink = min(1.0, max_side / max(stored))
            # decodes at 1/2, 1/4 or 1/8 where that still covers the working size on both axes
            image.draft(None, (int(stored[0] * shrink), int(stored[1] * shrink)))
        image.load()
        profile = image.info.get("icc_profile")
        small, scale = _reduce(_as_resizable(image), stored, max_side)
    colour, alpha = _to_srgb(small, profile)
    colour.getexif()[0x0112] = orientation = exif.get(0x0112, 1)
    upright = ImageOps.exif_transpose(colour)
    if alpha is not None:
        alpha.getexif()[0x0112] = orientation
        alpha = ImageOps.exif_transpose(alpha)
    turned = orientation in (5, 6, 7, 8)
    return Photo(
        pixels=np.array(upright, dtype=np.uint8),
        alpha=None if alpha is None else np.array(alpha, dtype=np.uint8),
        sha256=sha256,
        path=path,
        native_size=(stored[1], stored[0]) if turned else stored,
        scale=scale,
        focal_35mm=_focal_35mm(exif),
    )


def _focal_35mm(exif: Image.Exif) -> float | None:
    try:
        value = float(exif.get_ifd(EXIF_IFD).get(EXIF_FOCAL_35MM, 0))
    except (TypeError, ValueError, ZeroDivisionError, KeyError, OSError, SyntaxError):
        return None  # a broken EXIF block must not cost the picture
    return value if 8 <= value <= 800 else None


def _as_resizable(image: Image.Image) -> Image.Image:
    """An 8-bit image whose pixels can be averaged: palettes and 1-bit expanded, 16 and 32 bits reduced."""
    if image.mode == "P" or "transparency" in image.info:
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("1", "LA", "La", "PA", "RGBa"):
        return image.convert("L" if image.mode == "1" else "RGBA")
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        peak = float(values.max(initial=0.0))
        full = 1.0 if peak <= 1.0 and image.mode == "F" else 255.0 if peak <= 255 else 65535.0
        full = 65535.0 if image.mode.startswith("I;16") else full
        return Image.fromarray(np.clip(values * (255 / full) + 0.5, 0, 255).astype(np.uint8))
    return image


def _reduce(image: Image.Image, stored: tuple[int, int], max_side: int) -> tuple[Image.Image, float]:
    """Shrink so that the long side is at most max_side; the same factor exactly on both axes."""
    scale = min(1.0, max_side / max(stored))
    if scale == 1.0:
        return image, 1.0
    decoded = image.size[0] / stored[0]  # 1, or what draft left
    size = (max(1, int(stored[0] * scale + 1e-6)), max(1, int(stored[1] * scale + 1e-6)))
    right, lower = (min(side / scale * decoded, float(limit)) for side, limit in zip(size, image.size, strict=True))
    # averaging premultiplied colours keeps what hides under transparent pixels from bleeding in
    work = image.convert("RGBa") if image.mode == "RGBA" else image
    work = work.resize(size, Image.Resampling.LANCZOS, (0, 0, right, lower), 2.0)
    return (work.convert("RGBA") if image.mode == "RGBA" else work), scale


def _to_srgb(image: Image.Image, profile: Any) -> tuple[Image.Image, Image.Image | None]:
    """Split off the alpha, convert the colours to sRGB and lay them over neutral grey."""
    alpha = None
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        image = image.convert("RGB")
        if alpha.getextrema() == (255, 255):
            alpha = None
    image = _apply_profile(image, profile)
    if image.mode != "RGB":
        image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size, (NEUTRAL_GREY,) * 3), alpha)
    return image, alpha


def _apply_profile(image: Image.Image, profile: Any) -> Image.Image:
    if not profile or image.mode not in ("RGB", "L", "CMYK", "LAB"):
        return image
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile: the plain numbers are the best guess left
    return image if converted is None else converted


def write_png(
    path: str | os.PathLike[str],
    pixels: U8,  # [H, W], [H, W, 3] or [H, W, 4]
) -> None:
    """Write a PNG whole or not at all."""
    write_file(Path(path), encode_png(pixels))


def read_clip(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Decode a clip frame by frame, upright, with square pixels; UnreadableInput when there is nothing to decode."""
    import av  # a shared library of 30 MB that stills do not need

    path = Path(path)
    _check_file(path)
    count = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableInput(f"{path.name} has no picture track.", "Choose a video, MP4 or WebM.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            start = None
            for decoded in container.decode(stream):
                time = decoded.time if decoded.time is not None else count / rate
                start = time if start is None else start
                yield Frame(max(0.0, time - start), _clip_pixels(decoded, stream.sample_aspect_ratio))
                count += 1
    except av.error.FFmpegError as error:
        # a recording cut off at its end is still worth its whole frames
        if count == 0:
            raise UnreadableInput(
                f"{path.name} is not a clip that can be read: {error.strerror}.", "Save it as MP4 (H.264)."
            ) from error
    if count == 0:
        raise UnreadableInput(f"{path.name} has no frames.", "Choose another clip.")


def _clip_pixels(decoded: Any, aspect: Any) -> U8:
    width = decoded.width if not aspect or aspect == 1 else max(1, round(decoded.width * float(aspect)))
    rgb: U8 = decoded.to_ndarray(format="rgb24", width=width, height=decoded.height)
    # phones store the sensor's orientation; the display matrix turns the picture counter-clockwise by `rotation`
    return np.ascontiguousarray(np.rot90(rgb, round(decoded.rotation / 90))) if decoded.rotation else rgb
