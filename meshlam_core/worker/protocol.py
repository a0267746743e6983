"""The worker's messages: JSON objects, one a line, UTF-8. Needs nothing but the standard library.

Every message has a "type" and the fields of its dataclass below, no others.

To the worker:    hello, reconstruct, record, track, faces, render, cancel, shutdown
From the worker:  ready, progress, done, failed, cancelled

The first message is hello; the worker answers ready. Each job (reconstruct, record, track, faces, render) has an id of
the caller's choice and ends with exactly one of done, failed or cancelled. A line that is no message is answered by
failed with kind "protocol" and, when it had none that could be read, id null; the worker goes on.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

PROTOCOL = 1
MAX_LINE = 1 << 20  # bytes


class ProtocolError(ValueError):
    """A line that is no message of this protocol."""

    def __init__(self, message: str, job: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.job = job  # the id the bad message carried, if it can be told


@dataclass(frozen=True)
class ReconstructFields:
    """Options of reconstruct, as on the command line."""

    preset: str = "small"
    head: str = "open"
    hair: str = "strands"
    sway_bones: bool = False
    texture: str = "albedo"
    keep: str = "none"
    face: int | str = "largest"
    texture_size: int = 1024
    device: str = "auto"
    seed: int = 0
    weights: str = "auto"
    backbone: str = "auto"
    landmarks: str = "mediapipe"
    rasteriser: str = "auto"


@dataclass(frozen=True)
class RecordFields:
    """Options of record."""

    camera: str = "0"
    seconds: float = 10.0


@dataclass(frozen=True)
class TrackFields:
    """Options of track."""

    device: str = "auto"
    face: int | str = "largest"
    landmarks: str = "mediapipe"
    avatar: str = ""  # an avatar file to be laid onto the person; the source may then also be a track file or a CSV


@dataclass(frozen=True)
class RenderFields:
    """Options of render."""

    view: str = "front"
    size: int | str = 512
    pose: str = ""
    expression: dict[str, float] = field(default_factory=dict)
    device: str = "auto"


@dataclass(frozen=True)
class Hello:
    """The greeting: which protocol the caller speaks."""

    type: ClassVar[str] = "hello"
    protocol: int


@dataclass(frozen=True)
class Reconstruct:
    """Make an avatar file of a photo."""

    type: ClassVar[str] = "reconstruct"
    id: str
    photo: str
    out: str
    options: ReconstructFields = ReconstructFields()


@dataclass(frozen=True)
class Record:
    """Record a clip from a camera."""

    type: ClassVar[str] = "record"
    id: str
    out: str
    options: RecordFields = RecordFields()


@dataclass(frozen=True)
class Track:
    """Track the face of a photo or a clip."""

    type: ClassVar[str] = "track"
    id: str
    source: str
    out: str
    options: TrackFields = TrackFields()


@dataclass(frozen=True)
class FacesFields:
    """Options of faces."""

    device: str = "auto"
    landmarks: str = "mediapipe"


@dataclass(frozen=True)
class Faces:
    """Tell which faces a photo shows; small pictures of them are written to `out`."""

    type: ClassVar[str] = "faces"
    id: str
    photo: str
    out: str
    options: FacesFields = FacesFields()


@dataclass(frozen=True)
class Render:
    """Render a view of an avatar file."""

    type: ClassVar[str] = "render"
    id: str
    avatar: str
    out: str
    options: RenderFields = RenderFields()


@dataclass(frozen=True)
class Cancel:
    """Stop a job, waiting or running."""

    type: ClassVar[str] = "cancel"
    id: str


@dataclass(frozen=True)
class Shutdown:
    """Stop everything and end."""

    type: ClassVar[str] = "shutdown"


@dataclass(frozen=True)
class Ready:
    """The answer to hello."""

    type: ClassVar[str] = "ready"
    version: str
    device: str
    presets: list[str]
    assets: dict[str, str]  # state by name: ok, missing or altered


@dataclass(frozen=True)
class ProgressReport:
    """How far a job is."""

    type: ClassVar[str] = "progress"
    id: str
    stage: str
    fraction: float  # of the whole job, 0..1
    message: str


@dataclass(frozen=True)
class Done:
    """A job's result."""

    type: ClassVar[str] = "done"
    id: str
    result: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    """Why a job, or a line that could not be read (id null), failed."""

    type: ClassVar[str] = "failed"
    id: str | None
    kind: str  # of errors.py, or "protocol" or "internal"
    message: str
    hint: str
    trace: str


