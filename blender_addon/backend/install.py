"""The steps: install, update, repair and remove the backend.

An environment is made under a name of its own, filled, given its models, tested, and only then put into use; what was
in use before works until that moment. Downloaded packages stay until an installation is finished, so that a stopped one
goes on where it was.
"""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import layout
from .bundle import Bundle, opened
from .check import check_backend, damaged_packages, installed_packages, package_name
from .layout import BackendError, Installation
from .locate import Backend, backend_of, base_python, clean_environment
from .meter import Meter, Report
from .preflight import ASSETS, LINE_SPEED
from .process import run
from .requirements import Requirements, own_requirement, sha256_of
from .wheels import Pip, get_wheels

PREPARING, GETTING, UNPACKING = "Preparing", "Getting the packages", "Unpacking"
MODELS, TESTING = "Getting the models", "Preparing the kernels, once"
_UNPACK_SPEED = 25e6  # bytes of wheels a second
_TEST_SECONDS = 25.0
_PATH_OF_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


@dataclass(frozen=True)
class Task:
    """What is to be installed, and where."""

    home: Path  # the data folder
    requirements: Requirements
    bundle: Path | None  # None: from the network


class Installer:
    """One run. `report` is told how far it is; `stop` ends it at the next moment, with process.Stopped."""

    def __init__(self, task: Task, report: Callable[[Report], None], stop: threading.Event) -> None:
        self._task, self._stop = task, stop
        size = task.requirements.size
        speed = LINE_SPEED if task.bundle is None else 200e6
        stages = [(PREPARING, 3.0), (GETTING, max(size / speed, 1.0)), (UNPACKING, max(size / _UNPACK_SPEED, 2.0))]
        stages += [(MODELS, ASSETS / speed + 3.0), (TESTING, _TEST_SECONDS)]
        self._meter = Meter(stages, report)

    def install(self) -> str:
        """Install, or bring what is installed up to date; returns what is there now."""
        with self._at_work() as bundle:
            current = layout.read_installation(self._task.home)
            if current is not None and self._fits(current) and self._runs(current):
                return self._update(current, bundle)
            return self._install(bundle)

    def repair(self) -> str:
        """Put right what is missing or changed; all of it anew where that does not help."""
        with self._at_work() as bundle:
            current = layout.read_installation(self._task.home)
            if current is not None and self._fits(current):
                relink(self._task.home, self._stop)
                current = layout.read_installation(self._task.home)
                if current is not None and self._runs(current):
                    with suppress(BackendError):
                        return self._mend(current, bundle)
            return self._install(bundle)

    @contextmanager
    def _at_work(self) -> Iterator[Bundle | None]:
        home = self._task.home
        with opened(self._task.bundle) as bundle, plain_errors(home), layout.only_one(home):
            if bundle is not None:
                bundle.check_target(self._task.requirements.target)
            self._meter.enter(PREPARING)
            scratch = layout.scratch_folder(home)
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            try:
                yield bundle
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
                for left in (home / "assets").glob(".fetch-*"):
                    shutil.rmtree(left, ignore_errors=True)

    def _fits(self, current: Installation) -> bool:
        wanted = self._task.requirements
        return current.target == wanted.target and current.requirements == wanted.digest

    def _runs(self, current: Installation) -> bool:
        backend = backend_of(self._task.home, current)
        try:
            return run([backend.python, "-c", ""], backend.environment(), self._stop, seconds=60).code == 0
        except (OSError, TimeoutError):
            return False

    def _install(self, bundle: Bundle | None) -> str:
        home, wanted = self._task.home, self._task.requirements
        for left in layout.unused_environments(home):
            _delete(left)
        folder = layout.new_environment_folder(home)
        try:
            made = self._make_environment(folder)
            pip = self._pip(made)
            self._meter.enter(GETTING)
            get_wheels(wanted, layout.wheels_folder(home), bundle, pip, self._meter.tick, self._stop)
            self._meter.enter(UNPACKING)
            self._unpack(pip, made, [wheel.line for wheel in wanted.wheels])
            found = self._finish(made, bundle)
        except BaseException:
            _delete(folder)
            raise
        before = layout.read_installation(home)
        layout.write_installation(home, made)
        if before is not None:
            _delete(layout.environment_folder(home, before))
        shutil.rmtree(layout.wheels_folder(home), ignore_errors=True)
        return found

    def _update(self, current: Installation, bundle: Bundle | None) -> str:
        """The packages are the right ones: bring in this add-on's meshlam where it is another."""
        wheel = self._task.requirements.own_wheel("meshlam")
        if sha256_of(wheel) != current.meshlam:
            self._meter.enter(UNPACKING)
            self._unpack(self._pip(current), current, [], anew=True)
        return self._put_right(current, bundle)

    def _mend(self, current: Installation, bundle: Bundle | None) -> str:
        """Install anew what is damaged or missing."""
        home, wanted = self._task.home, self._task.requirements
        site = self._site(current)
        there = installed_packages(site)
        broken = damaged_packages(site) | ({package_name(wheel.file) for wheel in wanted.wheels} - there)
        wheels = tuple(wheel for wheel in wanted.wheels if package_name(wheel.file) in broken)
        pip = self._pip(current, anew="pip" in broken | ({"pip"} - there))
        self._meter.enter(GETTING)
        some = Requirements(wanted.target, wheels, wanted.own)
        get_wheels(some, layout.wheels_folder(home), bundle, pip, self._meter.tick, self._stop)
        self._meter.enter(UNPACKING)
        self._unpack(pip, current, [wheel.line for wheel in wheels], anew=True)
        found = self._put_right(current, bundle)
        shutil.rmtree(layout.wheels_folder(home), ignore_errors=True)
        return found

    def _put_right(self, current: Installation, bundle: Bundle | None) -> str:
        found = self._finish(current, bundle)
        wheel = self._task.requirements.own_wheel("meshlam")
        version = wheel.name.split("-")[1]
        layout.write_installation(
            self._task.home, Installation(**(vars(current) | {"meshlam": sha256_of(wheel), "version": version}))
        )
        return found

    def _make_environment(self, folder: Path) -> Installation:
        """A virtual environment of Blender's Python; where that cannot make one, a folder of packages for it."""
        base = base_python()
        wheel = self._task.requirements.own_wheel("meshlam")
        installation = Installation(
            folder=folder.name,
            python="Scripts/python.exe" if layout.WINDOWS else "bin/python",
            base=str(base),
            packages="",
            target=self._task.requirements.target,
            requirements=self._task.requirements.digest,
            meshlam=sha256_of(wheel),
            version=wheel.name.split("-")[1],
        )
        done = run([base, "-m", "venv", "--without-pip", folder], clean_environment(), self._stop)
        if done.code or not self._runs(installation):
            shutil.rmtree(folder, ignore_errors=True)
            installation = Installation(**(vars(installation) | {"packages": "packages"}))
            (folder / "packages").mkdir(parents=True)
            if not self._runs(installation):
                raise BackendError(f"Blender's Python ({base}) cannot be run on its own: install Blender anew.")
        self._unpack_pip(self._site(installation))
        return installation

    def _unpack_pip(self, site: Path) -> None:
        """pip came with the add-on: Blender's Python need not have one."""
        with zipfile.ZipFile(self._task.requirements.own_wheel("pip")) as archive:
            archive.extractall(site)

    def _site(self, installation: Installation) -> Path:
        """Where an environment's packages lie."""
        backend = backend_of(self._task.home, installation)
        if backend.packages is not None:
            return backend.packages
        done = run([backend.python, "-c", _PATH_OF_PACKAGES], backend.environment(), self._stop, seconds=60)
        return Path(done.output.strip())

    def _pip(self, installation: Installation, anew: bool = False) -> Pip:
        if anew:
            self._unpack_pip(self._site(installation))
        backend = backend_of(self._task.home, installation)
        return Pip(backend.python, backend.environment(), layout.scratch_folder(self._task.home), self._stop)

    def _unpack(self, pip: Pip, installation: Installation, lines: Sequence[str], anew: bool = False) -> None:
        """Install wheels, and this add-on's meshlam."""
        wheel = self._task.requirements.own_wheel("meshlam")
        options = ["--force-reinstall"] if anew else []
        if installation.packages:
            options += ["--target", str(backend_of(self._task.home, installation).packages), "--upgrade"]
        folders = [layout.wheels_folder(self._task.home), wheel.parent]
        with self._ticking():
            pip.install([*lines, own_requirement(wheel)], folders, options)

    def _finish(self, installation: Installation, bundle: Bundle | None) -> str:
        """The models, and the test that compiles the kernels."""
        backend = backend_of(self._task.home, installation)
        self._meter.enter(MODELS)
        if bundle is not None:
            for name in bundle.assets():
                if not (self._task.home / "assets" / name).exists():
                    bundle.copy_asset(name, self._task.home / "assets" / name, self._stop)
        self._fetch_models(backend)
        self._meter.enter(TESTING)
        return check_backend(backend, self._stop, self._meter.tick)

    def _fetch_models(self, backend: Backend) -> None:
        """The backend gets its models itself: what is there and whole stays."""
        command: list[str | Path] = [backend.python, "-m", "meshlam_core", "assets", "fetch", "--json"]
        scratch = layout.scratch_folder(self._task.home)
        environment = backend.environment() | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
        if self._task.bundle is not None:
            command.append("--offline")
            environment["MESHLAM_WHEELS"] = str(self._task.bundle)
        done = run(command, environment, self._stop, on_tick=self._meter.tick)
        if done.code:
            raise BackendError(_why_no_models(done.output, done.log))

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Let the bar move while a step that tells nothing is at work."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(0.3):
                self._meter.tick()

        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def moved(home: Path) -> bool:
    """Whether the Blender that the environment was made with is gone."""
    current = layout.read_installation(home)
    return current is not None and not Path(current.base).exists()


