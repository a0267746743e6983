"""The optional backend: its absence is explained, and its conventions hold on a stand-in for the real library."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch

from meshlam_core.errors import DeviceError, UsageError
from meshlam_core.raster import backends
from meshlam_core.raster.backends import get_rasteriser
from meshlam_core.raster.interface import Fragments
from meshlam_core.raster.nvdiffrast_backend import NvdiffrastRasteriser, clip_from_image, drawn_faces
from meshlam_core.raster.project import project
from meshlam_core.raster.torch_twin import TorchRasteriser
from tests.raster.meshes import camera, sphere_before_camera


class StandIn:
    """Does what nvdiffrast documents: row 0 at y = -1, output (u, v, z/w, triangle + 1), nearest z/w wins."""

    def rasterize(self, context, clip, triangles, size, grad_db):
        height, width = size
        ndc = clip[..., :3] / clip[..., 3:]
        assert ndc[:, triangles.long().unique(), 2].abs().max() <= 1
        pixel = (ndc[..., :2] + 1) / 2 * torch.tensor([width, height])
        found = TorchRasteriser().rasterise(torch.cat([pixel, clip[..., 3:]], -1), triangles, size)
        out = torch.zeros(1, height, width, 4)
        out[..., :2] = found.bary[..., :2]
        out[..., 3] = found.face + 1
        return out, None


REAL = ["the package"] if backends.has_nvdiffrast() and torch.cuda.is_available() else []


@pytest.fixture(params=["a stand-in", *REAL])
def rasteriser(request) -> NvdiffrastRasteriser:
    if request.param != "a stand-in":
        return NvdiffrastRasteriser("cuda")
    instance = NvdiffrastRasteriser.__new__(NvdiffrastRasteriser)
    instance._nvdiffrast, instance._context = StandIn(), None
    return instance


def test_its_absence_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "nvdiffrast", None)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", None)
    with pytest.raises(DeviceError, match=r"not installed.*choose the backend warp"):
        get_rasteriser("nvdiffrast", "cuda")


@pytest.fixture
def installed(monkeypatch):
    """A stand-in for the installed package, and nothing preferred yet."""
    package = ModuleType("nvdiffrast")
    package.torch = ModuleType("nvdiffrast.torch")
    package.torch.RasterizeCudaContext = lambda device: f"context on {device}"
    monkeypatch.setitem(sys.modules, "nvdiffrast", package)
    monkeypatch.setitem(sys.modules, "nvdiffrast.torch", package.torch)
    monkeypatch.setattr(backends, "has_nvdiffrast", lambda: True)
    monkeypatch.setattr(backends, "_wanted", "auto")
    backends._nvdiffrast.cache_clear()
    yield
    backends._nvdiffrast.cache_clear()


def test_on_cuda_it_is_used_where_it_is_installed_and_says_its_licence_once(installed, capsys):
    assert isinstance(get_rasteriser("auto", "cuda"), NvdiffrastRasteriser)
    assert get_rasteriser("auto", "cuda") is get_rasteriser("nvdiffrast", "cuda")
    assert capsys.readouterr().err.count("research and evaluation only") == 1
    assert not isinstance(get_rasteriser("auto", "cpu"), NvdiffrastRasteriser)


def test_the_user_may_prefer_another_or_insist_on_it(installed, monkeypatch):
    backends.prefer("warp", "cuda")
    assert not isinstance(get_rasteriser("auto", "cuda"), NvdiffrastRasteriser)
    backends.prefer("nvdiffrast", "cuda")
    assert isinstance(get_rasteriser("auto", "cuda"), NvdiffrastRasteriser)
    assert not isinstance(get_rasteriser("auto", "cpu"), NvdiffrastRasteriser)
    with pytest.raises(DeviceError, match="needs a cuda device, got cpu"):
        backends.prefer("nvdiffrast", "cpu")
    with pytest.raises(UsageError, match="expected one of auto, warp"):
        backends.prefer("gl", "cpu")


@pytest.mark.parametrize("cull", ["none", "back"])
def test_it_agrees_with_the_twin(rasteriser, cull):
    points, mesh = sphere_before_camera()
    faces = torch.cat([mesh.faces[100:], mesh.faces[:100].flip(1)])  # some seen from behind
    vertices = torch.cat([project(points, camera()), project(points * 1.1, camera())])
    where = "cpu" if isinstance(rasteriser._nvdiffrast, StandIn) else "cuda"
    got = rasteriser.rasterise(vertices.to(where), faces.to(where), (60, 64), cull)
    got = Fragments(got.face.cpu(), got.bary.cpu(), got.depth.cpu())
    expected = TorchRasteriser().rasterise(vertices, faces, (60, 64), cull)
    # clip space costs float32 digits, so a pixel on an edge may fall to the neighbour
    same = got.face == expected.face
    assert same.float().mean() > 0.999
    torch.testing.assert_close(got.bary[same], expected.bary[same], rtol=0, atol=2e-3)
    torch.testing.assert_close(got.depth[same], expected.depth[same], rtol=1e-4, atol=0)


def test_triangles_behind_the_camera_are_left_out():
    vertices = torch.tensor([[0.0, 0, 1], [9, 0, 1], [0, 9, 1], [5, 5, -1]])
    faces = torch.tensor([[0, 1, 2], [1, 2, 3], [0, 2, 1]])
    assert drawn_faces(vertices, faces, "none").tolist() == [0, 2]
    assert drawn_faces(vertices, faces, "back").tolist() == [2]


def test_image_corners_become_clip_corners():
    vertices = torch.tensor([[0.0, 0.0, 0.5], [20.0, 10.0, 2.0], [0.0, 10.0, 1.0]])
    clip = clip_from_image(vertices, torch.tensor([[0, 1, 2]]), (10, 20))
    torch.testing.assert_close(clip[:, :2] / clip[:, 3:], torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]))
    torch.testing.assert_close(clip[:, 3], vertices[:, 2])