@dataclass(frozen=True)
class CancelledJob:
    """A job was stopped as asked."""

    type: ClassVar[str] = "cancelled"
    id: str


Job = Reconstruct | Record | Track | Faces | Render
Request = Hello | Reconstruct | Record | Track | Faces | Render | Cancel | Shutdown
Reply = Ready | ProgressReport | Done | Failed | CancelledJob

REQUESTS: dict[str, type[Any]] = {kind.type: kind for kind in get_args(Request)}
REPLIES: dict[str, type[Any]] = {kind.type: kind for kind in get_args(Reply)}


def encode(message: Request | Reply) -> bytes:
    """One line, newline included."""
    content = {"type": message.type} | asdict(message)
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """The message to the worker on a line; ProtocolError if there is none."""
    request: Request = _decode(line, REQUESTS)
    return request


def decode_reply(line: bytes) -> Reply:
    """The message from the worker on a line; ProtocolError if there is none."""
    reply: Reply = _decode(line, REPLIES)
    return reply


def _decode(line: bytes, kinds: dict[str, type[Any]]) -> Any:
    if len(line) > MAX_LINE:
        raise ProtocolError(f"A message is at most {MAX_LINE} bytes long.")
    try:
        content = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"Expected one JSON object a line, got {line[:60]!r} ({error}).") from error
    if not isinstance(content, dict):
        raise ProtocolError(f"Expected a JSON object, got {type(content).__name__}.")
    job = content.get("id") if isinstance(content.get("id"), str) else None
    kind = content.pop("type", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ProtocolError(f"Expected a type of {', '.join(kinds)}, got {kind!r}.", job)
    return _build(kinds[kind], content, kind, job)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _build(cls: type[Any], content: dict[str, Any], where: str, job: str | None) -> Any:
    """An instance of a message dataclass; every field must be known, present and of its type."""
    known = {item.name: item for item in fields(cls)}
    if unknown := sorted(set(content) - set(known)):
        raise ProtocolError(f"{where}: unknown field {unknown[0]!r}; known are {', '.join(known) or 'none'}.", job)
    types = get_type_hints(cls)
    values = {}
    for name, item in known.items():
        if name in content:
            values[name] = _convert(content[name], types[name], f"{where}.{name}", job)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ProtocolError(f"{where}: the field {name!r} is missing.", job)
    return cls(**values)


def _convert(value: Any, expected: Any, where: str, job: str | None) -> Any:
    if hasattr(expected, "__dataclass_fields__"):
        if not isinstance(value, dict):
            raise ProtocolError(f"{where}: expected an object, got {type(value).__name__}.", job)
        return _build(expected, value, where, job)
    if not _matches(value, expected):
        name = getattr(expected, "__name__", None) if get_origin(expected) is None else None
        raise ProtocolError(f"{where}: expected {name or expected}, got {value!r}.", job)
    return value


def _matches(value: Any, expected: Any) -> bool:
    if expected is Any:
        return True
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is list:
        return isinstance(value, list) and all(_matches(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_matches(item, arguments[1]) for item in value.values())
    if arguments:  # a union
        return any(_matches(value, option) for option in arguments)
    if isinstance(value, bool):  # a bool is an int to Python, not to us
        return expected is bool
    if expected is float:
        return isinstance(value, int | float)
    return isinstance(value, expected)
