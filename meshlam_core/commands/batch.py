"""Many photos to avatars: which ones, under which names, what is already done, and the report of all.

A folder stands for all photos in it and below it. Each photo becomes FOLDER/NAME.meshlam; namesakes get as much of
their path as tells them apart. An avatar that is there and was made of the same photo is done, so that a run that was
ended can be started again.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlam_core.avatar.io import read_summary, write_avatar
from meshlam_core.commands.failures import describe_failure
from meshlam_core.commands.sessions import Sessions, reconstruct_all
from meshlam_core.errors import MeshlamError, UnreadableInput
from meshlam_core.files.images import PHOTO_SUFFIXES
from meshlam_core.files.outputs import write_file
from meshlam_core.progress import Progress

if TYPE_CHECKING:
    from meshlam_core.pipeline import ReconstructOptions

REPORT = "report.html"
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.4em 1em;text-align:left;"
    "border-bottom:1px solid #ccc}img{width:96px;height:96px;background:#888}.failed{color:#a00}"
)


def find_photos(given: Sequence[Path]) -> list[Path]:
    """The photos themselves and those of folders, each once, in the order given; no folder may be without any."""
    photos: dict[Path, Path] = {}
    for path in given:
        found = [path]
        if path.is_dir():
            found = [file for file in sorted(path.rglob("*")) if _is_photo(file)]
            if not found:
                raise UnreadableInput(f"There is no photo in the folder {path}.", "JPEG, PNG and HEIC are usual.")
        for photo in found:
            photos.setdefault(photo.absolute(), photo)
    return list(photos.values())


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".") and path.is_file()


def name_avatars(photos: Sequence[Path]) -> list[str]:
    """A file name for each photo, all different: x, or a-x and b-x, or x-jpg and x-png."""
    parts = [photo.absolute().parts[1:] for photo in photos]  # without the root or the drive
    names = [photo.stem for photo in photos]
    for depth in range(1, max(map(len, parts), default=0)):
        shared = {name for name, count in Counter(map(str.casefold, names)).items() if count > 1}
        if not shared:
            break
        for index, path in enumerate(parts):
            if names[index].casefold() in shared:
                stem, suffix = Path(path[-1]).stem, Path(path[-1]).suffix[1:]
                folder = path[-1 - depth : -1] if len(path) > depth else path[:-1]
                twins = sum(other[:-1] == path[:-1] and Path(other[-1]).stem == stem for other in parts) > 1
                names[index] = "-".join([*(() if twins and depth == 1 else folder), stem, *([suffix] * twins)])
    taken: Counter[str] = Counter()
    for index, name in enumerate(names):  # what still coincides, or differs by its case alone
        taken[name.casefold()] += 1
        if (count := taken[name.casefold()]) > 1:
            names[index] = f"{name}-{count}"
    return [f"{name}.meshlam" for name in names]


def reconstruct_files(
    given: Sequence[Path],
    folder: Path,
    options: ReconstructOptions,
    sessions: Sessions,
    progress: Progress,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Photos -> FOLDER/NAME.meshlam, in batches; what fails is told beside the others' reports."""
    photos = find_photos(given)
    targets = [folder / name for name in name_avatars(photos)]
    folder.mkdir(exist_ok=True)
    results: list[dict[str, Any]] = [{} for _ in photos]
    for index, (photo, out) in enumerate(zip(photos, targets, strict=True)):
        if not overwrite and (summary := _done(photo, out)):
            results[index] = {"photo": str(photo), "avatar": str(out), "skipped": True} | summary
    wanted = [index for index, result in enumerate(results) if not result]
    work = reconstruct_all([photos[index] for index in wanted], options, sessions, progress)
    for index, made in zip(wanted, work, strict=True):
        try:
            if isinstance(made, Exception):
                raise made
            write_avatar(made.avatar, targets[index])
            results[index] = {"photo": str(photos[index]), "avatar": str(targets[index])} | made.report
        except Exception as error:
            results[index] = {"photo": str(photos[index])} | describe_failure(error)
    write_file(folder / REPORT, _page(results).encode())
    codes = [int(result.get("exit_code", 0)) for result in results]
    return {"results": results, "report": str(folder / REPORT), "exit_code": next(filter(None, codes), 0)}


def _done(photo: Path, out: Path) -> dict[str, Any] | None:
    """What is known of an avatar that was made of this very photo before."""
    if not out.is_file():
        return None
    try:
        provenance = read_summary(out)[0]
        with photo.open("rb") as file:
            same = provenance.get("photo_sha256") == hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, MeshlamError):
        return None
    known = {name: provenance.get(name) for name in ("landmark_error", "warnings")}
    return known if same else None


def _page(results: Sequence[dict[str, Any]]) -> str:
    rows = "\n".join(_row(result) for result in results)
    title = html.escape(summary_line(results))
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    columns = "<tr><th><th>photo<th>avatar<th>landmark error<th>remarks</tr>"
    return f"""<!DOCTYPE html>
<html lang="en">{head}
<h1>{title}</h1>
<table>{columns}
{rows}
</table></html>
"""


def _row(result: dict[str, Any]) -> str:
    photo = html.escape(result["photo"])
    if "error" in result:
        error = result["error"]
        said = html.escape(f"{error['message']} {error['hint']}".strip())
        return f'<tr class="failed"><td><td>{photo}<td>not made<td><td>{said}</tr>'
    avatar = Path(result["avatar"])
    picture = base64.b64encode(read_summary(avatar)[1]).decode()
    remarks = " ".join(html.escape(text) for text in result.get("warnings") or ())
    return (
        f'<tr><td><img alt="" src="data:image/png;base64,{picture}"><td>{photo}<td>{html.escape(avatar.name)}'
        f"<td>{result['landmark_error']:.2%}<td>{remarks}</tr>"
    )


def summary_line(results: Sequence[dict[str, Any]]) -> str:
    """How many photos became what."""
    failed = sum("error" in result for result in results)
    skipped = sum(bool(result.get("skipped")) for result in results)
    return f"{len(results)} photos: {len(results) - failed - skipped} made, {skipped} done before, {failed} failed"


def table(results: Sequence[dict[str, Any]]) -> str:
    """One line a photo, for a terminal, and the sum."""
    width = max(len(result["photo"]) for result in results)
    lines = []
    for result in results:
        if "error" in result:
            told = f"FAILED   {result['error']['message']} {result['error']['hint']}".rstrip()
        else:
            state = "done before" if result.get("skipped") else f"{result['timings']['total']:.2f} s"
            told = f"{result['landmark_error']:7.2%}  {state:>11}  {Path(result['avatar']).name}"
            told += "".join(f"\n  warning: {text}" for text in result.get("warnings") or ())
        lines.append(f"{result['photo']:<{width}}  {told}")
    return "\n".join([*lines, summary_line(results)])
