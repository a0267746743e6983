"""The eyeballs' texels: what the photo shows between the lids, completed to whole eyes that look ahead.

Frames: view frame and image frame of the crop (see frames.py). An eyeball's own directions are those of the rest pose,
        where it looks along +Z: theta is the angle from that axis, phi the angle around it.
Dims:   V vertices, P covered texels, R texels of one eyeball, Q of them, N points, L landmarks.

The photo is read through the detected iris, not through the fitted gaze: a texel's direction is turned so that the
eye's axis meets the iris centre in the photo. So the iris is centred in the texture whatever the fit made of the gaze.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from meshlam_core.frames import Camera
from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from meshlam_core.raster.project import project
from meshlam_core.texture.atlas import Atlas
from meshlam_core.texture.eye_layout import EyeLayout, fit_sphere
from meshlam_core.texture.mathematics import depth_inside, luminance, smooth_step
from meshlam_core.tracker.parsing import Regions

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

IRIS_ANGLE = (0.38, 0.52)  # rad, theta of the iris' edge: 4.5 to 6 mm on a ball of 12 mm
PUPIL = 0.36  # of the iris' radius, indoors
LIMBUS = (0.95, 1.1)  # of the iris' radius, over which it passes into the white
SHUT = 0.13  # height / width of the lids' opening below which nothing is read
LID_SHADE = (0.0, 0.05)  # distances from the lids, in opening widths, between which the photo is believed
LASH_SHADE = (-0.03, 0.02)  # the same for dark pixels, the lashes' shadow
WHITE_SHADE = (0.02, 0.1)  # distances from the lids, in opening widths, between which their shade on the white ends
WHITE = (0.6, 0.85)  # of the white's brightness, between which a pixel is some of it without shade
FAR = (0.7, 1.2)  # rad, theta between which the eye's white takes over from it
CELLS = 24  # across an eye's front in which its white is gathered
REACH = 1.5  # cells, standard deviation by which it goes on
SOLID = 0.1  # of the fullest cell's weight, from which the white found there outweighs the eye's
CORNERS = (0.0, 0.12)  # of the opening's width, between which its corners end, whose red is no shade
LID_SHADOW = (0.0, 0.15, 0.3)  # least, usual and most that the upper lid takes off the white's light, at its edge
LID_SHADOW_REACH = 0.1  # opening widths below the lid over which that falls to a third
HARD_SHADE = 0.9  # of the photo's shade on the white that is left away: it turns with the eye, and is seen then
DIMMED = (0.8, 1.0)  # what lids leave of the light on what they hide, at least and at most: it shows when the eye turns
IN_SHADOW = 0.3  # opening widths below the lid, in which its shadow is measured
LENS = 0.75  # of the skin's brightness, below which dark glasses lie before the eyes and their white
DARK = (0.45, 0.7)  # of the skin's brightness, between which a pixel is no such shadow
FEW = 40  # samples
BROWN = (0.27, 0.17, 0.11)
CATCHLIGHT = 0.12  # how much brighter than the iris' median a reflection is


@dataclass(frozen=True)
class _Glimpse:
    """One eyeball and what the photo shows of it."""

    layout: EyeLayout
    rows: Tensor  # [Q] which of the eyeball's texels the photo may show
    colour: Tensor  # [Q, 3] the photo there
    weight: Tensor  # [Q] 0..1
    middle: Tensor  # [Q] 0..1 how far from the corners
    shaded: Tensor  # [Q] 0..1 how far the lids may shade a white there
    shadow: Tensor  # [N] 0..1 of the upper lid's shadow at the front's texels
    within: Tensor  # [Q] which of the N the rows are
    iris_angle: float  # rad; 0 where the iris was not seen


@dataclass(frozen=True)
class PaintedEye:
    """One eyeball's texels."""

    seen: Tensor  # [Q] covered texels that the photo shows
    weight: Tensor  # [Q] 0..1 how far it is trusted
    front: Tensor  # [N] covered texels that may show between the lids
    lit: Tensor  # [N, 3] what the lids' shadows leave of the photo's light on them, and reflections add


@dataclass(frozen=True)
class _Palette:
    """Colours shared by both eyes."""

    iris: Tensor  # [K, 3] from the pupil's edge to the limbus
    sclera: Tensor  # [3]
    iris_angle: float  # rad


