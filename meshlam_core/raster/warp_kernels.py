"""The rasterising kernels. Importing this file imports warp: only warp_runtime.py does, on first use.

Frame, units, dims and rules: interface.py. Warp runs a kernel serially on the CPU and in parallel on CUDA, so both
kernels take a `lanes` argument that says into how many threads a triangle's or an image's rows are cut: one on
the CPU, where a thread then keeps its triangle in registers and steps the edge functions by additions.

A key packs the inverse depth's float bits above the triangle index counted down: the largest key is the nearest
surface, and the lowest index among equals. One atomic maximum therefore makes the result independent of order.
"""

# mypy: ignore-errors
# the annotations are types of the kernel language, and the bodies are compiled, never run as Python

import warp as wp

from meshlam_core.raster.interface import MAX_PIXEL, NEAR, SUBPIXELS

# no fused multiply-adds: the torch twin has none, and the two agree to the last bit
MODULE = wp.get_module("meshlam_raster")
wp.set_module_options({"enable_backward": False, "fuse_fp": False}, module=MODULE)

KERNELS = ("cover", "resolve")
STEP = wp.constant(wp.int64(SUBPIXELS))
HALF = wp.constant(wp.int64(SUBPIXELS // 2))
STEPS = wp.constant(wp.float64(SUBPIXELS))
LIMIT = wp.constant(wp.float32(MAX_PIXEL))
NEAREST = wp.constant(wp.float32(NEAR))
FARTHEST = wp.constant(wp.float32(3.0e38))
NO_FACE_KEY = wp.constant(wp.int64(0x7FFFFFFF))
LOW_BITS = wp.constant(wp.int64(0xFFFFFFFF))
ZERO = wp.constant(wp.int64(0))
WIDE = 8  # px: rows longer than this are worth the divisions that find where the triangle starts and ends


@wp.func(module=MODULE)
def snap(x: wp.float32) -> wp.int64:
    """Pixel coordinate -> grid steps, rounded to nearest, halves up."""
    return wp.int64(wp.floor(wp.float64(x) * STEPS + wp.float64(0.5)))


@wp.func(module=MODULE)
def floor_div(a: wp.int64, b: wp.int64) -> wp.int64:
    """a / b rounded towards minus infinity, for b > 0."""
    quotient = a / b
    if a - quotient * b < ZERO:
        quotient = quotient - wp.int64(1)
    return quotient


@wp.func(module=MODULE)
def usable(x: wp.float32, y: wp.float32, z: wp.float32) -> wp.bool:
    """In front of the camera and near the image; false for NaN."""
    return z > NEAREST and z < FARTHEST and wp.abs(x) <= LIMIT and wp.abs(y) <= LIMIT


@wp.func(module=MODULE)
def margin(dx: wp.int64, dy: wp.int64) -> wp.int64:
    """1 where an edge of this clockwise direction leaves the pixels on it to its neighbour, else 0 (top-left rule)."""
    if dy < ZERO or (dy == ZERO and dx > ZERO):
        return ZERO
    return wp.int64(1)


@wp.func(module=MODULE)
def low_cut(edge: wp.int64, step: wp.int64, low: wp.int32) -> wp.int32:
    """First x offset at which edge + x * step >= 0, not below `low`."""
    if step > ZERO and edge < ZERO:
        return wp.max(low, wp.int32(-floor_div(edge, step)))
    return low


@wp.func(module=MODULE)
def high_cut(edge: wp.int64, step: wp.int64, high: wp.int32) -> wp.int32:
    """Last x offset at which edge + x * step >= 0, not above `high`."""
    if step < ZERO:
        return wp.int32(wp.min(wp.int64(high), floor_div(edge, -step)))
    if step == ZERO and edge < ZERO:
        return -1
    return high


@wp.kernel(module=MODULE)
def cover(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    cull_back: wp.int32,
    first_row: wp.int32,
    end_row: wp.int32,
    lanes: wp.int32,
    keys: wp.array3d(dtype=wp.int64),  # [B, H, W] zero where nothing is hit
):
    """Thread (b, f, lane) draws every `lanes`-th row of triangle f of image b, within [first_row, end_row)."""
    b, f, lane = wp.tid()
    i = faces[f, 0]
    j = faces[f, 1]
    k = faces[f, 2]
    ya = vertices[b, i, 1]
    yb = vertices[b, j, 1]
    yc = vertices[b, k, 1]
    # a cheap look at the rows spares most triangles of the other bands their set-up; the exact test is below
    if wp.max(ya, wp.max(yb, yc)) < wp.float32(first_row) or wp.min(ya, wp.min(yb, yc)) > wp.float32(end_row):
        return
    za = vertices[b, i, 2]
    zb = vertices[b, j, 2]
    zc = vertices[b, k, 2]
    xa = vertices[b, i, 0]
    xb = vertices[b, j, 0]
    xc = vertices[b, k, 0]
    if not (usable(xa, ya, za) and usable(xb, yb, zb) and usable(xc, yc, zc)):
        return

    ax = snap(xa)
    ay = snap(ya)
    bx = snap(xb)
    by = snap(yb)
    cx = snap(xc)
    cy = snap(yc)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if area == ZERO or (cull_back != 0 and area > ZERO):
        return
    sign = wp.int64(1)
    if area < ZERO:
        sign = wp.int64(-1)

    x0 = wp.int32(wp.max(ZERO, -floor_div(HALF - wp.min(ax, wp.min(bx, cx)), STEP)))
    x1 = wp.int32(wp.min(wp.int64(keys.shape[2] - 1), floor_div(wp.max(ax, wp.max(bx, cx)) - HALF, STEP)))
    y0 = wp.int32(wp.max(wp.int64(first_row), -floor_div(HALF - wp.min(ay, wp.min(by, cy)), STEP)))
    y1 = wp.int32(wp.min(wp.int64(end_row - 1), floor_div(wp.max(ay, wp.max(by, cy)) - HALF, STEP)))
    if x0 > x1 or y0 > y1:
        return

    # clockwise edge directions; edge e opposite corner e: (from - p) x (to - p), positive inside
    eax = sign * (cx - bx)
    eay = sign * (cy - by)
    ebx = sign * (ax - cx)
    eby = sign * (ay - cy)
    ecx = sign * (bx - ax)
    ecy = sign * (by - ay)
    # the margin turns "on the edge and not ours" into -1, so that one sign test decides
    ma = margin(eax, eay)
    mb = margin(ebx, eby)
    mc = margin(ecx, ecy)
    # moving one pixel to the right changes an edge function by -dy of its edge
    sa = -eay * STEP
    sb = -eby * STEP
    sc = -ecy * STEP

    scale = wp.float64(1.0) / wp.float64(area * sign)
    wa = wp.float64(1.0) / wp.float64(za)
    wb = wp.float64(1.0) / wp.float64(zb)
    wc = wp.float64(1.0) / wp.float64(zc)
    low_word = NO_FACE_KEY - wp.int64(f)

    px = wp.int64(x0) * STEP + HALF
    width = x1 - x0
    for y in range(y0 + lane, y1 + 1, lanes):
        py = wp.int64(y) * STEP + HALF
        a = eax * (py - by) - eay * (px - bx) - ma
        d = ebx * (py - cy) - eby * (px - cx) - mb
        c = ecx * (py - ay) - ecy * (px - ax) - mc
        start = wp.int32(0)
        end = width
        if width > WIDE:
            start = low_cut(c, sc, low_cut(d, sb, low_cut(a, sa, start)))
            end = high_cut(c, sc, high_cut(d, sb, high_cut(a, sa, end)))
            a += sa * wp.int64(start)
            d += sb * wp.int64(start)
            c += sc * wp.int64(start)
        for x in range(start, end + 1):
            if (a | d | c) >= ZERO:
                inverse = (wp.float64(a + ma) * wa + wp.float64(d + mb) * wb + wp.float64(c + mc) * wc) * scale
                high_word = wp.int64(wp.cast(wp.float32(inverse), wp.int32))
                wp.atomic_max(keys, b, y, x0 + x, (high_word << wp.int64(32)) | low_word)
            a += sa
            d += sb
            c += sc


@wp.kernel(module=MODULE)
def resolve(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    first_row: wp.int32,
    lanes: wp.int32,
    keys: wp.array3d(dtype=wp.int64),  # [B, H, W]
    face: wp.array3d(dtype=wp.int32),  # [B, H, W]
    bary: wp.array4d(dtype=wp.float32),  # [B, H, W, 3]
    depth: wp.array3d(dtype=wp.float32),  # [B, H, W]
):
    """Thread (b, row, lane) turns every `lanes`-th key of a row into triangle, barycentrics and depth."""
    b, row, lane = wp.tid()
    y = first_row + row
    py = wp.int64(y) * STEP + HALF
    known = wp.int32(-1)  # the triangle whose set-up the variables below hold
    ax = ZERO
    ay = ZERO
    bx = ZERO
    by = ZERO
    cx = ZERO
    cy = ZERO
    wa = wp.float64(0.0)
    wb = wp.float64(0.0)
    wc = wp.float64(0.0)
    for x in range(lane, keys.shape[2], lanes):
        key = keys[b, y, x]
        if key == ZERO:
            face[b, y, x] = -1
            bary[b, y, x, 0] = 0.0
            bary[b, y, x, 1] = 0.0
            bary[b, y, x, 2] = 0.0
            depth[b, y, x] = wp.inf
        else:
            f = wp.int32(NO_FACE_KEY - (key & LOW_BITS))
            if f != known:
                known = f
                i = faces[f, 0]
                j = faces[f, 1]
                k = faces[f, 2]
                ax = snap(vertices[b, i, 0])
                ay = snap(vertices[b, i, 1])
                bx = snap(vertices[b, j, 0])
                by = snap(vertices[b, j, 1])
                cx = snap(vertices[b, k, 0])
                cy = snap(vertices[b, k, 1])
                # the signed inverse area turns edge functions into areas that sum to one, whatever the winding
                scale = wp.float64(1.0) / wp.float64((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
                wa = scale / wp.float64(vertices[b, i, 2])
                wb = scale / wp.float64(vertices[b, j, 2])
                wc = scale / wp.float64(vertices[b, k, 2])
            px = wp.int64(x) * STEP + HALF
            qa = wp.float64((bx - px) * (cy - py) - (by - py) * (cx - px)) * wa
            qb = wp.float64((cx - px) * (ay - py) - (cy - py) * (ax - px)) * wb
            qc = wp.float64((ax - px) * (by - py) - (ay - py) * (bx - px)) * wc
            z = wp.float64(1.0) / (qa + qb + qc)
            face[b, y, x] = f
            bary[b, y, x, 0] = wp.float32(qa * z)
            bary[b, y, x, 1] = wp.float32(qb * z)
            bary[b, y, x, 2] = wp.float32(qc * z)
            depth[b, y, x] = wp.float32(z)
