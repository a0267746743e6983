"""What FLAME's model file lacks: regions, mirror pairs and, when the user has no texture file, texture coordinates.

Frame: avatar frame, metres. Dims: V vertices, F triangles, U texture vertices.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meshlam_core.head.surface import closest_vertices

F64 = NDArray[np.float64]
PARTS = ("face", "scalp", "neck", "eyeball_left", "eyeball_right")


def connected_labels(
    faces: NDArray[np.integer],  # [F, 3]
    count: int,
) -> NDArray[np.int64]:  # [V] smallest vertex of each vertex's component
    """Components of the mesh: spread the smallest index until nothing changes."""
    label = np.arange(count)
    while True:
        smallest = label[faces].min(axis=1)
        after = label.copy()
        for corner in range(3):
            np.minimum.at(after, faces[:, corner], smallest)
        after = after[after]
        if (after == label).all():
            return label
        label = after


def rough_parts(
    template: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
    joints: F64,  # [5, 3]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:  # [V] index into the names
    """Eyeballs are components of their own; the rest is divided by planes through the joints."""
    label = connected_labels(faces, len(template))
    skin = int(np.bincount(label).argmax())
    part = np.zeros(len(template), np.uint8)
    eyes = joints[3:].mean(axis=0)
    up, out = template[:, 1], template[:, 2]
    part[(up > eyes[1] + 0.065) | ((out < joints[2][2] - 0.01) & (up > joints[2][1]))] = PARTS.index("scalp")
    part[(up < joints[2][1]) & (out < eyes[2] - 0.03) | (up < joints[1][1])] = PARTS.index("neck")
    apart = label != skin
    part[apart & (template[:, 0] > 0)] = PARTS.index("eyeball_left")
    part[apart & (template[:, 0] <= 0)] = PARTS.index("eyeball_right")
    return part, PARTS


def mirrored_vertices(
    template: F64,  # [V, 3]
    tolerance: float = 0.002,  # m
) -> NDArray[np.int32]:  # [V]
    """The vertex nearest to each one's mirror image, where the two choose each other."""
    flipped = template * [-1, 1, 1]
    nearest = closest_vertices(flipped, template)
    distance = np.linalg.norm(template[nearest] - flipped, axis=1)
    index = np.arange(len(template))
    mutual = (nearest[nearest] == index) & (distance < tolerance)
    return np.where(mutual, nearest, index).astype(np.int32)


def cylinder_layout(
    template: F64,  # [V, 3]
    faces: NDArray[np.integer],  # [F, 3]
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:  # [U, 2], [F, 3]
    """Skin around a vertical axis with the seam at the back, the two eyeballs as discs below it.

    Simple and not free of overlaps (ears, inside of the mouth): FLAME's own texture coordinates are better.
    """
    label = connected_labels(faces, len(template))
    skin = label == np.bincount(label).argmax()
    axis = template[skin].mean(axis=0)
    angle = np.arctan2(template[:, 0], template[:, 2] - axis[2] + 0.03) / (2 * np.pi) + 0.5
    height = (template[:, 1] - template[skin, 1].min()) / np.ptp(template[skin, 1])
    uvs = np.stack([0.01 + 0.98 * angle, 0.2 + 0.79 * height], axis=1)
    for eye, left in ((~skin & (template[:, 0] > 0), 0.8), (~skin & (template[:, 0] <= 0), 0.02)):
        if eye.any():
            direction = template[eye] - template[eye].mean(axis=0)
            direction /= np.linalg.norm(direction, axis=1, keepdims=True).clip(1e-9)
            polar = np.arccos(direction[:, 2].clip(-1, 1)) / np.pi
            around = np.arctan2(direction[:, 1], direction[:, 0])
            uvs[eye] = left + 0.08, 0.1
            uvs[eye] += 0.08 * polar[:, None] * np.stack([np.cos(around), np.sin(around)], axis=1)
    uv_faces = faces.astype(np.int64).copy()
    across_seam = skin[faces[:, 0]] & (np.ptp(uvs[faces][..., 0], axis=1) > 0.5)
    low = across_seam[:, None] & (uvs[faces][..., 0] < 0.5)
    again, position = np.unique(faces[low], return_inverse=True)
    uv_faces[low] = len(uvs) + position
    # beyond the right edge would repeat the left one: the seam's triangles shrink to the edge instead
    copies = np.stack([np.full(len(again), 0.995), uvs[again, 1]], axis=1)
    return np.concatenate([uvs, copies]).astype(np.float32), uv_faces.astype(np.int32)
