from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshlam_core.errors import AssetError, UsageError
from meshlam_core.frames import Camera
from meshlam_core.model import files, session
from meshlam_core.model.files import bundled_weights
from meshlam_core.model.network import MeshLAM
from meshlam_core.model.session import RefineJob, Refiner, make_photo
from meshlam_core.model.weights import WeightsInfo, save_weights
from meshlam_core.tracker.parsing import Regions
from meshlam_core.tracker.types import Detection, TrackedFace
from tests.model.tiny import TINY_HEAD, tiny_network, tiny_preset
from tests.tolerance import round_off


def make_job(width: int = 60, height: int = 80, seed: int = 0) -> RefineJob:
    random = np.random.default_rng(seed)
    camera = Camera(150.0, (30.0, 36.0), (width, height))
    box = (0.0, 0.0, float(width), float(height))
    detection = Detection(np.zeros((478, 3), np.float32), np.zeros(52, np.float32), box, 1.0)
    tracked = TrackedFace(
        camera=camera,
        identity=np.zeros(2, np.float32),
        vertices=TINY_HEAD.template,
        expression=np.zeros(len(TINY_HEAD.blendshapes), np.float32),
        rotations=np.zeros((5, 3), np.float32),
        translation=np.array([0, -0.17, -0.7], np.float32),
        detection=detection,
        landmark_error=0.01,
        plausibility=1.0,
    )
    picture = random.integers(0, 256, (height, width, 3)).astype(np.uint8)
    albedo = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    return RefineJob(tracked, picture, np.ones((height, width), np.float32), camera, albedo)


def make_regions(job: RefineJob) -> Regions:
    height, width = job.picture.shape[:2]
    person = np.zeros((height, width), np.float32)
    person[10:, 10:50] = 1
    hair = np.where(np.arange(height)[:, None] < 30, person, 0).astype(np.float32)
    colour = np.zeros(3, np.float32)
    return Regions(person, hair, person - hair, 0 * person, colour, colour, 0.5)


def test_masks_reach_the_network_and_go_on_beyond_the_picture_as_at_its_edge() -> None:
    job = make_job()
    job = replace(job, regions=make_regions(job))
    borders = make_photo(job, TINY_HEAD).borders
    assert borders is not None
    hair, person, known = borders[0, -3:].numpy()
    side = len(hair)
    edge = side * 60 // 80
    assert known[:, : edge - 1].min() == 1
    assert not known[:, edge:].any()
    np.testing.assert_allclose(person[side // 2 :, side // 4 : side // 2], 1, atol=1e-6)
    assert hair[side // 4, side // 3] == 1
    assert hair[side // 2].max() == 0
    np.testing.assert_array_equal(person[:, edge:], np.repeat(person[:, edge : edge + 1], side - edge, axis=1))


def test_weights_of_shapes_alone_move_the_head_by_what_the_masks_show_and_leave_eyes_alone() -> None:
    network = tiny_network()
    info = WeightsInfo(network.preset, "tiny", "", "CC0-1.0", {"stage": "geometry"})
    refiner = Refiner(network, TINY_HEAD, info=info)
    assert refiner.shapes_only
    assert not Refiner(network, TINY_HEAD).shapes_only
    job = make_job()
    blind, seeing = refiner.reshape(job), refiner.reshape(replace(job, regions=make_regions(job)))
    assert seeing.shape == TINY_HEAD.template.shape
    assert np.abs(seeing - blind).max() > 1e-4
    eyes = TINY_HEAD.part == TINY_HEAD.parts.index("eyeballs")
    np.testing.assert_array_equal(seeing[eyes], TINY_HEAD.template[eyes])


def test_the_picture_lies_in_the_corner_of_a_square_and_nothing_beside_it_counts() -> None:
    job = make_job()
    photo = make_photo(job, TINY_HEAD)
    assert photo.image.shape == (1, 3, 80, 80)
    assert photo.cameras == (Camera(150.0, (30.0, 36.0), (80, 80)),)
    np.testing.assert_allclose(photo.image[0, :, :, :60].permute(1, 2, 0).numpy(), job.picture / 255, atol=1e-6)
    assert not photo.mask[..., 60:].any()
    assert bool(photo.mask[..., :60].all())


def test_large_pictures_are_shrunk_with_their_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_PHOTO", 40)
    photo = make_photo(make_job(), TINY_HEAD)
    assert photo.image.shape[-1] == 40
    assert photo.cameras[0] == Camera(75.0, (15.0, 18.0), (40, 40))


def test_refined_heads_are_whole_and_do_not_depend_on_their_batch() -> None:
    refiner = Refiner(tiny_network(correction="topology"), TINY_HEAD)
    jobs = [make_job(seed=1), make_job(seed=2)]
    together = refiner.refine(jobs, 64)
    for job, refined in zip(jobs, together, strict=True):
        count = len(refined.vertices)
        assert count > len(TINY_HEAD.template)
        assert refined.albedo.shape == (64, 64, 3)
        assert refined.albedo.dtype == refined.albedo_seen.dtype == np.uint8
        assert len(refined.part) == len(refined.weights) == refined.blendshapes.shape[1] == count
        assert refined.faces.max() < count
        assert len(refined.uv_faces) == len(refined.faces)
        np.testing.assert_allclose(refined.weights.sum(1), 1, **round_off(refined.weights, layers=20))
        alone = refiner.refine([job], 64)[0]
        np.testing.assert_allclose(alone.vertices, refined.vertices, **round_off(refined.vertices, layers=100))
        assert np.abs(alone.albedo.astype(int) - refined.albedo).max() <= 1
    assert refiner.refine([], 64) == []


def test_a_persons_own_blendshapes_come_back_on_the_refined_mesh() -> None:
    refiner = Refiner(tiny_network(correction="topology"), TINY_HEAD)
    plain, own = make_job(seed=1), make_job(seed=2)
    shapes = (3 * TINY_HEAD.blendshapes).astype(np.float32)
    own = replace(own, tracked=replace(own.tracked, blendshapes=shapes))
    first, second = refiner.refine([plain, own], 64)
    jaw = int(np.abs(TINY_HEAD.blendshapes).sum((1, 2)).argmax())
    largest = np.abs(TINY_HEAD.blendshapes[jaw]).max()
    assert np.abs(first.blendshapes[jaw]).max() == pytest.approx(largest, rel=1e-3)
    assert np.abs(second.blendshapes[jaw]).max() == pytest.approx(3 * largest, rel=1e-3)


def test_a_mask_or_camera_of_another_size_is_refused() -> None:
    job = make_job()
    with pytest.raises(UsageError, match=r"expected person and camera of 60x80 px, got 60x79"):
        make_photo(replace(job, person=job.person[1:]), TINY_HEAD)


def test_weights_open_the_refiner_of_their_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.safetensors"
    save_weights(tiny_network(), tiny_preset(), TINY_HEAD, path, "CC0-1.0")
    with pytest.raises(AssetError, match="expected backbone_size 256 in preset small, got 64"):
        Refiner.open(path, TINY_HEAD)
    monkeypatch.setattr(session, "preset", lambda name: tiny_preset())
    refiner = Refiner.open(path, TINY_HEAD)
    assert isinstance(refiner.network, MeshLAM)
    assert refiner.info is not None
    assert refiner.info.licence == "CC0-1.0"


def test_without_weights_there_is_nothing_to_refine_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "DATA", tmp_path)
    monkeypatch.setenv("MESHLAM_HOME", str(tmp_path))
    assert bundled_weights("small") is None
    with pytest.raises(AssetError, match="are missing"):
        Refiner.open(tmp_path / "small.safetensors", TINY_HEAD)
