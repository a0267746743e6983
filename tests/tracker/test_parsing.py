"""Person, hair and skin masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from meshlam_core.files.images import load_photo
from meshlam_core.points import OVAL
from meshlam_core.tracker.hair import LEVEL
from meshlam_core.tracker.landmarks import MediaPipeDetector
from meshlam_core.tracker.parsing import (
    DOUBTFUL,
    WORK,
    GuidedFilter,
    Regions,
    greenness,
    head_window,
    judge_masks,
    parse_person,
    polygon_mask,
)

U8 = NDArray[np.uint8]


@pytest.fixture(scope="module")
def astronaut(assets: dict[str, Path]) -> tuple[U8, NDArray[np.float32]]:
    """The NASA portrait that scikit-image carries, cut around the head, and its landmarks."""
    data = pytest.importorskip("skimage.data")
    picture = np.ascontiguousarray(data.astronaut()[:300, 80:380])
    (face,) = MediaPipeDetector(assets["face_landmarker"]).detect(picture)
    return picture, face.landmarks


@pytest.fixture(scope="module")
def regions(astronaut: tuple[U8, NDArray[np.float32]]) -> Regions:
    return parse_person(*astronaut)


def test_the_face_is_skin_and_the_hair_beside_it_is_hair(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    _, landmarks = astronaut
    face = polygon_mask(landmarks[OVAL, :2].astype(np.float64), regions.person.shape) > 0
    assert regions.skin[face].mean() > 0.8
    assert regions.person[face].mean() > 0.98
    height = np.ptp(landmarks[:468, 1])
    top = landmarks[10, :2].astype(int)
    above = regions.hair[int(top[1] - 0.2 * height) : int(top[1] - 0.1 * height), top[0] - 5 : top[0] + 5]
    assert above.mean() > 0.8
    assert regions.hair_share > 0.4


def test_the_background_is_nobody_and_the_space_suit_is_neither_skin_nor_hair(regions: Regions) -> None:
    assert regions.person[:60, :20].max() < 0.1
    suit = (slice(195, 235), slice(80, 160))  # inside the parsed window
    assert regions.person[suit].mean() > 0.8
    assert regions.other[suit].mean() > 0.6


def test_the_masks_add_up_to_the_person(regions: Regions) -> None:
    total = regions.hair + regions.skin + regions.other
    np.testing.assert_allclose(total, regions.person, atol=0.02)
    for mask in (regions.person, regions.hair, regions.skin, regions.other):
        assert mask.dtype == np.float32
        assert mask.shape == (300, 300)
        assert 0 <= mask.min() <= mask.max() <= 1


def test_hair_is_darker_than_skin_here(regions: Regions) -> None:
    assert regions.hair_colour.mean() < 0.6 * regions.skin_colour.mean()
    assert regions.skin_colour[0] > regions.skin_colour[2]


def test_transparent_pixels_belong_to_nobody(astronaut: tuple[U8, NDArray[np.float32]]) -> None:
    picture, landmarks = astronaut
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:, :150] = 0
    assert parse_person(picture, landmarks, alpha).person[:, :140].max() < 0.05


def test_masks_move_with_a_shifted_and_larger_picture(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    picture, landmarks = astronaut
    doubled = np.repeat(np.repeat(picture, 2, axis=0), 2, axis=1)[20:]
    moved = landmarks * 2 - np.array([0, 20, 0], np.float32)
    hair = parse_person(doubled, moved).hair
    assert hair.shape == doubled.shape[:2]
    before = regions.hair[10:]
    overlap = ((hair[::2, ::2] > 0.5) & (before > 0.5)).sum() / ((hair[::2, ::2] > 0.5) | (before > 0.5)).sum()
    assert overlap > 0.93


def test_the_same_picture_gives_the_same_masks(astronaut: tuple[U8, NDArray[np.float32]], regions: Regions) -> None:
    np.testing.assert_array_equal(parse_person(*astronaut).hair, regions.hair)


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


def before(picture: U8, person: NDArray[np.float32], behind: U8) -> U8:
    """The person of one picture before another background."""
    matte = person[..., None]
    return np.asarray(picture * matte + behind * (1 - matte) + 0.5, np.uint8)


def grainy(colour: NDArray[np.floating], shape: tuple[int, ...]) -> U8:
    """A wall of one colour, sRGB 0..1, with a little noise."""
    noise = np.random.default_rng(0).normal(0, 0.02, shape)
    return np.asarray(((colour + noise).clip(0, 1) * 255), np.uint8)


def test_hair_before_a_wall_of_its_own_colour_keeps_its_outline(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    picture, landmarks = astronaut
    dark = before(picture, regions.person, grainy(regions.hair_colour, picture.shape))
    found = parse_person(dark, landmarks)
    assert overlap(found.hair, regions.hair) > 0.85
    chin = int(landmarks[152, 1])
    assert overlap(found.person[:chin], regions.person[:chin]) > 0.93


def test_grey_hair_before_a_white_wall_keeps_its_outline(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    picture, landmarks = astronaut
    hair = regions.hair[..., None]
    light = picture.mean(axis=2, keepdims=True) / 255
    grey = 0.62 + 0.6 * (light - (light * hair).sum() / hair.sum())
    dyed = np.asarray((picture * (1 - hair) + 255 * grey.clip(0, 1) * hair), np.uint8)
    found = parse_person(before(dyed, regions.person, grainy(np.full(3, 0.93), picture.shape)), landmarks)
    assert overlap(found.hair, regions.hair) > 0.8


def test_leaves_behind_thin_hair_are_no_hair(astronaut: tuple[U8, NDArray[np.float32]], regions: Regions) -> None:
    picture, landmarks = astronaut
    spots = np.random.default_rng(0).uniform(0.2, 2.0, (30, 30)).astype(np.float32)
    light = np.array(Image.fromarray(spots).resize(picture.shape[1::-1], Image.Resampling.BICUBIC))[..., None]
    leaves = 255 * (light * regions.hair_colour * np.array([0.8, 1.25, 0.7])).clip(0, 1)
    shown = before(picture, regions.person * (1 - 0.4 * regions.hair), leaves.astype(np.uint8))
    found = parse_person(shown, landmarks)
    assert (found.hair > LEVEL)[greenness(shown / np.float32(255)) > 0.1].mean() < 0.015
    assert overlap(found.hair, regions.hair) > 0.6  # half of which are leaves now


def test_clothes_of_the_colour_of_the_hair_are_no_hair(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    picture, landmarks = astronaut
    clothes = (regions.other > 0.5)[..., None]
    light = picture.mean(axis=2, keepdims=True) / 255
    dark = 255 * (regions.hair_colour + 0.4 * (light - light[clothes].mean())).clip(0, 1)
    found = parse_person(np.where(clothes, dark, picture).astype(np.uint8), landmarks)
    assert overlap(found.hair, regions.hair) > 0.85


def test_someone_else_in_the_background_belongs_to_nobody(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    """The same head once more, smaller, mirrored, beside the first and behind it."""
    picture, landmarks = astronaut
    second = np.roll(np.ascontiguousarray(picture[:, ::-1]), 115, axis=1)
    crowd = before(picture, regions.person, second)
    found = parse_person(crowd, landmarks)
    assert overlap(found.person[:180], regions.person[:180]) > 0.85  # above the shoulders, which touch


def test_a_hat_is_no_hair(astronaut: tuple[U8, NDArray[np.float32]], regions: Regions) -> None:
    """A knitted cap: all of the hair above the brows, green and striped."""
    picture, landmarks = astronaut
    edge = int(landmarks[105, 1]) - 12
    cap = np.zeros(picture.shape[:2], bool)
    cap[:edge] = (regions.hair + regions.skin)[:edge] > 0.5
    wool = np.broadcast_to(np.array([40, 120, 60]), picture.shape).copy()
    wool[::6] -= 25
    found = parse_person(np.where(cap[..., None], wool, picture).astype(np.uint8), landmarks)
    assert found.hair[cap].mean() < 0.35
    assert found.person[cap].mean() > 0.9


def test_a_picture_cut_through_the_hair_shows_the_same_hair_below_the_cut(
    astronaut: tuple[U8, NDArray[np.float32]], regions: Regions
) -> None:
    picture, landmarks = astronaut
    top = int(landmarks[10, 1]) - 15  # a bit above the forehead
    cut = parse_person(np.ascontiguousarray(picture[top:]), landmarks - np.array([0, top, 0], np.float32))
    assert overlap(cut.hair, regions.hair[top:]) > 0.88
    assert cut.trust > DOUBTFUL


def test_only_what_the_picture_shows_of_the_window_is_known(astronaut: tuple[U8, NDArray[np.float32]]) -> None:
    picture, landmarks = astronaut
    wide = np.pad(picture, ((0, 0), (400, 400), (0, 0)), mode="reflect")
    alpha = np.full(wide.shape[:2], 255, np.uint8)
    alpha[:40] = 0
    found = parse_person(wide, landmarks + np.array([400, 0, 0], np.float32), alpha)
    assert found.known is not None
    assert found.known[:30].max() == 0
    assert found.known[60:200, 500:600].min() > 0.999
    assert found.known[:, :100].max() == 0
    assert found.person[found.known == 0].max() == 0


def test_masks_of_a_real_head_are_trusted(regions: Regions) -> None:
    assert regions.trust > 0.8
    assert regions.trouble == ""


def test_masks_of_noise_are_not_trusted(astronaut: tuple[U8, NDArray[np.float32]]) -> None:
    picture, landmarks = astronaut
    noise = np.random.default_rng(0).integers(0, 255, picture.shape, dtype=np.uint8)
    found = parse_person(noise, landmarks)
    assert found.trust < DOUBTFUL
    assert found.trouble


def test_masks_that_cannot_be_those_of_a_head_say_why() -> None:
    y, x = (np.mgrid[:WORK, :WORK] - WORK / 2) / WORK
    face = ((x / 0.11) ** 2 + (y / 0.15) ** 2 < 1).astype(np.float32)
    body = np.maximum(face, (y > 0.2) & (abs(x) < 0.35)).astype(np.float32)
    hair = (((x / 0.16) ** 2 + ((y + 0.03) / 0.2) ** 2 < 1) * (1 - face)).astype(np.float32)
    nothing, everything = np.zeros_like(face), np.ones_like(face)
    assert judge_masks(np.maximum(body, hair), hair, face, everything) == (1.0, "")
    for person, strands, reason in (
        (nothing, nothing, "misses the face"),
        (everything, hair, "hardly any background"),
        (np.maximum(body, 0.6 * everything), hair, "unclear"),
        (np.maximum(body, hair), np.maximum(face, hair), "covers the face"),
        (np.where(abs(x) > 0.3, 1, body), np.where(abs(x) > 0.3, 1, hair), "far away"),
    ):
        trust, trouble = judge_masks(person.astype(np.float32), strands.astype(np.float32), face, everything)
        assert trust < DOUBTFUL
        assert reason in trouble


def test_a_guided_mask_snaps_to_the_edge_of_the_picture() -> None:
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:, 64:] = (200, 160, 120)
    rough = np.zeros((1, 128, 128), np.float32)
    rough[:, :, 58:] = 1  # six pixels off
    snapped = GuidedFilter(picture, radius=6)(rough)[0]
    assert snapped[40:90, 58:62].mean() < 0.35
    assert snapped[40:90, 67:].mean() > 0.9


def test_the_window_turns_with_the_head() -> None:
    points = np.zeros((478, 2))
    points[:, 0] = np.linspace(-1, 1, 478)
    points[10], points[152], points[33], points[263] = (0, -50), (0, 50), (-30, 0), (30, 0)
    upright = head_window(points)
    quarter = head_window(points @ np.array([[0.0, 1.0], [-1.0, 0.0]]))  # clockwise in the picture
    assert upright.roll == pytest.approx(0)
    assert quarter.roll == pytest.approx(np.pi / 2)
    assert quarter.side == pytest.approx(upright.side)
    assert quarter.centre[0] == pytest.approx(-upright.centre[1], abs=1e-6)


def test_hair_agrees_with_the_teacher_on_portraits(shared_data: Path, assets: dict[str, Path]) -> None:
    """Intersection over union with Google's hair segmenter, which is not shipped, on four portraits."""
    from training.bench.texture import hair_overlap
    from training.evaluate.teachers import HairTeacher

    teacher = HairTeacher.open(shared_data / "teachers" / "hair_segmentation.tflite")
    assert teacher is not None
    detector = MediaPipeDetector(assets["face_landmarker"])
    overlaps = []
    for path in sorted((shared_data / "portraits").glob("*.jpg"))[3::210]:
        picture = load_photo(path).pixels
        regions = parse_person(picture, detector.detect(picture)[0].landmarks)
        overlaps.append(hair_overlap(teacher, picture, regions))
    assert np.median(overlaps) > 0.8


def test_half_a_face_at_the_pictures_border_has_the_masks_of_a_face() -> None:
    """Of what lies beyond the border nothing is known: no mask misses it."""
    rows, columns = np.indices((256, 256))
    face = ((rows - 128) ** 2 + (columns - 128) ** 2 < 40**2).astype(np.float32)
    known = (columns < 128).astype(np.float32)
    person = ((rows - 128) ** 2 + (columns - 128) ** 2 < 60**2) * known
    assert judge_masks(person, np.zeros_like(face), face, known) == (1.0, "")
    assert judge_masks(0 * person, np.zeros_like(face), face, known)[1] == "the person mask misses the face"
