"""The arguments of every command. Light: importing it must not load torch, or `meshlam --help` would take seconds."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

VIEWS = ("photo", "front", "left", "right", "back", "three-quarter", "turntable")
POSES = ("neutral", "photo")
AXES = ("y-down", "y-up")
PRESETS = ("small", "paper")
HAIR = ("strands", "hull", "bald")
TEXTURES = ("photo", "albedo")
KEPT = ("none", "glasses", "glasses-mesh")
DEVICES = ("auto", "cpu", "cuda", "mps")
LANDMARKS = ("mediapipe", "face-alignment")
MOST_SECONDS = 3600  # of a recording
RASTERISERS = ("auto", "warp", "nvdiffrast")


def add_commands(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Add all commands to the parser and return their names."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        command.add_argument("--json", action="store_true", help="print one JSON object, also on failure")
        return command

    _reconstruct(add("reconstruct", "Make a rigged, textured head (.meshlam) of a portrait."))
    _render(add("render", "Render a view of an avatar as a PNG with transparency."))
    _sheet(add("sheet", "Make a contact sheet of an avatar: the photo, views and expressions."))
    _record(add("record", "Record a clip from a camera, without sound."))
    _track(add("track", "Track the face of a clip or a photo."))
    _reenact(add("reenact", "Drive an avatar with a track: one PNG a frame, on the pixel grid of the clip."))
    _export(add("export", "Write an avatar as Gaussians (3DGS PLY), bound to its triangles."))
    _evaluate(add("evaluate", "Measure how well heads made of photos and clips repeat them (REPORT.json and .html)."))
    _info(add("info", "Tell what is in an avatar file, or what a preset of the network costs."))
    _doctor(add("doctor", "Check that everything the program needs is there."))
    _assets(add("assets", "List, fetch or verify the downloadable files."))
    _head(add("head", "Convert a head model of yours (FLAME, GNM, ICT-FaceKit), tell what is in one, or compare two."))
    return tuple(commands.choices)


def _reconstruct(command: argparse.ArgumentParser) -> None:
    folders = "a folder stands for all photos in it and below"
    command.add_argument("photos", type=Path, nargs="+", metavar="PHOTO|DIR", help=folders)
    several = "of several photos: a folder, which gets one NAME.meshlam for each, and report.html"
    command.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.meshlam", help=several)
    again = "of several photos: make anew what an earlier run has done"
    command.add_argument("--overwrite", action="store_true", help=again)
    command.add_argument("--preset", choices=PRESETS, default="small")
    command.add_argument("--head", default="open", metavar="open|PATH", help="the open head, or a model of yours")
    command.add_argument(
        "--face", type=_face, default="largest", metavar="N|largest", help="which face; 1 is the leftmost"
    )
    hair = "strands: loose ones over a hull; hull: that alone, one surface; bald: the skull as the tracker finds it"
    command.add_argument("--hair", choices=HAIR, default="strands", help=hair)
    command.add_argument("--sway-bones", action="store_true", help="bones for hair that hangs below the chin")
    command.add_argument(
        "--texture", choices=TEXTURES, default="albedo", help="without the photo's light, or photo: with it"
    )
    kept = "glasses: paint them onto the skin; otherwise it is completed behind them; glasses-mesh: build their frame"
    command.add_argument("--keep", choices=KEPT, default="none", help=kept)
    command.add_argument("--texture-size", type=_texture_size, default=1024, metavar="PIXELS")
    command.add_argument(
        "--weights", default="auto", metavar="auto|none|PATH", help="of the network; none keeps the tracker's result"
    )
    command.add_argument(
        "--backbone", default="auto", metavar="auto|DIR", help="the folder of DINOv2, for the preset paper"
    )
    command.add_argument("--seed", type=_between(0, 2**31 - 1), default=0)
    _landmarks(command)
    _rasteriser(command)
    _device(command)


def _render(command: argparse.ArgumentParser) -> None:
    command.add_argument("avatar", type=Path, metavar="AVATAR")
    turntable = "for turntable: a folder takes numbered PNGs, a .png becomes an animated PNG"
    command.add_argument("-o", "--out", type=Path, required=True, metavar="PNG", help=turntable)
    command.add_argument("--view", choices=VIEWS, default="front")
    command.add_argument(
        "--size", type=_size, default=512, metavar="512|native", help="longest side; native is the photo's own size"
    )
    _expression(command)
    command.add_argument("--pose", choices=POSES, help="default: photo for the view photo, neutral for the others")
    _head_of_avatar(command)
    _neural(command)
    _rasteriser(command)
    _device(command)


def _sheet(command: argparse.ArgumentParser) -> None:
    command.add_argument("avatar", type=Path, metavar="AVATAR")
    command.add_argument("-o", "--out", type=Path, required=True, metavar="PNG")
    _rasteriser(command)
    _device(command)


def _record(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", type=Path, metavar="OUT.mp4")
    which = "a camera's number, from 0 on, or what else OpenCV opens: the address of a network camera, a device, a file"
    command.add_argument("--camera", default="0", metavar="N|URL|PATH", help=which)
    command.add_argument("--seconds", type=_seconds, default=10.0, metavar="S", help="how long (default: 10)")


def _track(command: argparse.ArgumentParser) -> None:
    command.add_argument("source", type=Path, metavar="VIDEO|PHOTO")
    command.add_argument("-o", "--out", type=Path, required=True, metavar="TRACK.json|.csv")
    command.add_argument("--csv", action="store_true", help="in the layout of Live Link Face, as for a name in .csv")
    command.add_argument("--face", type=_face, default="largest", metavar="N|largest")
    _landmarks(command)
    _device(command)


def _reenact(command: argparse.ArgumentParser) -> None:
    command.add_argument("avatar", type=Path, metavar="AVATAR")
    live_link = "of meshlam track, or a CSV in the layout of Live Link Face"
    command.add_argument("--track", type=Path, required=True, metavar="TRACK.json|.csv", help=live_link)
    command.add_argument("-o", "--out", type=Path, required=True, metavar="DIR")
    onto = "the track's clip, if it shows the avatar's own person: pose and expression are corrected by each frame"
    command.add_argument("--onto", type=Path, metavar="CLIP", help=onto)
    _head_of_avatar(command)
    _neural(command)
    _rasteriser(command)
    _device(command)


def _export(command: argparse.ArgumentParser) -> None:
    surfaces = "or the surfaces of an edited head, as the add-on hands them over (viewing/surfaces.py)"
    command.add_argument("avatar", type=Path, metavar="AVATAR|SURFACES.npz", help=surfaces)
    command.add_argument(
        "--gaussians", type=_between(1000, 200_000), required=True, metavar="N", help="how many, 1000 to 200000"
    )
    command.add_argument("-o", "--out", type=Path, required=True, metavar="PLY")
    _expression(command)
    command.add_argument("--pose", choices=POSES, default="neutral", help="with the photo's expression or none")
    axes = "y-down as trained scenes, which viewers turn upright; y-up as the avatar and glTF (default: y-down)"
    command.add_argument("--axes", choices=AXES, default="y-down", help=axes)
    command.add_argument("--licence", default="", metavar="TEXT", help="of surfaces, written into the file")
    _device(command)


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("sources", type=Path, nargs="+", metavar="DIR|CLIP|PHOTO")
    page = "the page for people is written beside it"
    command.add_argument("-o", "--out", type=Path, required=True, metavar="REPORT.json", help=page)
    command.add_argument("--preset", choices=PRESETS, default="small")
    command.add_argument("--weights", default="auto", metavar="auto|none|PATH", help="of the network")
    command.add_argument("--backbone", default="auto", metavar="auto|DIR", help="the folder of DINOv2")
    command.add_argument(
        "--every", type=_between(1, 10**6), default=10, metavar="N", help="compare every N-th frame of clips"
    )
    command.add_argument(
        "--pictures", type=_between(0, 1000), default=24, metavar="N", help="photos that the page shows from all sides"
    )
    command.add_argument(
        "--gaussians", type=_between(0, 200_000), default=0, metavar="N", help="a row for so many on the mesh; 0: none"
    )
    command.add_argument(
        "--known", type=_between(0, 100), default=0, metavar="N", help="drawn heads a hairstyle, for millimetres"
    )
    command.add_argument(
        "--peer", type=Path, action="append", default=[], metavar="WEIGHTS", help="a row for a peer of the paper's"
    )
    command.add_argument("--teachers", type=Path, metavar="DIR", help="folder of hair_segmentation.tflite and LPIPS")
    _device(command)


def _info(command: argparse.ArgumentParser) -> None:
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("avatar", type=Path, nargs="?", metavar="AVATAR")
    what.add_argument("--preset", choices=PRESETS, help="print its parameter counts and FLOPs")


def _doctor(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--self-test", action="store_true", help="also open all that a reconstruction opens, and time drawing a head"
    )


def _assets(command: argparse.ArgumentParser) -> None:
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="an asset or the groups runtime (default), paper, face-alignment, build",
    )
    command.add_argument("--all", action="store_true", help="also what only rebuilding the head model needs")
    command.add_argument("--offline", action="store_true", help="use only the wheels in the folder MESHLAM_WHEELS")


def _head(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
        action.add_argument("--json", action="store_true", help="print one JSON object, also on failure")
        return action

    convert = add("convert", "Convert a distributed model once, to one file that --head takes.")
    files = "FLAME's .pkl or .npz, GNM's gnm_head.npz, ICT-FaceKit's folder FaceXModel"
    convert.add_argument("model", type=Path, metavar="MODEL", help=files)
    convert.add_argument("-o", "--out", type=Path, required=True, metavar="HEAD.npz")
    confirm = "the licence that you have it under: flame, flame-open, gnm, ict or a text"
    convert.add_argument("--licence", default="", metavar="NAME", help=confirm)
    convert.add_argument("--masks", type=Path, metavar="FILE", help="FLAME's masks; without them the open head's parts")
    own = "the model's own texture layout (npz with vt and ft, or the template as .obj); without it the open head's"
    convert.add_argument("--layout", type=Path, metavar="FILE", help=own)
    keys = "the ARKit keys by the model's own parameters, or the open head's shapes transferred to the mesh"
    convert.add_argument("--keys", choices=("own", "transferred"), default="own", help=keys)
    raw = "how many of its own expressions and identities to keep as shape keys"
    convert.add_argument("--raw-keys", type=_pair, default=None, metavar="E,I", help=raw)
    borrow = "what the model lacks, taken from the open head; with nothing after it: none"
    convert.add_argument(
        "--borrow", nargs="*", choices=("mouth", "lashes", "eyes"), default=["mouth", "lashes"], help=borrow
    )
    info = add("info", "Tell what is in a head model, and how well it says each key.")
    info.add_argument("model", metavar="open|HEAD")
    compare = add("compare", "Compare the mean heads and the keys of two head models.")
    compare.add_argument("model", metavar="open|HEAD")
    compare.add_argument("other", metavar="open|HEAD")


def _pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(",")
    if not (first.isdigit() and second.isdigit()) or int(first) > 100 or int(second) > 100:
        raise argparse.ArgumentTypeError(f"expected two numbers up to 100, as 50,10, got {text!r}")
    return int(first), int(second)


def _expression(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an expression, e.g. jawOpen=0.7",
    )


def _head_of_avatar(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--head", default="open", metavar="open|PATH", help="the head model that the avatar was made with"
    )


def _neural(command: argparse.ArgumentParser) -> None:
    command.add_argument("--neural", action="store_true", help="repaint the pictures with the image-space network")
    command.add_argument("--weights", default="auto", metavar="auto|PATH", help="of that network")


def _landmarks(command: argparse.ArgumentParser) -> None:
    command.add_argument("--landmarks", choices=LANDMARKS, default="mediapipe", help="which detector finds the face")


def _rasteriser(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--rasteriser",
        choices=RASTERISERS,
        default="auto",
        help="auto: nvdiffrast (research only) on CUDA where it is installed, else warp",
    )


def _device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", choices=DEVICES, default="auto")


def _face(text: str) -> int | str:
    if text == "largest":
        return text
    return _between(1, 999, "a face's number from 1 on, or largest")(text)


def _size(text: str) -> int | str:
    if text == "native":
        return text
    return _between(16, 4096, "a size in pixels (16 to 4096) or native")(text)


def _texture_size(text: str) -> int:
    sizes = [str(1 << power) for power in range(6, 13)]
    if text not in sizes:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(sizes)}, got {text!r}")
    return int(text)


def _between(low: int, high: int, wanted: str = "") -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            expected = wanted or f"a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected seconds, more than 0 and at most {MOST_SECONDS}, got {text!r}")
    return value


def _setting(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not name or not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE with a number, got {text!r}")
    return name, number