def relink(home: Path, stop: threading.Event) -> bool:
    """Tie the environment to this Blender's Python where the one it was made with is gone; True when that was done."""
    current = layout.read_installation(home)
    if current is None or not moved(home):
        return False
    base = base_python()
    if not current.packages:
        folder = layout.environment_folder(home, current)
        if not folder.is_dir():
            return False
        for name in ("python", "python3", layout.python_tag().replace("cp3", "python3.")):
            (folder / "bin" / name).unlink(missing_ok=True)  # links into the old Blender
        if run([base, "-m", "venv", "--without-pip", folder], clean_environment(), stop).code:
            return False
    layout.write_installation(home, Installation(**(vars(current) | {"base": str(base)})))
    return True


def remove(home: Path) -> str:
    """Delete this Python's backend, and the models when no other Python has one; heads and weights stay."""
    with plain_errors(home), layout.only_one(home):
        current = layout.read_installation(home)
        layout.forget_installation(home)
        folders = layout.unused_environments(home)
        folders += [layout.wheels_folder(home), layout.scratch_folder(home)]
        if not layout.other_environments(home):
            folders.append(home / "assets")
        for folder in folders:
            _delete(folder)
        left = [folder for folder in folders if folder.exists()]
    if left:
        raise BackendError(f"Some files in {left[0]} are in use: close other Blender windows, then remove again.")
    return "The backend is removed" if current is not None else "There was no backend; leftovers are removed"


def _delete(folder: Path) -> None:
    """Delete a folder; twice, since a scanner may hold a file for a moment."""
    for _ in range(2):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


@contextmanager
def plain_errors(home: Path) -> Iterator[None]:
    """The system's refusals as one sentence each."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "winerror", 0) == 112:
            raise BackendError(
                f"The disk of {home} is full: make room, then click Install Backend again; what was downloaded is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BackendError(
                f"The data folder {home} cannot be written: choose another in the preferences."
            ) from error
        raise BackendError(f"The system refused ({error.strerror or error}) at {error.filename or home}.") from error


def _why_no_models(output: str, log: str) -> str:
    with suppress(ValueError, IndexError, KeyError, TypeError):
        message = json.loads(output.splitlines()[-1])["error"]["message"]
        return f"The models could not be had: {message} Check the connection and click Install Backend again."
    last = (log.strip() or output.strip() or "no output").splitlines()[-1]
    return f"The models could not be had ({last[-160:]}): click Install Backend again."
