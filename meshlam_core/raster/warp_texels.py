"""The texture-space kernels: grow UV islands, find texels in a photo. Twins in torch: texel_twin.py.

Frames: frames.py. Dims: B batch, V vertices, F triangles, S texture size, h and w the depth buffer's size.
Compiled together with warp_kernels.py, and imported only by warp_runtime.py, like that file.
"""

# mypy: ignore-errors
# the annotations are types of the kernel language, and the bodies are compiled, never run as Python

import warp as wp

from meshlam_core.raster.interface import MARGIN_REACH, NEAR
from meshlam_core.raster.warp_kernels import MODULE

KERNELS = ("nearest_in_row", "grow", "view")
NEAREST = wp.constant(wp.float32(NEAR))
REACH = wp.constant(wp.float32(MARGIN_REACH))
FAR_COLUMN = wp.constant(wp.int32(1 << 20))


@wp.kernel(module=MODULE)
def nearest_in_row(
    first_row: wp.int32,
    face: wp.array2d(dtype=wp.int32),  # [S, S] -1 where empty
    nearest: wp.array2d(dtype=wp.int32),  # [S, S] column of the nearest island texel of the same row
):
    """Thread (row) scans a row from both sides."""
    y = first_row + wp.tid()
    last = -FAR_COLUMN
    for x in range(face.shape[1]):
        if face[y, x] >= 0:
            last = x
        nearest[y, x] = last
    last = FAR_COLUMN
    for back in range(face.shape[1]):
        x = face.shape[1] - 1 - back
        if face[y, x] >= 0:
            last = x
        if last - x < x - nearest[y, x]:
            nearest[y, x] = last


@wp.func(module=MODULE)
def cross2(ax: wp.float32, ay: wp.float32, bx: wp.float32, by: wp.float32) -> wp.float32:
    return ax * by - ay * bx


@wp.kernel(module=MODULE)
def grow(
    layout: wp.array2d(dtype=wp.float32),  # [U, 2] px
    uv_faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    nearest: wp.array2d(dtype=wp.int32),  # [S, S]
    margin: wp.int32,
    first_row: wp.int32,
    lanes: wp.int32,
    face: wp.array2d(dtype=wp.int32),  # [S, S] -1 where empty
    grown: wp.array2d(dtype=wp.int32),  # [S, S] out
    bary: wp.array3d(dtype=wp.float32),  # [S, S, 3] in: of the islands; out: of the margin too
):
    """Thread (row, lane) gives each empty texel the triangle of the nearest island texel within the margin."""
    row, lane = wp.tid()
    y = first_row + row
    for x in range(lane, face.shape[1], lanes):
        owner = face[y, x]
        if owner < 0:
            home_row = wp.int32(0)
            best = margin * margin + 1
            for other in range(wp.max(0, y - margin), wp.min(face.shape[0] - 1, y + margin) + 1):
                across = wp.abs(nearest[other, x] - x)
                if across <= margin:
                    distance = across * across + (other - y) * (other - y)
                    if distance < best:
                        best = distance
                        home_row = other
                        owner = face[other, nearest[other, x]]
            if owner >= 0:
                px = wp.float32(x) + 0.5
                py = wp.float32(y) + 0.5
                i = uv_faces[owner, 0]
                j = uv_faces[owner, 1]
                k = uv_faces[owner, 2]
                ax = layout[i, 0] - px
                ay = layout[i, 1] - py
                bx = layout[j, 0] - px
                by = layout[j, 1] - py
                cx = layout[k, 0] - px
                cy = layout[k, 1] - py
                ea = cross2(bx, by, cx, cy)
                eb = cross2(cx, cy, ax, ay)
                ec = cross2(ax, ay, bx, by)
                area = ea + eb + ec
                if area == 0.0:
                    area = 1.0
                # a sliver would throw its neighbours far away: go only some way from the nearest island texel
                home = nearest[home_row, x]
                ha = bary[home_row, home, 0]
                hb = bary[home_row, home, 1]
                hc = bary[home_row, home, 2]
                da = ea / area - ha
                db = eb / area - hb
                dc = ec / area - hc
                step = REACH / wp.max(wp.max(wp.abs(da), wp.abs(db)), wp.max(wp.abs(dc), REACH))
                bary[y, x, 0] = ha + step * da
                bary[y, x, 1] = hb + step * db
                bary[y, x, 2] = hc + step * dc
        grown[y, x] = owner


@wp.func(module=MODULE)
def seen(depth: wp.array3d(dtype=wp.float32), b: wp.int32, x: wp.int32, y: wp.int32, limit: wp.float32) -> wp.float32:
    """1 where pixel (x, y) shows a surface that is not nearer than `limit`, else 0."""
    if x < 0 or y < 0 or x >= depth.shape[2] or y >= depth.shape[1]:
        return 0.0
    front = depth[b, y, x]
    if front >= limit and front < wp.inf:
        return 1.0
    return 0.0


