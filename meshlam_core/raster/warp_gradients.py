"""The kernels of differentiable interpolation, forwards and backwards. Twins in torch: interpolate.py and normals.py.

Frame: image frame, pixels and metres (see frames.py).
Dims:  B batch, V vertices, F triangles, H rows, W columns, C channels.
Compiled together with warp_kernels.py, and imported only by warp_runtime.py, like that file. A first dimension of 1
serves all images of the batch. Sums over vertices go into `slot`, so that bands of rows that run side by side on the
CPU never add to the same number: the result does not depend on who is first.
"""

# mypy: ignore-errors
# the annotations are types of the kernel language, and the bodies are compiled, never run as Python

import warp as wp

from meshlam_core.raster.interface import SUBPIXELS
from meshlam_core.raster.warp_kernels import MODULE

KERNELS = (
    *("bary_forward", "bary_backward", "blend_forward", "blend_backward", "normals_forward", "normals_backward"),
    *("spread", "turn_forward", "turn_backward", "nearest_column", "nearest_pixel"),
)
THIN = wp.constant(wp.float32(4.0 / SUBPIXELS))


@wp.func(module=MODULE)
def area2(p: wp.vec2, q: wp.vec2) -> wp.float32:
    return p[0] * q[1] - p[1] * q[0]


@wp.func(module=MODULE)
def is_thin(a: wp.vec2, b: wp.vec2, c: wp.vec2, area: wp.float32) -> wp.bool:
    """Narrower than the rasteriser's grid, so that float32 says nothing about it."""
    longest = wp.sqrt(wp.max(wp.length_sq(a - b), wp.max(wp.length_sq(b - c), wp.length_sq(c - a))))
    return wp.abs(area) <= longest * THIN


@wp.func(module=MODULE)
def seen_from(vertices: wp.array3d(dtype=wp.float32), b: wp.int32, i: wp.int32, x: wp.int32, y: wp.int32) -> wp.vec2:
    """A vertex relative to a pixel's centre."""
    return wp.vec2(vertices[b, i, 0] - wp.float32(x) - 0.5, vertices[b, i, 1] - wp.float32(y) - 0.5)


@wp.kernel(module=MODULE)
def bary_forward(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3] pixel x, pixel y, depth
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B, H, W] -1 where empty
    given: wp.array4d(dtype=wp.float32),  # [B, H, W, 3] the rasteriser's
    first_row: wp.int32,
    lanes: wp.int32,
    out: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
):
    """Thread (b, row, lane): perspective-correct barycentrics of every `lanes`-th pixel of a row."""
    b, row, lane = wp.tid()
    y = first_row + row
    for x in range(lane, face.shape[2], lanes):
        f = face[b, y, x]
        u = wp.float32(0.0)
        v = wp.float32(0.0)
        w = wp.float32(0.0)
        if f >= 0:
            p = seen_from(vertices, b, faces[f, 0], x, y)
            q = seen_from(vertices, b, faces[f, 1], x, y)
            r = seen_from(vertices, b, faces[f, 2], x, y)
            if is_thin(p, q, r, area2(q, r) + area2(r, p) + area2(p, q)):
                u = given[b, y, x, 0]
                v = given[b, y, x, 1]
                w = given[b, y, x, 2]
            else:
                u = area2(q, r) / vertices[b, faces[f, 0], 2]
                v = area2(r, p) / vertices[b, faces[f, 1], 2]
                w = area2(p, q) / vertices[b, faces[f, 2], 2]
                total = u + v + w
                u = u / total
                v = v / total
                w = w / total
        out[b, y, x, 0] = u
        out[b, y, x, 1] = v
        out[b, y, x, 2] = w


