"""How long rasterising, interpolating and unwrapping take: `python -m training.bench.raster` prints a markdown table.

The head fills the height of the picture, as in a photo crop; the sheet is 10 082 triangles over every pixel. Beside
the time on the clock stands the processor time on one thread, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from meshlam_core.frames import Camera
from meshlam_core.head.io import load_head
from meshlam_core.head.model import HeadModel
from meshlam_core.raster import build_uv_map as uv_maps
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.build_uv_map import build_uv_map
from meshlam_core.raster.interpolate import barycentrics, interpolate, sample_texture
from meshlam_core.raster.project import project
from meshlam_core.raster.render import MeshRenderer
from meshlam_core.raster.unwrap import unwrap, view_texels

TEXTURE = 1024  # texels
DISTANCE = 0.7  # m
Case = tuple[str, Callable[[], object]]


def placed(head: HeadModel, size: int, device: str) -> tuple[Tensor, Camera]:  # [1, V, 3] view frame
    """The template in front of a camera whose picture it fills from top to bottom."""
    template = torch.from_numpy(head.template.copy()).to(device)
    low, high = template.amin(0), template.amax(0)
    height = float(high[1] - low[1])
    points = template - (low + high) / 2 - template.new_tensor([0, 0, DISTANCE])
    return points[None], Camera(size * DISTANCE / height, (size / 2, size / 2), (size, size))


def sheet(size: int, device: str, cells: int = 71) -> tuple[Tensor, Tensor]:  # [1, V, 3], [F, 3]
    """A wavy sheet that covers the picture."""
    y, x = torch.meshgrid(*(torch.linspace(-1, size + 1, cells + 1, device=device),) * 2, indexing="ij")
    points = torch.stack([x, y, 1 + 0.1 * torch.sin(x / 20) * torch.cos(y / 20)], -1).view(1, -1, 3)
    corner = (torch.arange(cells, device=device)[:, None] * (cells + 1) + torch.arange(cells, device=device)).view(-1)
    below, right = corner + cells + 1, corner + 1
    faces = torch.cat([torch.stack([corner, right, below], -1), torch.stack([right, below + 1, below], -1)])
    return points, faces.int()


def cases(size: int, device: str) -> list[Case]:
    """What is timed at one picture size."""
    head = load_head()
    rasteriser = get_rasteriser("auto", device)
    points, camera = placed(head, size, device)
    faces = torch.from_numpy(head.faces.copy()).to(device)
    uvs, uv_faces = (torch.from_numpy(a.copy()).to(device) for a in (head.uvs, head.uv_faces))
    vertices = project(points, camera)
    flat, flat_faces = sheet(size, device)
    fragments = rasteriser.rasterise(vertices, faces, (size, size))
    uv_map = build_uv_map(head.uvs, head.uv_faces, TEXTURE).to(device)
    view = view_texels(points, faces, uv_map, camera, fragments)
    photo = torch.rand(1, 3, size, size, device=device)
    texture = torch.rand(1, 3, TEXTURE, TEXTURE, device=device)
    uv = interpolate(uvs, uv_faces, fragments)
    painted = (255 * texture[0].permute(1, 2, 0)).byte().cpu().numpy()
    renderer = MeshRenderer(faces, uvs, uv_faces, painted, torch.ones(len(head.template), device=device))

    def fresh_map() -> object:
        uv_maps._maps.clear()
        return build_uv_map(head.uvs, head.uv_faces, TEXTURE)

    def whole_unwrap() -> object:
        seen = view_texels(points, faces, uv_map, camera, fragments)
        return unwrap(photo, seen.pixel, seen.weight, seen.level)

    count = len(faces)
    return [
        (
            f"rasterise a sheet, {len(flat_faces)} triangles",
            lambda: rasteriser.rasterise(flat, flat_faces, (size, size)),
        ),
        (f"rasterise the head, {count} triangles", lambda: rasteriser.rasterise(vertices, faces, (size, size))),
        ("barycentrics with gradient", lambda: barycentrics(vertices, faces, fragments)),
        ("interpolate uv", lambda: interpolate(uvs, uv_faces, fragments)),
        ("sample texture", lambda: sample_texture(texture, uv)),
        (f"build UV map {TEXTURE} (once a head model)", fresh_map),
        (f"texel visibility {TEXTURE}", lambda: view_texels(points, faces, uv_map, camera, fragments)),
        (f"unwrap {TEXTURE} x 3", lambda: unwrap(photo, view.pixel, view.weight, view.level)),
        ("visibility + unwrap", whole_unwrap),
        ("picture, textured", lambda: renderer.draw(points[0], camera)),
        ("picture, clay", lambda: renderer.draw(points[0], camera, "clay")),
    ]


def timed(work: Callable[[], object], runs: int, device: str, clock: Callable[[], float]) -> list[float]:  # ms
    """Warm durations."""
    times = []
    for _ in range(runs + 2):
        start = clock()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((clock() - start) * 1e3)
    return times[2:]


def row(works: Iterable[Callable[[], object]], runs: int, device: str) -> list[str]:
    """Two cells for each picture size."""
    threads = torch.get_num_threads()
    cells = []
    for work in works:
        wall = timed(work, runs, device, time.perf_counter)
        torch.set_num_threads(1)
        alone = min(timed(work, max(3, runs // 3), device, time.process_time))
        torch.set_num_threads(threads)
        cells += [f"{statistics.median(wall):.1f} ({min(wall):.1f})", f"{alone:.1f}"]
    return cells


def cold_start() -> float:  # s
    """A fresh process until its first picture, kernels already compiled; the import of torch not counted."""
    code = (
        "import torch, time; t = time.perf_counter()\n"
        "from meshlam_core.raster.warp_backend import warm_up; warm_up(); print(time.perf_counter() - t)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    print(
        f"Device {options.device}, {torch.get_num_threads()} threads; median (minimum) of {options.runs} warm runs.\n"
    )
    columns = {size: cases(size, options.device) for size in (512, 1024)}
    heads = [f"{size} x {size}, ms | processor time on one thread, ms" for size in columns]
    print(f"| | {' | '.join(heads)} |\n|---|---|---|---|---|")
    for entries in zip(*columns.values(), strict=True):
        cells = row((work for _, work in entries), options.runs, options.device)
        print(f"| {entries[0][0]} | {' | '.join(cells)} |")
    print(f"\nFirst picture of a new process, kernels cached: {cold_start():.2f} s")


if __name__ == "__main__":
    main()