@wp.kernel(module=MODULE)
def view(
    vertices: wp.array3d(dtype=wp.float32),  # [B, V, 3] view frame, m
    normals: wp.array3d(dtype=wp.float32),  # [B, V, 3]
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    face_level: wp.array2d(dtype=wp.float32),  # [B, F] log2 of pixels per texel
    texel_face: wp.array2d(dtype=wp.int32),  # [S, S]
    texel_bary: wp.array3d(dtype=wp.float32),  # [S, S, 3]
    cameras: wp.array2d(dtype=wp.float32),  # [B, 4] focal, centre x, centre y, depth-buffer pixels per photo pixel
    depth: wp.array3d(dtype=wp.float32),  # [B, h, w] m
    tolerance: wp.float32,  # m
    grazing_low: wp.float32,
    grazing_high: wp.float32,
    first_row: wp.int32,
    lanes: wp.int32,
    pixel: wp.array4d(dtype=wp.float32),  # [B, S, S, 2] out
    weight: wp.array3d(dtype=wp.float32),  # [B, S, S] out
    visible: wp.array3d(dtype=wp.float32),  # [B, S, S] out
    cosine: wp.array3d(dtype=wp.float32),  # [B, S, S] out
    level: wp.array3d(dtype=wp.float32),  # [B, S, S] out
):
    """Thread (b, row, lane) finds every `lanes`-th texel of a row in the photo and tests its depth there."""
    b, row, lane = wp.tid()
    r = first_row + row
    focal = cameras[b, 0]
    scale = cameras[b, 3]
    for c in range(lane, texel_face.shape[1], lanes):
        f = texel_face[r, c]
        u = wp.float32(-1.0)
        v = wp.float32(-1.0)
        facing = wp.float32(0.0)
        share = wp.float32(0.0)
        falloff = wp.float32(0.0)
        lod = wp.float32(0.0)
        if f >= 0:
            i = faces[f, 0]
            j = faces[f, 1]
            k = faces[f, 2]
            p = texel_bary[r, c, 0]
            q = texel_bary[r, c, 1]
            s = texel_bary[r, c, 2]
            x = p * vertices[b, i, 0] + q * vertices[b, j, 0] + s * vertices[b, k, 0]
            y = p * vertices[b, i, 1] + q * vertices[b, j, 1] + s * vertices[b, k, 1]
            z = -(p * vertices[b, i, 2] + q * vertices[b, j, 2] + s * vertices[b, k, 2])
            nx = p * normals[b, i, 0] + q * normals[b, j, 0] + s * normals[b, k, 0]
            ny = p * normals[b, i, 1] + q * normals[b, j, 1] + s * normals[b, k, 1]
            nz = p * normals[b, i, 2] + q * normals[b, j, 2] + s * normals[b, k, 2]
            # the camera is the view frame's origin
            lengths = wp.sqrt((x * x + y * y + z * z) * (nx * nx + ny * ny + nz * nz))
            facing = (z * nz - x * nx - y * ny) / wp.max(lengths, 1.0e-12)
            lod = face_level[b, f]
            if z > NEAREST:
                u = focal * x / z + cameras[b, 1]
                v = -focal * y / z + cameras[b, 2]
            if z > NEAREST and facing > 0.0:
                slope = wp.sqrt(wp.max(1.0 - facing * facing, 0.0)) / wp.max(facing, 0.05)
                limit = z - tolerance - 1.5 * slope * z / (focal * scale)
                gx = wp.clamp(u * scale - 0.5, -2.0, 1.0e6)
                gy = wp.clamp(v * scale - 0.5, -2.0, 1.0e6)
                x0 = wp.int32(wp.floor(gx))
                y0 = wp.int32(wp.floor(gy))
                fx = gx - wp.floor(gx)
                fy = gy - wp.floor(gy)
                upper = (1.0 - fx) * seen(depth, b, x0, y0, limit) + fx * seen(depth, b, x0 + 1, y0, limit)
                lower = (1.0 - fx) * seen(depth, b, x0, y0 + 1, limit) + fx * seen(depth, b, x0 + 1, y0 + 1, limit)
                share = (1.0 - fy) * upper + fy * lower
                t = wp.clamp((facing - grazing_low) / (grazing_high - grazing_low), 0.0, 1.0)
                falloff = share * t * t * (3.0 - 2.0 * t)
        pixel[b, r, c, 0] = u
        pixel[b, r, c, 1] = v
        weight[b, r, c] = falloff
        visible[b, r, c] = share
        cosine[b, r, c] = facing
        level[b, r, c] = lod