@wp.kernel(module=MODULE)
def bary_backward(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B, H, W]
    upstream: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
    first_row: wp.int32,
    lanes: wp.int32,
    slot: wp.int32,
    out: wp.array4d(dtype=wp.float32),  # [slots, B, V, 3] summed
):
    """With b_i = w_i / W and w_i = e_i / z_i: dL/dw_i = (g_i - g . b) / W, and e_i turns with its two corners."""
    b, row, lane = wp.tid()
    y = first_row + row
    for x in range(lane, face.shape[2], lanes):
        f = face[b, y, x]
        if f >= 0:
            i = faces[f, 0]
            j = faces[f, 1]
            k = faces[f, 2]
            p = seen_from(vertices, b, i, x, y)
            q = seen_from(vertices, b, j, x, y)
            r = seen_from(vertices, b, k, x, y)
            e = wp.vec3(area2(q, r), area2(r, p), area2(p, q))
            if not is_thin(p, q, r, e[0] + e[1] + e[2]):
                near = wp.vec3(1.0 / vertices[b, i, 2], 1.0 / vertices[b, j, 2], 1.0 / vertices[b, k, 2])
                w = wp.cw_mul(e, near)
                scale = 1.0 / (w[0] + w[1] + w[2])
                g = wp.vec3(upstream[b, y, x, 0], upstream[b, y, x, 1], upstream[b, y, x, 2])
                mean = wp.dot(g, w) * scale
                d = wp.cw_mul(wp.vec3(g[0] - mean, g[1] - mean, g[2] - mean) * scale, near)  # dL/de
                z = -wp.cw_mul(wp.cw_mul(d, e), near)  # dL/dz
                wp.atomic_add(out, slot, b, i, 0, d[2] * q[1] - d[1] * r[1])
                wp.atomic_add(out, slot, b, i, 1, d[1] * r[0] - d[2] * q[0])
                wp.atomic_add(out, slot, b, i, 2, z[0])
                wp.atomic_add(out, slot, b, j, 0, d[0] * r[1] - d[2] * p[1])
                wp.atomic_add(out, slot, b, j, 1, d[2] * p[0] - d[0] * r[0])
                wp.atomic_add(out, slot, b, j, 2, z[1])
                wp.atomic_add(out, slot, b, k, 0, d[1] * p[1] - d[0] * q[1])
                wp.atomic_add(out, slot, b, k, 1, d[0] * q[0] - d[1] * p[0])
                wp.atomic_add(out, slot, b, k, 2, z[2])


@wp.kernel(module=MODULE)
def blend_forward(
    attributes: wp.array3d(dtype=wp.float32),  # [B or 1, V, C]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B or 1, H, W] -1 where empty
    bary: wp.array4d(dtype=wp.float32),  # [B or 1, H, W, 3]
    first_row: wp.int32,
    lanes: wp.int32,
    out: wp.array4d(dtype=wp.float32),  # [B, H, W, C]
):
    """Thread (b, row, lane): attributes blended in every `lanes`-th pixel of a row."""
    b, row, lane = wp.tid()
    y = first_row + row
    ba = wp.min(b, attributes.shape[0] - 1)
    bf = wp.min(b, face.shape[0] - 1)
    bb = wp.min(b, bary.shape[0] - 1)
    for x in range(lane, face.shape[2], lanes):
        f = face[bf, y, x]
        if f < 0:
            for c in range(attributes.shape[2]):
                out[b, y, x, c] = 0.0
        else:
            i = faces[f, 0]
            j = faces[f, 1]
            k = faces[f, 2]
            u = bary[bb, y, x, 0]
            v = bary[bb, y, x, 1]
            w = bary[bb, y, x, 2]
            for c in range(attributes.shape[2]):
                out[b, y, x, c] = attributes[ba, i, c] * u + attributes[ba, j, c] * v + attributes[ba, k, c] * w


@wp.kernel(module=MODULE)
def blend_backward(
    attributes: wp.array3d(dtype=wp.float32),  # [B or 1, V, C]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B or 1, H, W]
    bary: wp.array4d(dtype=wp.float32),  # [B or 1, H, W, 3]
    upstream: wp.array4d(dtype=wp.float32),  # [B, H, W, C]
    to_attributes: wp.int32,  # 0 or 1: wanted?
    to_bary: wp.int32,
    first_row: wp.int32,
    lanes: wp.int32,
    slot: wp.int32,
    out_attributes: wp.array4d(dtype=wp.float32),  # [slots, B, V, C] summed
    out_bary: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
):
    """The products with the other factor."""
    b, row, lane = wp.tid()
    y = first_row + row
    ba = wp.min(b, attributes.shape[0] - 1)
    bf = wp.min(b, face.shape[0] - 1)
    bb = wp.min(b, bary.shape[0] - 1)
    for x in range(lane, face.shape[2], lanes):
        f = face[bf, y, x]
        if f >= 0:
            i = faces[f, 0]
            j = faces[f, 1]
            k = faces[f, 2]
            if to_attributes != 0:
                u = bary[bb, y, x, 0]
                v = bary[bb, y, x, 1]
                w = bary[bb, y, x, 2]
                for c in range(attributes.shape[2]):
                    g = upstream[b, y, x, c]
                    wp.atomic_add(out_attributes, slot, b, i, c, g * u)
                    wp.atomic_add(out_attributes, slot, b, j, c, g * v)
                    wp.atomic_add(out_attributes, slot, b, k, c, g * w)
            if to_bary != 0:
                s = wp.float32(0.0)
                t = wp.float32(0.0)
                r = wp.float32(0.0)
                for c in range(attributes.shape[2]):
                    g = upstream[b, y, x, c]
                    s += g * attributes[ba, i, c]
                    t += g * attributes[ba, j, c]
                    r += g * attributes[ba, k, c]
                out_bary[b, y, x, 0] = s
                out_bary[b, y, x, 1] = t
                out_bary[b, y, x, 2] = r