def paint_eyes(
    colours: Tensor,  # [P, 3] sRGB 0..1, written to
    image: Tensor,  # [1, 3, H, W] sRGB 0..1, the crop
    regions: Regions,
    tones: Tensor,  # [V, 3] of the skin around the eyes
    landmarks: F32,  # [L, 2] px of the crop
    posed: Tensor,  # [V, 3] view frame, m
    camera: Camera,  # of the crop
    valid: tuple[float, float, float, float],  # px, (x0, y0, x1, y1) of the crop that the photo covers
    atlas: Atlas,
) -> list[PaintedEye]:
    """Fill the eyeballs' texels, without the lids' shadows and without reflections, which do not turn with an eye."""
    sides = {"eyeball_left": (LEFT_EYE, LEFT_IRIS), "eyeball_right": (RIGHT_EYE, RIGHT_IRIS)}
    skin_light = float(luminance(torch.from_numpy(regions.skin_colour)))
    local_light = float(luminance(tones[atlas.lid_vertices > 0.5]).mean())
    hiding = None if regions.in_front is None else torch.from_numpy(regions.in_front)[None, None]
    glimpses = []
    for name, layout in atlas.eyes.items():
        ring, iris = sides[name]
        opening, centre = landmarks[ring].astype(np.float64), landmarks[iris : iris + 5].astype(np.float64)
        up = (landmarks[FOREHEAD] - landmarks[CHIN]).astype(np.float64)
        glimpses.append(_look(layout, opening, up, centre, image, hiding, posed, camera, valid, skin_light))
    if not glimpses:
        return []
    palette = _palette(glimpses, skin_light, min(1.0, local_light / max(LENS * skin_light, 1e-3)))
    shadow = _lid_shadow(glimpses, palette)
    painted = []
    for glimpse in glimpses:
        layout, colour = glimpse.layout, _paint(glimpse, palette)
        colours[layout.rows] = colour
        dimmed = colour[layout.front] * _lit_white(glimpse, palette, shadow, colour[glimpse.rows])
        # in the photo's light the eye is as the photo shows it, with its reflections and some of what shades the white
        trust = glimpse.weight * (1 - HARD_SHADE * _shaded_white(glimpse, palette))
        dimmed[glimpse.within] += trust[:, None] * (glimpse.colour - dimmed[glimpse.within])
        factor = dimmed / colour[layout.front].clamp_min(1e-3)
        painted.append(PaintedEye(layout.rows[glimpse.rows], glimpse.weight, layout.rows[layout.front], factor))
    return painted


