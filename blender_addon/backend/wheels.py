"""Getting the wheels of a backend: by pip, or out of an offline bundle. What is there already and whole is kept."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from .bundle import Bundle
from .layout import BackendError
from .process import Finished, run
from .requirements import Requirements, Wheel, sha256_of

_TOGETHER = 10_000_000  # bytes: smaller wheels are got by one call of pip, larger ones each by one of its own
_OPTIONS = ("--no-input", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes")

OnBytes = Callable[[int, int], None]  # done, total


class Pip:
    """The environment's pip."""

    def __init__(self, python: Path, environment: dict[str, str], scratch: Path, stop: threading.Event) -> None:
        self._command = [str(python), "-m", "pip"]
        # pip's temporary files on the data folder's disk: that is where room was looked for, and what is cleaned up
        self._environment = environment | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
        self._scratch = scratch
        self._stop = stop

    def download(self, lines: Sequence[str], folder: Path, on_line: Callable[[str], None]) -> Finished:
        """Get what the requirement lines name into `folder`."""
        options = ["--no-cache-dir", "--progress-bar=raw", "--retries=3", "--timeout=30"]
        return self._run(["download", *_OPTIONS, *options, "--dest", str(folder)], lines, on_line)

    def install(self, lines: Sequence[str], folders: Sequence[Path], options: Sequence[str]) -> None:
        """Install what the lines name out of folders alone; BackendError with the reason when that fails."""
        finds = [f"--find-links={folder}" for folder in folders]
        command = ["install", "--isolated", "--no-index", "--no-compile", "--no-warn-script-location", *_OPTIONS]
        done = self._run([*command, *finds, *options], lines, None)
        if done.code:
            raise BackendError(explain(done.everything))

    def _run(self, command: list[str], lines: Sequence[str], on_line: Callable[[str], None] | None) -> Finished:
        listing = self._scratch / "requirements.txt"
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return run([*self._command, *command, "-r", listing], self._environment, self._stop, on_line)


def get_wheels(
    requirements: Requirements, folder: Path, bundle: Bundle | None, pip: Pip, on_bytes: OnBytes, stop: threading.Event
) -> None:
    """Bring all wheels into `folder`; BackendError says why that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = sorted(
        (wheel for wheel in requirements.wheels if not _is_whole(wheel, folder)), key=lambda wheel: wheel.size
    )
    done = requirements.size - sum(wheel.size for wheel in missing)
    on_bytes(done, requirements.size)
    for group in _groups(missing, 0 if bundle is not None else _TOGETHER):
        counter = _Counter(done, requirements.size, sum(wheel.size for wheel in group), on_bytes)
        if bundle is not None:
            for wheel in group:
                bundle.copy_wheel(wheel.file, wheel.sha256, folder / wheel.file, counter.set, stop)
        else:
            _download(group, folder, pip, counter)
        done += sum(wheel.size for wheel in group)
        on_bytes(done, requirements.size)


class _Counter:
    """Adds up the bytes that pip tells of."""

    def __init__(self, before: int, total: int, group: int, on_bytes: OnBytes) -> None:
        self._before, self._total, self._group, self._on_bytes = before, total, group, on_bytes
        self._files, self._last = 0, 0

    def set(self, done: int) -> None:
        self._on_bytes(self._before + min(done, self._group), self._total)

    def line(self, line: str) -> None:
        """A line of pip's; with its raw progress bar some are `Progress 1234 of 5678`, anew for each file."""
        if (found := re.match(r"Progress (\d+)(?: of \d+)?$", line)) is not None:
            now = int(found[1])
            if now < self._last:
                self._files += self._last
            self._last = now
            self.set(self._files + now)


def _download(group: Sequence[Wheel], folder: Path, pip: Pip, counter: _Counter) -> None:
    done = pip.download([wheel.line for wheel in group], folder, counter.line)
    if done.code and group[0].url:
        # not in the index that pip asks; an organisation's own may have it, so that was tried first
        done = pip.download([wheel.line_with_url for wheel in group], folder, counter.line)
    if done.code:
        raise BackendError(explain(done.everything))
    for wheel in group:
        if not _is_whole(wheel, folder):
            raise BackendError(f"{wheel.file} was downloaded and is not there: try again.")


def _groups(wheels: Sequence[Wheel], together: int) -> list[list[Wheel]]:
    """Small wheels with pip's usual source in one group, each other one alone."""
    small = [wheel for wheel in wheels if wheel.size < together and not wheel.url]
    return ([small] if small else []) + [[wheel] for wheel in wheels if wheel not in small]


def _is_whole(wheel: Wheel, folder: Path) -> bool:
    path = folder / wheel.file
    with suppress(OSError):
        return path.stat().st_size == wheel.size and sha256_of(path) == wheel.sha256
    return False


_REASONS = (  # what pip's output holds, and what it means
    (
        r"DO NOT MATCH THE HASHES",
        "A package arrived altered (its hash is wrong), so nothing was installed: try again, in another network or "
        "from an offline bundle.",
    ),
    (
        r"No space left|Errno 28|WinError 112|not enough space|Disk quota exceeded",
        "The disk is full: make room, then click Install Backend again; what was downloaded is kept.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError",
        "The connection is not trusted, as behind some firewalls: ask for a network without inspection, or use an "
        "offline bundle.",
    ),
    (
        r"ProxyError|Proxy Authentication|407 ",
        "The proxy refused the connection: set HTTPS_PROXY with name and password, or use an offline bundle.",
    ),
    (
        r"Read-only file system|Permission denied|Errno 13|Errno 30|WinError 5\b",
        "The data folder cannot be written: choose another in the preferences.",
    ),
    (
        r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|Connection (?:broken|aborted|refused|reset)"
        r"|ConnectionError|RemoteDisconnected|IncompleteRead|network is unreachable|timed out",
        "The network did not answer: check the connection and click Install Backend again (what was downloaded is "
        "kept), or use an offline bundle.",
    ),
)


def explain(output: str) -> str:
    """What pip said, as one sentence for an artist."""
    for pattern, sentence in _REASONS:
        if re.search(pattern, output, re.IGNORECASE):
            return sentence
    if found := re.search(r"No matching distribution found for (\S+)", output):
        return f"The package {found[1]} could not be found in the network: try again later, or use an offline bundle."
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["no output"]
    return f"A package could not be installed: {errors[-1].removeprefix('ERROR: ')[:200]}"