@wp.func(module=MODULE)
def point(values: wp.array3d(dtype=wp.float32), b: wp.int32, i: wp.int32) -> wp.vec3:
    return wp.vec3(values[b, i, 0], values[b, i, 1], values[b, i, 2])


@wp.func(module=MODULE)
def add_to(values: wp.array3d(dtype=wp.float32), b: wp.int32, i: wp.int32, by: wp.vec3):
    wp.atomic_add(values, b, i, 0, by[0])
    wp.atomic_add(values, b, i, 1, by[1])
    wp.atomic_add(values, b, i, 2, by[2])


@wp.kernel(module=MODULE)
def normals_forward(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    out: wp.array3d(dtype=wp.float32),  # [B, V, 3] summed
):
    """Thread (b, f): a triangle's normal, twice its area long, goes to its corners."""
    b, f = wp.tid()
    a = point(vertices, b, faces[f, 0])
    normal = wp.cross(point(vertices, b, faces[f, 1]) - a, point(vertices, b, faces[f, 2]) - a)
    for k in range(3):
        add_to(out, b, faces[f, k], normal)


@wp.kernel(module=MODULE)
def normals_backward(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    upstream: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    out: wp.array3d(dtype=wp.float32),  # [B, V, 3] summed
):
    """n = u x v: dL/du = v x g and dL/dv = g x u."""
    b, f = wp.tid()
    i = faces[f, 0]
    j = faces[f, 1]
    k = faces[f, 2]
    a = point(vertices, b, i)
    u = point(vertices, b, j) - a
    v = point(vertices, b, k) - a
    g = point(upstream, b, i) + point(upstream, b, j) + point(upstream, b, k)
    to_u = wp.cross(v, g)
    to_v = wp.cross(g, u)
    add_to(out, b, i, -(to_u + to_v))
    add_to(out, b, j, to_u)
    add_to(out, b, k, to_v)


@wp.kernel(module=MODULE)
def spread(
    values: wp.array3d(dtype=wp.float32),  # [B, N, C]
    source: wp.array1d(dtype=wp.int32),  # [E] rows of `values`
    target: wp.array1d(dtype=wp.int32),  # [E] rows of `out`
    out: wp.array3d(dtype=wp.float32),  # [B, M, C] summed
):
    """Thread (b, e) adds one row to another."""
    b, e = wp.tid()
    for c in range(values.shape[2]):
        wp.atomic_add(out, b, target[e], c, values[b, source[e], c])


@wp.func(module=MODULE)
def pixel_of(image: wp.array4d(dtype=wp.float32), b: wp.int32, y: wp.int32, x: wp.int32) -> wp.vec3:
    return wp.vec3(image[b, 0, y, x], image[b, 1, y, x], image[b, 2, y, x])


@wp.func(module=MODULE)
def comparable(found: wp.vec3, target: wp.vec3) -> wp.bool:
    """Both directions are known; the floor is that of the twin's normalisation."""
    return wp.length_sq(target) > 0.5 and wp.length(found) > 1.0e-6


