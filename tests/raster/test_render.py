"""Pictures: where they are, what colour they have, what is left out."""

from __future__ import annotations

import pytest
import torch

from meshlam_core.frames import Camera
from meshlam_core.raster.render import Style, render
from tests.raster.meshes import camera, sphere_before_camera

POINTS, MESH = sphere_before_camera(rings=20)
VIEW = camera(48)
TEXTURE = torch.tensor([0.9, 0.5, 0.2]).view(1, 3, 1, 1).expand(1, 3, 32, 32)


def draw(style="none", **options):
    return render(POINTS, MESH.faces, VIEW, MESH.uvs, MESH.faces, TEXTURE, style, **options)


def test_an_unlit_picture_shows_the_texture_and_is_transparent_around_it():
    image = draw()
    assert image.shape == (1, 4, 48, 48)
    colour, alpha = image[0, :3], image[0, 3]
    assert alpha[24, 24] == 1
    assert alpha[0, 0] == 0
    assert (colour[:, alpha == 0] == 0).all()
    torch.testing.assert_close(colour[:, alpha > 0], TEXTURE[0, :, 0, :1].expand(3, int((alpha > 0).sum())))


def test_the_disc_has_the_size_that_the_camera_says():
    # a sphere seen from a distance d covers a disc of radius f * r / sqrt(d^2 - r^2)
    radius = VIEW.focal * 0.1 / (0.6**2 - 0.1**2) ** 0.5
    assert abs(draw(Style(samples=4))[0, 3].sum() / (torch.pi * radius**2) - 1) < 0.03


def test_more_samples_soften_the_outline():
    hard, soft = draw(Style(samples=1))[0, 3], draw(Style(samples=4))[0, 3]
    assert set(hard.unique().tolist()) == {0.0, 1.0}
    assert len(soft.unique()) > 8
    assert (hard - soft).abs().max() < 0.75


def test_the_background_shines_through_where_nothing_is():
    ground = torch.full((1, 3, 48, 48), 0.3)
    image = draw(background=ground)
    assert (image[0, 3] == 1).all()
    torch.testing.assert_close(image[0, :3, 0, 0], torch.full((3,), 0.3))
    torch.testing.assert_close(image[0, :3, 24, 24], TEXTURE[0, :, 0, 0])


def test_clay_is_lit_from_above_left_and_needs_no_texture():
    image = render(POINTS, MESH.faces, VIEW, style="clay")[0, :3].mean(0)
    above, below = image[16, 20], image[32, 28]
    assert above > below + 0.1
    assert 0.05 < below < above <= 1


def test_facets_have_one_brightness_each():
    smooth = render(POINTS, MESH.faces, VIEW, style=Style("clay", samples=1))[0, 0]
    facets = render(POINTS, MESH.faces, VIEW, style=Style("flat", samples=1))[0, 0]
    inner = (slice(18, 30), slice(18, 30))
    assert len((facets[inner] * 100).round().unique()) < len((smooth[inner] * 100).round().unique())


def test_lit_texture_is_the_texture_times_the_light():
    image = draw("lambert")[0, :3, 24, 24]
    assert image[0] > image[1] > image[2]  # the texture's order of channels


def test_wires_follow_the_edges():
    square = torch.tensor([[-0.2, -0.2, -1.0], [0.2, -0.2, -1], [0.2, 0.2, -1], [-0.2, 0.2, -1]])[None]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    view = Camera(100.0, (32.0, 32.0), (64, 64))  # the square reaches from 12 to 52
    plain = render(square, faces, view, style=Style("clay"))[0, 0]
    wired = render(square, faces, view, style=Style("clay", wire=1.0))[0, 0]
    darker = plain - wired > 0.2
    assert darker[12, 14:50].all()  # the upper side
    diagonal = torch.arange(16, 48)
    assert darker[63 - diagonal, diagonal].all()  # from the lower left to the upper right
    assert not darker[40, 30:34].any()
    assert not darker[:11].any()


@pytest.mark.parametrize("by", ["triangle", "vertex"])
def test_hidden_parts_are_left_out(by):
    if by == "triangle":
        centres = POINTS[0][MESH.faces.long()].mean(1)
        hidden = centres[:, 1] > 0
    else:
        hidden = POINTS[0, :, 1] > 0.001
    alpha = draw(hidden=hidden, style=Style(cull="back"))[0, 3]
    assert (alpha[:22] == 0).all()
    assert alpha[30, 24] == 1


def test_a_hidden_front_shows_the_inside_of_the_back_unless_culled():
    hidden = POINTS[0, :, 2] > -0.6
    assert draw(hidden=hidden)[0, 3, 24, 24] == 1
    assert draw(hidden=hidden, style=Style(cull="back"))[0, 3, 24, 24] == 0


def test_hidden_triangles_do_not_shift_the_others_texture():
    halves = torch.zeros(1, 3, 32, 32)
    halves[..., :16] = 1  # the subject's right, at the image's left
    hidden = torch.zeros(len(MESH.faces), dtype=torch.bool)
    hidden[:100] = True
    full = render(POINTS, MESH.faces, VIEW, MESH.uvs, MESH.faces, halves)[0, 0]
    part = render(POINTS, MESH.faces, VIEW, MESH.uvs, MESH.faces, halves, hidden=hidden, style=Style(cull="back"))[0]
    shown = part[3] == 1
    assert shown.any()
    assert not shown.all()
    torch.testing.assert_close(part[0][shown], full[shown])


def test_a_head_outside_the_picture_gives_an_empty_one():
    image = render(POINTS + torch.tensor([5.0, 0, 0]), MESH.faces, VIEW, style=Style("clay", wire=1.0))
    assert (image == 0).all()


def test_each_image_of_a_batch_has_its_own_texture():
    two = torch.cat([TEXTURE, TEXTURE.flip(1)])
    image = render(POINTS.expand(2, -1, -1), MESH.faces, VIEW, MESH.uvs, MESH.faces, two)
    torch.testing.assert_close(image[0, :3], image[1, :3].flip(0))


def test_missing_textures_and_wrong_masks_are_named():
    with pytest.raises(ValueError, match='shading "none": expected uvs, uv_faces and texture'):
        render(POINTS, MESH.faces, VIEW)
    with pytest.raises(ValueError, match="hidden: expected one flag per triangle"):
        draw(hidden=torch.zeros(3, dtype=torch.bool))
