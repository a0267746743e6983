"""The kernel of strands.py that follows streamlines over a mesh.

Imported only by raster/warp_runtime.py. Dims: F triangles, N streamlines, K points along one.
"""

# mypy: ignore-errors
# the annotations are types of the kernel language, and the bodies are compiled, never run as Python

import warp as wp

from meshlam_core.model.strands import EDGE, MOST_CROSSED
from meshlam_core.raster.warp_kernels import MODULE

KERNELS = ("walk_streamlines",)
SHARP = wp.constant(wp.float32(EDGE))
CROSSED = wp.constant(wp.int32(MOST_CROSSED))


@wp.kernel(module=MODULE)
def walk_streamlines(
    faces: wp.array2d(dtype=wp.int32),  # [F, 3]
    beside: wp.array2d(dtype=wp.int32),  # [F, 3] the triangle beyond the edge opposite each corner, or -1
    upright: wp.array2d(dtype=wp.float32),  # [F, 3] unit normals
    rates: wp.array3d(dtype=wp.float32),  # [F, 2, 3] what a metre along the flow, and to its left, changes
    step: wp.array1d(dtype=wp.float32),  # [N] m from point to point
    turn: wp.array1d(dtype=wp.float32),  # [N] rad, from the flow
    first: wp.int32,
    face: wp.array2d(dtype=wp.int32),  # [N, K] the first column is given
    bary: wp.array3d(dtype=wp.float32),  # [N, K, 3] so here
    beyond: wp.array2d(dtype=wp.float32),  # [N, K] m by which the way led beyond the triangles
):
    """Thread (streamline): the points along it; where the triangles end, or their surface turns sharply, it stays."""
    n = first + wp.tid()
    cosine = wp.cos(turn[n])
    sine = wp.sin(turn[n])
    f = face[n, 0]
    at = wp.vec3(bary[n, 0, 0], bary[n, 0, 1], bary[n, 0, 2])
    free = wp.float32(0.0)
    for k in range(1, face.shape[1]):
        left = step[n]
        if free > 0.0:
            free += left
            left = 0.0
        out = wp.vec3(upright[f, 0], upright[f, 1], upright[f, 2])
        crossed = wp.int32(0)
        while left > 0.0 and crossed < CROSSED:
            crossed += 1
            reach = left
            exit = wp.int32(-1)
            rate = wp.vec3()
            for c in range(3):
                rate[c] = cosine * rates[f, 0, c] + sine * rates[f, 1, c]
                if rate[c] < -1.0e-6 and -at[c] / rate[c] < reach:
                    reach = -at[c] / rate[c]
                    exit = c
            for c in range(3):
                at[c] = wp.max(at[c] + reach * rate[c], 0.0)
            at /= at[0] + at[1] + at[2]
            left -= reach
            if exit < 0:
                left = 0.0
            else:
                g = beside[f, exit]
                ends = g < 0
                if not ends:
                    ends = out[0] * upright[g, 0] + out[1] * upright[g, 1] + out[2] * upright[g, 2] < SHARP
                if ends:
                    free = wp.max(left, 1.0e-6)
                    left = 0.0
                else:
                    there = wp.vec3()
                    for a in range(3):
                        for b in range(3):
                            if faces[g, a] == faces[f, b]:
                                there[a] = at[b]
                    f = g
                    at = there
        face[n, k] = f
        for c in range(3):
            bary[n, k, c] = at[c]
        beyond[n, k] = free