@wp.kernel(module=MODULE)
def turn_forward(
    directions: wp.array3d(dtype=wp.float32),  # [B, V, 3] any length
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B, H, W] -1 where empty
    bary: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
    target: wp.array4d(dtype=wp.float32),  # [B, 3, H, W] unit or zero
    first_row: wp.int32,
    lanes: wp.int32,
    out: wp.array3d(dtype=wp.float32),  # [B, H, 2] one minus the cosine and 1, summed over the comparable pixels
):
    """Thread (b, row, lane) compares the blended directions with the target in every `lanes`-th pixel of a row."""
    b, row, lane = wp.tid()
    y = first_row + row
    total = wp.float32(0.0)
    count = wp.float32(0.0)
    for x in range(lane, face.shape[2], lanes):
        f = face[b, y, x]
        if f >= 0:
            n = point(directions, b, faces[f, 0]) * bary[b, y, x, 0]
            n += point(directions, b, faces[f, 1]) * bary[b, y, x, 1]
            n += point(directions, b, faces[f, 2]) * bary[b, y, x, 2]
            t = pixel_of(target, b, y, x)
            if comparable(n, t):
                total += 1.0 - wp.dot(n, t) / wp.length(n)
                count += 1.0
    wp.atomic_add(out, b, y, 0, total)
    wp.atomic_add(out, b, y, 1, count)


@wp.kernel(module=MODULE)
def turn_backward(
    directions: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face: wp.array3d(dtype=wp.int32),  # [B, H, W]
    bary: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
    target: wp.array4d(dtype=wp.float32),  # [B, 3, H, W]
    upstream: wp.array3d(dtype=wp.float32),  # [B, H, 2]
    first_row: wp.int32,
    lanes: wp.int32,
    slot: wp.int32,
    out_directions: wp.array4d(dtype=wp.float32),  # [slots, B, V, 3] summed
    out_bary: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
):
    """With m = n / |n|: d(1 - m . t)/dn = ((m . t) m - t) / |n|."""
    b, row, lane = wp.tid()
    y = first_row + row
    for x in range(lane, face.shape[2], lanes):
        f = face[b, y, x]
        if f >= 0:
            i = point(directions, b, faces[f, 0])
            j = point(directions, b, faces[f, 1])
            k = point(directions, b, faces[f, 2])
            n = i * bary[b, y, x, 0] + j * bary[b, y, x, 1] + k * bary[b, y, x, 2]
            t = pixel_of(target, b, y, x)
            if comparable(n, t):
                m = wp.normalize(n)
                d = (m * wp.dot(m, t) - t) * (upstream[b, y, 0] / wp.length(n))
                out_bary[b, y, x, 0] = wp.dot(d, i)
                out_bary[b, y, x, 1] = wp.dot(d, j)
                out_bary[b, y, x, 2] = wp.dot(d, k)
                for corner in range(3):
                    part = d * bary[b, y, x, corner]
                    for c in range(3):
                        wp.atomic_add(out_directions, slot, b, faces[f, corner], c, part[c])


@wp.kernel(module=MODULE)
def nearest_column(
    region: wp.array3d(dtype=wp.bool),  # [N, H, W]
    out: wp.array3d(dtype=wp.int32),  # [N, H, W] column of the region's nearest pixel in the same row, or far away
):
    """Thread (n, row) scans a row from both sides."""
    n, y = wp.tid()
    width = region.shape[2]
    last = -4 * width
    for x in range(width):
        if region[n, y, x]:
            last = x
        out[n, y, x] = last
    last = 5 * width
    for back in range(width):
        x = width - 1 - back
        if region[n, y, x]:
            last = x
        if last - x < x - out[n, y, x]:
            out[n, y, x] = last


@wp.kernel(module=MODULE)
def nearest_pixel(
    wanted: wp.array3d(dtype=wp.bool),  # [N, H, W]
    column: wp.array3d(dtype=wp.int32),  # [N, H, W] from nearest_column
    first_row: wp.int32,
    lanes: wp.int32,
    out: wp.array3d(dtype=wp.int32),  # [N, H, W] row * W + column; stays as it is where there is none
):
    """Thread (n, row, lane) looks further and further up and down for the nearest pixel of the region."""
    n, row, lane = wp.tid()
    y = first_row + row
    height = wanted.shape[1]
    width = wanted.shape[2]
    for x in range(lane, width, lanes):
        if wanted[n, y, x]:
            best = height * height + width * width
            for away in range(height):
                if away * away >= best:
                    break
                for side in range(2):
                    other = y + away * (1 - 2 * side)
                    if other >= 0 and other < height:
                        across = column[n, other, x] - x
                        distance = across * across + away * away
                        if distance < best:
                            best = distance
                            out[n, y, x] = other * width + column[n, other, x]