def _look(
    layout: EyeLayout,
    ring: F64,  # [16, 2] px, the lids' opening
    up: F64,  # [2] px, from chin to forehead
    iris: F64,  # [5, 2] px, centre and four points of the edge
    image: Tensor,
    hiding: Tensor | None,  # [1, 1, H, W] what is before the face
    posed: Tensor,
    camera: Camera,
    valid: tuple[float, float, float, float],  # px
    skin_light: float,  # luminance of the skin
) -> _Glimpse:
    """Read one eye from the photo."""
    here = posed[layout.vertices].numpy().astype(np.float64)
    centre, radius = fit_sphere(here)
    turn = _rotation_between(layout.arms, here - centre)
    turn = _shortest_turn(turn[:, 2], _hit_sphere(iris[0], camera, centre, radius)) @ turn
    direction = layout.front_direction @ torch.from_numpy(turn.T.astype(np.float32))
    points = torch.from_numpy(centre.astype(np.float32)) + float(radius) * direction
    pixel = project(points[None], camera)[0, :, :2]
    facing = -(direction * functional.normalize(points, dim=1)).sum(1)

    below = _below_lid(pixel.numpy(), ring, up)

    # only texels in the opening's box can lie in the opening, and only the photo's part of that is seen
    first, last = np.array(valid[:2]) + 0.5, np.array(valid[2:]) - 0.5
    low = torch.from_numpy(np.maximum(ring.min(axis=0), first))
    high = torch.from_numpy(np.minimum(ring.max(axis=0), last))
    near = (((pixel > low) & (pixel < high)).all(1) & (facing > 0.2)).nonzero()[:, 0]
    pixel, facing, rows = pixel[near], facing[near], layout.front[near]
    width = float(np.linalg.norm(ring[0] - ring[8]))
    height = float(np.linalg.norm(ring[4] - ring[12]))
    seen = height > SHUT * width and bool(((iris[0] > first) & (iris[0] < last)).all())
    inside = depth_inside(pixel.numpy(), ring) / max(width, 1e-6)
    grid = 2 * pixel / pixel.new_tensor([image.shape[3], image.shape[2]]) - 1
    colour = functional.grid_sample(image, grid[None, None], align_corners=False)[0, :, 0].T
    depth = torch.from_numpy(inside.astype(np.float32))
    shadow = 1 - smooth_step(luminance(colour) / max(skin_light, 0.02), *DARK)
    shadow = shadow * (below[near] * width < height / 2)  # along the lower lid it is the lid's own lashes
    weight = torch.maximum(smooth_step(depth, *LID_SHADE), shadow * smooth_step(depth, *LASH_SHADE))
    weight = weight * smooth_step(facing, 0.2, 0.5)
    if hiding is not None:
        hidden = functional.grid_sample(hiding, grid[None, None], align_corners=False)[0, 0, 0]
        weight = weight * (1 - hidden).clamp(0, 1)
    across = ring[8] - ring[0]
    along = (pixel - torch.from_numpy(ring[0])) @ torch.from_numpy(across / max(width, 1e-6) ** 2)
    middle = smooth_step(torch.minimum(along, 1 - along).float(), *CORNERS)
    shaded = middle * (1 - smooth_step(depth, *WHITE_SHADE))
    edge = np.linalg.norm(iris[1:] - iris[0], axis=1).mean()
    apparent = edge * -centre[2] / (camera.focal * radius)  # of the ball's radius
    from_lid = torch.exp(-below / LID_SHADOW_REACH)
    angle = float(np.arcsin(np.clip(apparent, 0, 1))) if seen else 0.0
    return _Glimpse(layout, rows, colour, weight * float(seen), middle, shaded, from_lid, near, angle)


def _below_lid(
    pixel: F32,  # [N, 2] px
    ring: F64,  # [16, 2] px, the lids' opening from corner to corner and back
    up: F64,  # [2] px
) -> Tensor:  # [N] opening widths below the upper lid's edge; 0 behind the lid
    """How far from the lid that shades the eye."""
    across = ring[8] - ring[0]
    width = max(float(np.linalg.norm(across)), 1e-6)
    across = across / width
    rise = np.array([-across[1], across[0]])
    rise *= np.sign(rise @ up) or 1.0
    axes = np.stack([across, rise], axis=1)
    upper, other = (ring[rows] @ axes for rows in (range(9), [0, *range(15, 7, -1)]))
    upper = upper if upper[:, 1].sum() > other[:, 1].sum() else other
    along, height = (pixel.astype(np.float64) @ axes).T
    order = np.argsort(upper[:, 0])
    edge = np.interp(along, upper[order, 0], upper[order, 1])
    return torch.from_numpy(np.maximum(edge - height, 0) / width).float()


def _lid_shadow(glimpses: list[_Glimpse], palette: _Palette) -> float:
    """How much of the light on the white the upper lid takes at its edge, as both eyes show it."""
    least, usual, most = LID_SHADOW
    known, wanted = torch.zeros(0), torch.zeros(0)
    for glimpse in glimpses:
        shadow = glimpse.shadow[glimpse.within]
        white = (glimpse.layout.theta[glimpse.rows] > 1.2 * palette.iris_angle) & (glimpse.weight > 0.5)
        white &= (glimpse.middle > 0.5) & (shadow > float(np.exp(-IN_SHADOW / LID_SHADOW_REACH)))
        dark = 1 - luminance(glimpse.colour) / luminance(palette.sclera)
        known, wanted = torch.cat([known, shadow[white]]), torch.cat([wanted, dark[white]])
    if len(known) < FEW:
        return usual
    return float((known @ wanted / known.square().sum()).clamp(least, most))


def _lit_white(
    glimpse: _Glimpse,
    palette: _Palette,
    shadow: float,  # of the upper lid, at its edge
    painted: Tensor,  # [Q, 3] the photo's place without shadow
) -> Tensor:  # [N, 1]
    """How far the lids leave the front in the light: as the photo shows it on the white, which goes on below them."""
    usual = 1 - shadow * glimpse.shadow[:, None]
    dark = luminance(glimpse.colour) / luminance(painted).clamp_min(1e-3)
    on_white = glimpse.weight * (glimpse.layout.theta[glimpse.rows] > 1.2 * palette.iris_angle)
    found, share = _spread(glimpse, dark.clamp(*DIMMED)[:, None], on_white)
    left = usual + share * (torch.minimum(found, usual) - usual)
    # the iris' colours are the photo's, and in its shadows already
    white = smooth_step(glimpse.layout.theta[glimpse.layout.front] / palette.iris_angle, *LIMBUS)[:, None]
    return 1 - white * (1 - left)


