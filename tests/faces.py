"""Pictures of people for the tests, all made from one: the public-domain NASA portrait that scikit-image carries."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps
from skimage import data

HEAD = (80, 0, 380, 300)  # the head and shoulders of Eileen Collins in the 512 px picture
IRISES = ((424, 345), (568, 353))  # px in the portrait of 1024
GREY = (120, 130, 140)


def portrait(side: int = 1024) -> Image.Image:
    """The head and shoulders; the face is about a third as high as the picture."""
    picture = Image.fromarray(data.astronaut())  # type: ignore[no-untyped-call]  # scikit-image has no types here
    return picture.crop(HEAD).resize((side, side), Image.Resampling.LANCZOS)


def on_grey(size: tuple[int, int], *places: tuple[int, int, int]) -> Image.Image:
    """A grey picture with the portrait at each (left, top, side); every second one is mirrored."""
    picture = Image.new("RGB", size, GREY)
    for index, (left, top, side) in enumerate(places):
        one = portrait(side)
        picture.paste(ImageOps.mirror(one) if index % 2 else one, (left, top))
    return picture


def group() -> Image.Image:
    """Three people from left to right; the largest stands in the middle."""
    return on_grey((1200, 900), (20, 450, 340), (400, 400, 440), (840, 420, 340))


def noisy(picture: Image.Image, sigma: float) -> Image.Image:
    """The picture with the grain of a camera in poor light; sigma in grey levels."""
    grain = np.random.default_rng(0).normal(0, sigma, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture, float) + grain).clip(0, 255).astype(np.uint8))


def looks() -> list[Image.Image]:
    """The portrait three times as if by three cameras: as it is, mirrored and closer, rolled and grainy."""
    plain = portrait()
    closer = ImageOps.mirror(plain).crop((180, 60, 900, 780))
    return [plain, closer, noisy(plain.rotate(8, Image.Resampling.BICUBIC, fillcolor=GREY), 4.0)]


def write_clip(path: Path, frames: int, rate: int = 24) -> Path:
    """A clip of 480 x 480 pixels over which the portrait drifts to the right and comes closer."""
    source = portrait(960)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = 480
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for index in range(frames):
            side = 700 - 4 * index
            left, top = 130 - 2 * index, 60 + index
            cut = source.crop((left, top, left + side, top + side)).resize((480, 480), Image.Resampling.BICUBIC)
            container.mux(stream.encode(av.VideoFrame.from_image(cut)))
        container.mux(stream.encode())
    return path


def looking_aside(by: int = 16) -> Image.Image:
    """The portrait with its irises moved to its left (rightwards in the picture), in pixels."""
    picture = portrait()
    for x, y in IRISES:
        left, top, right, bottom = x - 19, y - 10, x + 19, y + 12
        white = picture.crop((left - 3, top, left, bottom)).resize((by, bottom - top))
        iris = picture.crop((left, top, right, bottom))
        picture.paste(white, (left, top))
        picture.paste(iris, (left + by, top))
    return picture


def behind_a_wall() -> Image.Image:
    """The portrait with a brick wall before all but its forehead and eyes."""
    picture = portrait()
    wall = Image.fromarray(data.brick()).convert("RGB").resize(picture.size)  # type: ignore[no-untyped-call]
    picture.paste(wall.crop((0, 400, picture.width, picture.height)), (0, 400))
    return picture
