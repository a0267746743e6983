"""Convert a distributed head model once: everything that registration and fitting find out goes into one file.

Dims: see model.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from meshlam_core.errors import AssetError, UnreadableInput, UsageError
from meshlam_core.head.adopt import adopt
from meshlam_core.head.borrow import GROUPS, with_borrowed
from meshlam_core.head.flame import CLOSED_LICENCE, OPEN_LICENCE, flame_of, is_flame, read_layout, read_masks
from meshlam_core.head.flame_file import Array, read_table
from meshlam_core.head.gnm import gnm_of, is_gnm, raw_choice
from meshlam_core.head.ict import is_ict, read_ict
from meshlam_core.head.model import HeadModel
from meshlam_core.head.parametric_head import Description, numbered, parametric_head

Table = Mapping[str, Array]
KEYS = ("own", "transferred")
RAW_KEYS = {"flame": (100, 10), "gnm": (50, 10)}  # of FLAME all expressions: trackers write up to 100


@dataclass(frozen=True)
class Licence:
    """A licence that a user can confirm by its short name."""

    text: str
    kind: str  # of the head model it is for


LICENCES = {
    "flame": Licence(CLOSED_LICENCE, "flame"),
    "flame-open": Licence(OPEN_LICENCE, "flame"),
    "gnm": Licence("Apache-2.0 (GNM Head, Google)", "gnm"),
    "ict": Licence("MIT (ICT-FaceKit, USC Institute for Creative Technologies)", "ict"),
}
UNCONFIRMED = " (not confirmed)"


@dataclass(frozen=True)
class ConvertOptions:
    """What the user may choose."""

    masks: Path | None = None
    layout: Path | None = None
    keys: str = "own"
    raw_keys: tuple[int, int] | None = None  # expressions, identities; None: RAW_KEYS
    borrow: tuple[str, ...] = ("mouth", "lashes")  # from the open head, where the model has none

    def __post_init__(self) -> None:
        for group in self.borrow:
            if group not in GROUPS:
                raise UsageError(f"borrow: expected some of {', '.join(GROUPS)}, got {group!r}.")
        if self.keys not in KEYS:
            raise UsageError(f"keys: expected one of {', '.join(KEYS)}, got {self.keys!r}.")


@dataclass(frozen=True)
class Converted:
    """A head model, the arrays that its file had, and what is to be recorded."""

    head: HeadModel
    exact: Mapping[str, Array] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def model_kind(path: Path) -> str:
    """flame, gnm or ict, by what is in the file; UnreadableInput or AssetError where it is no head model."""
    return _opened(path)[0]


def likely_licence(path: Path, kind: str) -> str:
    """The short name of the licence that a file of this name is under as a rule."""
    return "flame-open" if kind == "flame" and "open" in path.name.lower() else kind


def convert(
    path: Path,
    source: HeadModel,  # the open head
    licence: str,  # a short name of LICENCES, or a text
    options: ConvertOptions | None = None,
) -> Converted:
    """Read, check, register and fit a distributed model. Nothing is written."""
    options = options or ConvertOptions()
    kind, content = _opened(path)
    known = LICENCES.get(licence)
    if known is not None and known.kind != kind:
        raise UsageError(f"{path.name} is of the kind {kind}; the licence {licence} is for {known.kind}.")
    text = known.text if known else licence
    found = _CONVERTERS[kind](content, path, source, text, options)
    shares = found.head.correspondence is not None and found.head.correspondence.shares_layout
    borrow = options.borrow if shares else ()
    own = len(found.head.template)
    found = replace(found, head=with_borrowed(found.head, source, borrow))
    metadata = {"own_vertices": own, "source": path.name, "sha256": digest_of(path), "kind": kind, **found.metadata}
    return replace(found, metadata=metadata)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder."""
    if path.is_dir():
        together = hashlib.sha256()
        for member in sorted(path.glob("*.obj")):
            together.update(member.name.encode() + member.read_bytes())
        return together.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _opened(path: Path) -> tuple[str, Mapping[str, Array]]:
    if not path.exists():
        raise AssetError(f"The head model {path} is missing.", "Give the path of your copy.")
    if path.is_dir():
        if is_ict(path):
            return "ict", {}
        raise UnreadableInput(f"The folder {path.name} is no head model: ICT-FaceKit's FaceXModel was expected.")
    table = read_table(path, "a head model")
    for kind, fits in (("flame", is_flame), ("gnm", is_gnm)):
        if fits(table):
            return kind, table
    names = ", ".join(sorted(table)[:5]) or "no arrays"
    raise UnreadableInput(
        f"{path.name} is no head model that is known here: it has {names}.",
        "FLAME's model file, GNM's gnm_head.npz or ICT-FaceKit's folder FaceXModel was expected.",
    )


def _flame(table: Table, path: Path, source: HeadModel, licence: str, options: ConvertOptions) -> Converted:
    flame = flame_of(table, path.name)
    wanted, there = options.raw_keys or RAW_KEYS["flame"], (len(flame.expressions), len(flame.shapes))
    expressions, identities = np.minimum(wanted, there).tolist()
    about = Description(
        name="flame",
        licence=licence,
        expression_names=numbered("expression", len(flame.expressions)),
        raw_names=numbered("expression", expressions) + numbered("shape", identities),
        raw_shapes=np.concatenate([flame.expressions[:expressions], flame.shapes[:identities]]),
        known_parts=read_masks(options.masks, flame) if options.masks else {},
        layout=read_layout(options.layout, flame) if options.layout else None,
    )
    head, fits = parametric_head(flame, source, about, options.keys)
    exact = {name: np.asarray(table[name]) for name in FLAME_ARRAYS}
    return Converted(head, exact, {"keys": options.keys, "key_fits": [asdict(fit) for fit in fits]})


def _gnm(table: Table, path: Path, source: HeadModel, licence: str, options: ConvertOptions) -> Converted:
    _refuse_flames_files(options, "GNM")
    gnm = gnm_of(table, path.name)
    names, shapes = raw_choice(gnm, *(options.raw_keys or RAW_KEYS["gnm"]))
    about = Description("gnm", licence, gnm.expression_names, names, shapes, gnm.parts, jaw=False)
    head, fits = parametric_head(gnm.model, source, about, options.keys)
    exact = {name: array for name, array in table.items() if array.dtype.kind in "fiub"}
    return Converted(head, exact, {"keys": options.keys, "key_fits": [asdict(fit) for fit in fits]})


def _ict(table: Table, path: Path, source: HeadModel, licence: str, options: ConvertOptions) -> Converted:
    _refuse_flames_files(options, "ICT-FaceKit")
    ict = read_ict(path, licence)
    adopted = adopt(ict.foreign, source)
    head = replace(
        adopted.head,
        blendshapes=ict.shapes.astype(np.float32),
        blendshape_names=ict.names,
        blendshape_ranges=np.tile(np.array([0, 1], np.float32), (len(ict.names), 1)),
    )
    return Converted(head, {}, {"keys": "own"})


def _refuse_flames_files(options: ConvertOptions, name: str) -> None:
    if options.masks or options.layout:
        raise UsageError(f"{name} names its own parts; --masks and --layout are for FLAME.")


FLAME_ARRAYS = ("v_template", "f", "shapedirs", "posedirs", "J_regressor", "weights")
_CONVERTERS: dict[str, Callable[..., Converted]] = {"flame": _flame, "gnm": _gnm, "ict": _ict}