def _palette(glimpses: list[_Glimpse], skin_light: float, lens: float) -> _Palette:
    """The eyes' colours from both of them, plausible ones where they are hidden."""
    angles = [g.iris_angle for g in glimpses if g.iris_angle > 0]
    low, high = IRIS_ANGLE
    iris_angle = float(np.clip(np.mean(angles), low, high)) if angles else (low + high) / 2
    colour = torch.cat([g.colour for g in glimpses])
    weight = torch.cat([g.weight for g in glimpses])
    ratio = torch.cat([g.layout.theta[g.rows] for g in glimpses]) / iris_angle  # 1 at the limbus

    trusted = weight > 0.5
    in_iris = trusted & (ratio > PUPIL + 0.1) & (ratio < 0.92)
    brown = torch.tensor(BROWN)
    whole = brown
    if int(in_iris.sum()) > FEW:
        sample = colour[in_iris]
        light = luminance(sample)
        whole = sample[light <= light.quantile(0.75)].median(0).values  # without reflections
    bands = []
    for inner, outer in ((0.40, 0.55), (0.55, 0.68), (0.68, 0.80), (0.80, 0.92)):
        band = trusted & (ratio > inner) & (ratio < outer)
        sample = colour[band]
        plain = sample[luminance(sample) < luminance(whole) + CATCHLIGHT]
        bands.append(0.5 * whole + 0.5 * plain.median(0).values if len(plain) > FEW // 2 else whole)

    in_sclera = trusted & (ratio > 1.2)
    white = torch.full((3,), lens * min(max(0.40 + 0.55 * skin_light, 0.5), 0.86))
    if int(in_sclera.sum()) > FEW:
        sample = colour[in_sclera]
        light = luminance(sample)
        found = sample[light >= light.quantile(0.6)].median(0).values
        grey = luminance(found)
        # lids shade the eye and tint it with skin: take the tint halfway back and lift what is too dark
        found = grey + 0.45 * (found - grey)
        white = found * (grey.clamp(0.55 * float(white[0]) + 0.2 * lens, 0.9) / grey.clamp_min(0.05))
    return _Palette(torch.stack(bands), white.clamp(0, 0.95), iris_angle)


def _paint(glimpse: _Glimpse, palette: _Palette) -> Tensor:  # [R, 3]
    """Pupil, iris, limbus and sclera, with the photo on top where it is trusted."""
    theta = glimpse.layout.theta
    ratio = theta / palette.iris_angle
    flushed = palette.sclera * palette.sclera.new_tensor([0.92, 0.68, 0.64])
    painted = palette.sclera + 0.7 * smooth_step(theta, 0.8, 1.5)[:, None] * (flushed - palette.sclera)
    front = glimpse.layout.front
    painted[front] = _continued(glimpse, palette, painted[front])
    inner = (ratio < LIMBUS[1]).nonzero()[:, 0]
    iris = _paint_iris(ratio[inner], glimpse.layout.fibres[inner], palette)
    painted[inner] = iris + smooth_step(ratio[inner], *LIMBUS)[:, None] * (painted[inner] - iris)

    # reflections stay where they are when the eye turns, so they do not belong on it
    below = painted[glimpse.rows]
    excess = luminance(glimpse.colour) - luminance(below)
    glint = smooth_step(excess, 0.08, 0.2) * (1 - smooth_step(ratio[glimpse.rows], 1.0, 1.2))
    # a shade does not turn with the eye either
    trust = glimpse.weight * 0.95 * (1 - 0.75 * glint) * (1 - _shaded_white(glimpse, palette))
    painted[glimpse.rows] = below + trust[:, None] * (glimpse.colour - below)
    return painted


def _shaded_white(glimpse: _Glimpse, palette: _Palette) -> Tensor:  # [Q] 0..1
    """How far the photo's texels are white that lids may shade."""
    return glimpse.shaded * smooth_step(glimpse.layout.theta[glimpse.rows] / palette.iris_angle, *LIMBUS)


def _continued(
    glimpse: _Glimpse,
    palette: _Palette,
    otherwise: Tensor,  # [N, 3] the front's colours far from what the photo shows
) -> Tensor:  # [N, 3]
    """The white of the eye's front: as the photo shows it between the lids, it goes on below them."""
    layout, theta = glimpse.layout, glimpse.layout.theta
    bright = smooth_step(luminance(glimpse.colour) / luminance(palette.sclera), *WHITE)
    lit = glimpse.weight * glimpse.middle * (1 - glimpse.shaded) * bright
    lit = lit * (theta[glimpse.rows] > 1.2 * palette.iris_angle)
    found, share = _spread(glimpse, glimpse.colour, lit)
    share = share * (1 - smooth_step(theta[layout.front], *FAR))[:, None]
    return otherwise + share * (found - otherwise)


def _spread(
    glimpse: _Glimpse,
    values: Tensor,  # [Q, C]
    weight: Tensor,  # [Q]
) -> tuple[Tensor, Tensor]:  # [N, C], [N, 1] 0..1 how far they outweigh what is known otherwise
    """What holds between the lids, carried on below them."""
    front, count = glimpse.layout.front, values.shape[1]
    place = glimpse.layout.front_direction[:, :2]  # -1..1
    cell = ((place[torch.searchsorted(front, glimpse.rows)] + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)
    sums = torch.zeros(CELLS**2, count + 1)
    sums.index_add_(0, cell[:, 1] * CELLS + cell[:, 0], torch.cat([values * weight[:, None], weight[:, None]], 1))
    reach = round(3 * REACH)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / REACH) ** 2)
    grid = sums.T.reshape(count + 1, 1, CELLS, CELLS)
    grid = functional.conv2d(grid, taps[None, None, None], padding=(0, reach))
    grid = functional.conv2d(grid, taps[None, None, :, None], padding=(reach, 0))
    grid = grid.reshape(1, count + 1, CELLS, CELLS)
    found = functional.grid_sample(grid, place[None, None], align_corners=False)[0, :, 0].T
    total = found[:, count:]
    return found[:, :count] / total.clamp_min(1e-9), total / (total + SOLID * grid[0, count].max()).clamp_min(1e-9)


