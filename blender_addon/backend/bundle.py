"""An offline bundle: the packages and models of a backend in one archive, or in a folder of the same layout.

    bundle.json       for which computer it is: {"format": "meshlam-bundle", "target": "linux-x86_64-cp311-cpu", ...}
    wheels/*.whl      (in a folder also beside bundle.json; a plain folder of wheels will do)
    assets/*          the models, as they lie in DATA/assets

Nothing in it is trusted: wheels must have the hashes that the add-on's list demands, and the backend checks its models.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from .layout import BackendError
from .process import Stopped

FORMAT = "meshlam-bundle"
_BLOCK = 1 << 20


class Bundle:
    """Reads a bundle; BackendError says what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        if path.is_file():
            try:
                self._archive = zipfile.ZipFile(path)
            except (OSError, zipfile.BadZipFile) as error:
                raise BackendError(f"{path.name} is no offline bundle, or it is damaged: copy it again.") from error
        elif not path.is_dir():
            raise BackendError(f"There is no offline bundle at {path}: choose it again, or clear it.")

    def close(self) -> None:
        if self._archive is not None:
            self._archive.close()

    def check_target(self, target: str) -> None:
        """A bundle says for which computer it is; a plain folder of wheels does not."""
        if (stream := self._open("bundle.json")) is None:
            if self._archive is not None:
                raise BackendError(f"{self.path.name} is no offline bundle: it holds no bundle.json.")
            return
        with stream:
            try:
                content = json.loads(stream.read(_BLOCK))
            except ValueError:
                content = None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise BackendError(f"{self.path.name} is no offline bundle: its bundle.json is not one's.")
        if content.get("target") != target:
            made_for = content.get("target")
            raise BackendError(f"{self.path.name} was made for {made_for}, and this computer needs one for {target}.")

    def copy_wheel(
        self, file: str, sha256: str, to: Path, on_bytes: Callable[[int], None], stop: threading.Event
    ) -> None:
        """Copy a wheel out, checking its hash; `on_bytes` is told how much of it is done."""
        stream = self._open(f"wheels/{file}") or (self._open(file) if self._archive is None else None)
        if stream is None:
            raise BackendError(f"{self.path.name} does not hold {file}: it was made for another version of the add-on.")
        with stream, to.open("wb") as target:
            digest = _copy(stream, target, on_bytes, stop)
        if digest != sha256:
            to.unlink()
            raise BackendError(f"{file} in {self.path.name} is damaged (its hash is wrong): copy the bundle again.")

    def assets(self) -> list[str]:
        """The models in it, by their path below DATA/assets."""
        if self._archive is None:
            root = self.path / "assets"
            names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]
        else:
            infos = [info for info in self._archive.infolist() if not info.is_dir()]
            names = [info.filename.removeprefix("assets/") for info in infos if info.filename.startswith("assets/")]
        for name in names:
            parts = PurePosixPath(name).parts
            if ".." in parts or PurePosixPath(name).is_absolute() or ":" in name or "\\" in name:
                raise BackendError(f"{self.path.name} is no offline bundle: it holds a file named {name}.")
        return names

    def copy_asset(self, name: str, to: Path, stop: threading.Event) -> None:
        """Copy a model to its place, whole or not at all."""
        stream = self._open(f"assets/{name}")
        assert stream is not None
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f".{to.name}.part")
        try:
            with stream, part.open("wb") as target:
                _copy(stream, target, lambda _: None, stop)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def _open(self, name: str) -> IO[bytes] | None:
        try:
            return self._archive.open(name) if self._archive is not None else (self.path / name).open("rb")
        except (KeyError, FileNotFoundError):
            return None


@contextmanager
def opened(path: Path | None) -> Iterator[Bundle | None]:
    """A bundle while it is used; None without one."""
    if path is None:
        yield None
        return
    bundle = Bundle(path)
    try:
        yield bundle
    except zipfile.BadZipFile as error:
        raise BackendError(f"{path.name} is damaged: copy it again.") from error
    finally:
        bundle.close()


def _copy(source: IO[bytes], target: IO[bytes], on_bytes: Callable[[int], None], stop: threading.Event) -> str:
    digest, done = hashlib.sha256(), 0
    while block := source.read(_BLOCK):
        if stop.is_set():
            raise Stopped
        digest.update(block)
        target.write(block)
        done += len(block)
        on_bytes(done)
    return digest.hexdigest()
