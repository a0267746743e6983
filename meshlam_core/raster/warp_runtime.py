"""Loading warp quietly and launching its kernels, on one device or on the CPU in bands of rows.

The kernels of all KERNEL_FILES form one warp module: compiling is mostly fixed cost (once for each machine and version;
the result is cached on disk), so one module shortens the first start.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from meshlam_core.errors import DeviceError

KERNEL_FILES = (  # each names its kernels in KERNELS
    *(f"meshlam_core.raster.{name}" for name in ("warp_kernels", "warp_texels", "warp_gradients")),
    "meshlam_core.texture.warp_texture",
    "meshlam_core.model.warp_strands",
)
BANDS = 2  # parts of an image worked on at once on the CPU: each repeats the triangle set-up, so few
TEXEL_BANDS = 8  # the same for textures: no set-up, and some rows are much more work than others
_loading = threading.Lock()


def warp_device(tensor: Tensor) -> torch.device:
    """Where kernels work on this tensor: in place on the CPU and on CUDA, else on a CPU copy."""
    return tensor.device if tensor.device.type == "cuda" else torch.device("cpu")


def launch(
    kernel: str,
    dim: tuple[int, ...],
    inputs: list[Any],  # tensors (contiguous, on `device`) and numbers
    device: torch.device,
) -> None:
    """Run one kernel, on torch's current stream where there is one."""
    loaded = load(str(device))
    wp = loaded.warp
    values = [wp.from_torch(x, return_ctype=True) if isinstance(x, Tensor) else x for x in inputs]
    stream = wp.stream_from_torch(torch.cuda.current_stream(device)) if device.type == "cuda" else None
    wp.launch(loaded.kernels[kernel], dim, values, device=loaded.device, stream=stream)


def in_bands(
    draw: Callable[[int, int], None],  # works on rows first to end - 1 only
    height: int,
    device: torch.device,
    bands: int = BANDS,
) -> None:
    """Call `draw` for all rows: at once on CUDA, in parallel bands on the CPU."""
    if device.type == "cuda" or height < 2 * bands or torch.get_num_threads() == 1:
        draw(0, height)
        return
    load(str(device))
    edges = [round(i * height / bands) for i in range(bands + 1)]
    # warp's CPU kernels run outside Python's lock, so threads do run side by side
    for done in [_pool().submit(draw, *band) for band in pairwise(edges)]:
        done.result()


def over_rows(
    kernel: str,
    shape: tuple[int, int, int],  # images, rows, columns
    before: list[Any],  # the kernel's arguments before `first row, lanes` and, with `slots`, the band's number
    after: list[Any],  # and after them
    device: torch.device,
    slots: bool = False,  # bands add up into arrays of their own
    bands: int = BANDS,
) -> None:
    """Run a kernel over the rows of images, each row cut into lanes on CUDA."""
    batch, height, width = shape
    lanes = width if device.type == "cuda" else 1

    def draw(first: int, end: int) -> None:
        slot = [round(first * bands / height)] if slots else []
        launch(kernel, (batch, end - first, lanes), [*before, first, lanes, *slot, *after], device)

    if batch and height:
        in_bands(draw, height, device, bands)


def over_list(
    kernel: str,
    count: int,
    before: list[Any],  # the kernel's arguments before `first entry`
    after: list[Any],  # and after it
    device: torch.device,
) -> None:
    """Run a kernel over a list, say of texels."""

    def draw(first: int, end: int) -> None:
        launch(kernel, (end - first,), [*before, first, *after], device)

    in_bands(draw, count, device, TEXEL_BANDS)


def load(device: str) -> SimpleNamespace:
    """Import warp and make its kernels ready for a device; quick after the first call."""
    with _loading:
        return _load(device)


@cache
def _load(device: str) -> SimpleNamespace:
    try:
        import warp as wp
    except ImportError as cause:
        raise DeviceError(
            "The warp rasteriser needs the package warp-lang.", "Install it: pip install warp-lang."
        ) from cause
    wp.config.log_level = wp.LOG_ERROR
    try:
        kernels = _compile(wp, device)
    except OSError:  # no home, a full or read-only disk: compile for this process alone
        # never a fixed path below the shared temporary folder: what lies there gets loaded as code
        folder = tempfile.mkdtemp(prefix="meshlam-kernels-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        wp.config.kernel_cache_dir = folder
        kernels = _compile(wp, device)
    return SimpleNamespace(warp=wp, kernels=kernels, device=wp.get_device(device))


def _compile(wp: ModuleType, device: str) -> dict[str, Any]:
    """Start warp and load the kernels by name, from its cache where they are already there."""
    with _without_driver_remark():
        wp.init()
    files = [import_module(name) for name in KERNEL_FILES]
    headers = wp.config.use_precompiled_headers
    wp.config.use_precompiled_headers = False  # they pay from the second module on, and cost the first a second
    try:
        wp.load_module(files[0].MODULE, device=device)
    finally:
        wp.config.use_precompiled_headers = headers
    return {name: getattr(file, name) for file in files for name in file.KERNELS}


@contextlib.contextmanager
def _without_driver_remark() -> Iterator[None]:
    """On a machine without CUDA, warp's native code says so on stderr at every start, whatever its log level."""
    if torch.cuda.is_available():
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # a program without a console has no stderr to spare
        yield
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(BANDS, thread_name_prefix="raster")