def _paint_iris(
    ratio: Tensor,  # [Q] theta / iris angle
    fibres: Tensor,  # [Q]
    palette: _Palette,
) -> Tensor:  # [Q, 3]
    """Pupil, fibres between the bands' colours, a darker limbus."""
    last = len(palette.iris) - 1
    position = ((ratio - 0.475) / 0.385 * last).clamp(0, last)
    lower = position.floor().long().clamp(max=last - 1)
    blend = (position - lower)[:, None]
    iris = palette.iris[lower] * (1 - blend) + palette.iris[lower + 1] * blend
    iris = iris * ((1 + 0.09 * fibres) * (1 - 0.4 * smooth_step(ratio, 0.78, 1.0)))[:, None]
    pupil = 0.12 * palette.iris.mean(0) + 0.015
    return iris + (1 - smooth_step(ratio, PUPIL - 0.05, PUPIL + 0.06))[:, None] * (pupil - iris)


def _hit_sphere(pixel: F64, camera: Camera, centre: F64, radius: float) -> F64:
    """[3] unit vector from the ball's centre to where the pixel's ray meets it, or passes it most closely."""
    ray = np.array([(pixel[0] - camera.centre[0]) / camera.focal, -(pixel[1] - camera.centre[1]) / camera.focal, -1.0])
    ray /= np.linalg.norm(ray)
    along = float(ray @ centre)
    closest = along * ray - centre
    depth = np.sqrt(max(radius**2 - float(closest @ closest), 0.0))
    offset = closest - depth * ray
    return np.asarray(offset / np.linalg.norm(offset))


def _rotation_between(source: F64, target: F64) -> F64:
    """[3, 3] the rotation that best carries points [N, 3] onto others (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(target.T @ source)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def _shortest_turn(source: F64, target: F64) -> F64:
    """[3, 3] the smallest rotation that carries one unit vector onto another; not for opposite ones."""
    axis = np.cross(source, target)
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + k + k @ k / (1 + max(float(source @ target), -0.99)))
