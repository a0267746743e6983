"""Rays through a figure of many transparent layers: colour, and how much of hair, skin and the rest a pixel shows.

Frame: any right-handed frame, +Y up. Dims: V vertices, F triangles, N image side.
"""

# mypy: ignore-errors
# the kernel's annotations are types of the kernel language, and its body is compiled, never run as Python

from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

BODY, EYE, HAIR, HAT = range(4)
LAYERS = 24  # at most, that one ray passes


@dataclass(frozen=True)
class Scene:
    """One figure and its light."""

    points: NDArray[np.floating]  # [V, 3]
    faces: NDArray[np.integer]  # [F, 3]
    corner_uvs: NDArray[np.float32]  # [F, 3, 2] (0, 0) bottom left
    kind: NDArray[np.int32]  # [F] BODY, EYE, HAIR, HAT
    skin: NDArray[np.float32]  # [T, T, 3]
    card: NDArray[np.float32]  # [T, T, 4]
    tint: NDArray[np.floating] | None  # [3] the hair's colour; None for the card's own
    collar: float  # height of the collar
    neckline: float  # how much lower it is in front, per unit forwards
    cloth: NDArray[np.floating]  # [2, 3] colours of the clothes and of their stripes (and the hat)
    stripes: float  # per unit, 0 for none
    hat_from: float | None  # height above which a hat hides the hair
    light: NDArray[np.floating]  # [3] unit, towards the light
    ambient: float  # share of light from everywhere


def gather(
    scene: Scene,
    eye: NDArray[np.floating],  # [3]
    target: NDArray[np.floating],  # [3] seen in the middle
    focal: float,  # image sides
    side: int,  # px
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # [N, N, 3] premultiplied, [N, N, 3] hair, skin, other
    """Draw a figure."""
    wp.config.quiet = True
    mesh = wp.Mesh(
        wp.array(scene.points.astype(np.float32), dtype=wp.vec3, device="cpu"),
        wp.array(scene.faces.astype(np.int32).ravel(), dtype=wp.int32, device="cpu"),
    )
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    colour, masks = (wp.zeros((side, side), dtype=wp.vec3, device="cpu") for _ in range(2))
    inputs = [
        mesh.id, wp.array(scene.corner_uvs.reshape(-1, 2), dtype=wp.vec2, device="cpu"),
        wp.array(scene.kind, dtype=wp.int32, device="cpu"), _texture(scene.skin), _texture(scene.card),
        wp.vec3(*(scene.tint if scene.tint is not None else (-1.0, 0.0, 0.0))), scene.collar, scene.neckline,
        wp.vec3(*scene.cloth[0]), wp.vec3(*scene.cloth[1]), scene.stripes,
        1e9 if scene.hat_from is None else scene.hat_from, wp.vec3(*scene.light), scene.ambient,
        wp.vec3(*eye), wp.vec3(*right), wp.vec3(*up), wp.vec3(*back), focal,
    ]  # fmt: skip
    wp.launch(trace, (side, side), [*inputs, colour, masks], device="cpu")
    return colour.numpy(), masks.numpy()


def _texture(picture):
    """Four channels, the first row at the bottom."""
    if picture.shape[2] == 3:
        picture = np.dstack([picture, np.ones_like(picture[..., 0])])
    return wp.array(np.ascontiguousarray(picture[::-1], np.float32), dtype=wp.vec4, device="cpu")


@wp.func
def looked_up(texture: wp.array2d(dtype=wp.vec4), uv: wp.vec2) -> wp.vec4:
    rows = texture.shape[0]
    columns = texture.shape[1]
    i = wp.clamp(wp.int32((uv[1] - wp.floor(uv[1])) * wp.float32(rows)), 0, rows - 1)
    j = wp.clamp(wp.int32((uv[0] - wp.floor(uv[0])) * wp.float32(columns)), 0, columns - 1)
    return texture[i, j]


@wp.kernel
def trace(
    mesh: wp.uint64,
    corner_uvs: wp.array(dtype=wp.vec2),
    kind: wp.array(dtype=wp.int32),
    skin: wp.array2d(dtype=wp.vec4),
    card: wp.array2d(dtype=wp.vec4),
    tint: wp.vec3,
    collar: wp.float32,
    neckline: wp.float32,
    cloth: wp.vec3,
    trim: wp.vec3,
    stripes: wp.float32,
    hat_from: wp.float32,
    light: wp.vec3,
    ambient: wp.float32,
    eye: wp.vec3,
    right: wp.vec3,
    up: wp.vec3,
    back: wp.vec3,
    focal: wp.float32,
    colour: wp.array2d(dtype=wp.vec3),
    masks: wp.array2d(dtype=wp.vec3),
):
    row, column = wp.tid()
    side = wp.float32(colour.shape[0])
    x = (wp.float32(column) + 0.5) / side - 0.5
    y = 0.5 - (wp.float32(row) + 0.5) / side
    direction = wp.normalize(right * x + up * y - back * focal)
    origin = eye
    left = wp.float32(1.0)
    total = wp.vec3(0.0, 0.0, 0.0)
    shares = wp.vec3(0.0, 0.0, 0.0)
    for _layer in range(LAYERS):
        hit = wp.mesh_query_ray(mesh, origin, direction, 1.0e4)
        if not hit.result:
            break
        f = hit.face
        place = origin + direction * hit.t
        uv = corner_uvs[3 * f] * hit.u + corner_uvs[3 * f + 1] * hit.v + corner_uvs[3 * f + 2] * (1.0 - hit.u - hit.v)
        facing = wp.abs(wp.dot(hit.normal, light))
        side_lit = wp.dot(hit.normal, light) * wp.sign(-wp.dot(hit.normal, direction))
        shade = ambient + (1.0 - ambient) * wp.max(side_lit, 0.0)
        alpha = wp.float32(1.0)
        paint = wp.vec3(0.0, 0.0, 0.0)
        share = wp.vec3(0.0, 0.0, 1.0)
        if kind[f] == HAIR:
            texel = looked_up(card, uv)
            alpha = texel[3]
            if place[1] - 0.25 * (1.0 - place[2]) > hat_from:
                alpha = 0.0
            paint = wp.vec3(texel[0], texel[1], texel[2])
            if tint[0] >= 0.0:
                paint = tint * (0.35 + 1.3 * (texel[0] + texel[1] + texel[2]) / 3.0)
            shade = ambient + (1.0 - ambient) * (0.3 + 0.7 * facing)
            share = wp.vec3(1.0, 0.0, 0.0)
        elif kind[f] == EYE:
            white = wp.float32(0.75)
            if hit.normal[2] > 0.93:
                white = 0.15
            paint = wp.vec3(white, white, white)
            share = wp.vec3(0.0, 1.0, 0.0)
        elif kind[f] == HAT or place[1] < collar - neckline * (place[2] + 0.3):
            paint = cloth
            if kind[f] == HAT:
                paint = trim
            if stripes > 0.0 and wp.sin(stripes * (place[0] + 0.3 * place[1])) > 0.4:
                paint = trim * 0.5 + paint * 0.5
        else:
            texel = looked_up(skin, uv)
            paint = wp.vec3(texel[0], texel[1], texel[2])
            share = wp.vec3(0.0, 1.0, 0.0)
        total = total + paint * (shade * left * alpha)
        shares = shares + share * (left * alpha)
        left = left * (1.0 - alpha)
        if left < 0.02:
            break
        origin = place + direction * 1.0e-3
    colour[row, column] = total
    masks[row, column] = shares
