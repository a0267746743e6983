"""The error on held-out samples, in millimetres, apart by what and where, beside that of the start V_0.

Dims: B samples, V vertices.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshlam_core.frames import Camera, rotation_from_axis_angle
from meshlam_core.model.config import preset
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.state import Rig
from meshlam_core.raster.render import MeshRenderer
from training.data.record import Record
from training.geometry.batch import GeometryBatch, make_batch
from training.geometry.stage import refine_start, start_in_photo, within_reach
from training.geometry.subset import Surface

BATCH = 16
VERTICES = 900  # looked at, the same ones each time
SEED = 5
SHOWN = 4  # heads on the sheet
SIDE = 160  # px of a head there
YAWS = (-35.0, -90.0, 180.0)  # degrees
DISTANCE, ACROSS = 1.2, 0.36  # m, of the sheet's camera, and what it shows
RAYS = preset("small").with_changes(deformation="rays")  # errors are those along the rays, whatever is trained


class HeldOut:
    """Samples that are never learnt from."""

    unit = "mm"

    def __init__(self, records: list[Record], rig: Rig, vertices: int = VERTICES) -> None:
        surface = Surface(rig)
        rng = np.random.default_rng(SEED)
        chosen = np.sort(rng.choice(surface.movable, min(vertices, len(surface.movable)), replace=False))
        subset = surface.of(chosen)
        parts = [records[i : i + BATCH] for i in range(0, len(records), BATCH)]
        self.batches = [make_batch(part, subset, len(rig.parents)) for part in parts]
        self.ways = [start_in_photo(RAYS, batch)[1] for batch in self.batches]
        self.groups = groups(subset.rig)
        self.rig, self.surface, self.shown = rig, surface, records[:SHOWN]

    def start(self) -> dict[str, float]:
        """Mean errors of V_0, mm."""
        return self._errors([batch.photo.vertices for batch in self.batches])

    @torch.no_grad()
    def measure(self, network: MeshLAM) -> dict[str, float]:
        """Mean errors of the network's result, mm."""
        return self._errors([refine_start(network, batch)[-1].state.vertices for batch in self.batches])

    @torch.no_grad()
    def sheet(self, network: MeshLAM) -> NDArray[np.uint8]:  # [3 SIDE, heads * views * SIDE, 3] sRGB
        """Clay heads from some sides: truth, start and result below each other."""
        batch = make_batch(self.shown, self.surface.of(self.surface.movable), len(self.rig.parents))
        found = refine_start(network, batch)[-1].state.vertices
        columns = []
        for record, moved in zip(self.shown, found, strict=True):
            truth, start = (torch.from_numpy(array.astype(np.float32)) for array in (record.truth, record.start))
            result = start.clone()
            result[batch.subset.vertices] = moved
            columns += [clay(self.rig, head, yaw) for yaw in YAWS for head in (truth, start, result)]
        grid = np.stack(columns).reshape(-1, 3, SIDE, SIDE, 3)
        return np.concatenate([np.concatenate(list(grid[:, row]), 1) for row in range(3)])

    def _errors(self, found: list[torch.Tensor]) -> dict[str, float]:
        pairs = zip(found, self.batches, self.ways, strict=True)
        wrong = [within_reach(vertices - batch.truth, ways) for vertices, batch, ways in pairs]
        error = 1000 * torch.cat(wrong).norm(dim=-1)  # [B, n]
        seen = torch.cat([batch.seen for batch in self.batches]) > 0.5
        result = {name: float(error[:, group].mean()) for name, group in self.groups.items()}
        hair = torch.from_numpy(self.groups["hair front"] | self.groups["hair back"])
        result["hair seen"] = float(error[seen & hair].mean())
        result["hair hidden"] = float(error[~seen & hair].mean())
        turned = torch.tensor([abs(_yaw(batch, i)) > 0.6 for batch in self.batches for i in range(len(batch))])
        face = torch.from_numpy(self.groups["face"])
        result["face turned"] = float(error[turned][:, face].mean()) if bool(turned.any()) else float("nan")
        result["all"] = float(error.mean())
        return result


def _yaw(batch: GeometryBatch, index: int) -> float:
    return float(batch.photo.rotations[index, 0, 1])


def groups(rig: Rig) -> Mapping[str, NDArray[np.bool_]]:  # [n] each
    """Face, ears, neck, and what hair moves, before and behind the middle of the head."""
    part = np.array(rig.parts)[rig.part.numpy()]
    moved = rig.limits.numpy() > 0.03
    front = rig.template[:, 2].numpy() > float(rig.template[:, 2].mean()) - 0.03
    ears, neck = part == "ears", part == "neck"
    hair = moved & ~ears & ~neck
    return {
        "face": ~moved & ~ears & ~neck,
        "ears": ears,
        "neck": neck,
        "hair front": hair & front,
        "hair back": hair & ~front,
    }


def clay(rig: Rig, vertices: torch.Tensor, yaw: float) -> NDArray[np.uint8]:  # [SIDE, SIDE, 3]
    """A neutral head [V, 3] seen from one side, on black."""
    blank, light = np.zeros((1, 1, 3), np.uint8), vertices.new_ones(len(vertices))
    renderer = MeshRenderer(rig.faces, rig.uvs, rig.uv_faces, blank, light)
    turn = torch.from_numpy(rotation_from_axis_angle(np.array([0, np.radians(yaw), 0]))).to(vertices)
    middle = (rig.template.amin(0) + rig.template.amax(0)) / 2
    camera = Camera(SIDE * DISTANCE / ACROSS, (SIDE / 2, SIDE / 2), (SIDE, SIDE))
    placed = (vertices - middle) @ turn.T - vertices.new_tensor([0, 0, DISTANCE])
    drawn = renderer.draw(placed, camera, "clay")
    return np.asarray(drawn[..., :3] * (drawn[..., 3:] > 0))


class Curve:
    """A CSV file of errors against samples seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, samples: int, minutes: float, errors: Mapping[str, float]) -> None:
        """One more row; the header is written with the first."""
        new = not self.path.is_file()
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["samples", "minutes", *errors])
            writer.writerow([samples, f"{minutes:.1f}", *(f"{value:.3f}" for value in errors.values())])

    def draw(self, out: Path, unit: str) -> None:
        """A picture: errors as shares of the start's, against samples."""
        from matplotlib.figure import Figure

        with self.path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        samples = [int(row["samples"]) for row in rows]
        for name in (name for name in rows[0] if name not in ("samples", "minutes")):
            start = float(rows[0][name])
            axes.plot(samples, [float(row[name]) / start for row in rows], label=f"{name} ({start:.3g} {unit})")
        axes.set_xlabel("samples seen")
        axes.set_ylabel("error / error of the start")
        axes.legend(fontsize=7, ncols=2)
        axes.grid(alpha=0.3)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=100)
