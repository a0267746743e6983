"""How sharply a mesh is bent where its faces meet."""

from __future__ import annotations

from collections.abc import Collection

import bpy
import numpy as np


def bends(mesh, low: float, high: float, slots: Collection[int] | None = None) -> np.ndarray:
    """Degrees between faces that share an edge, as the mesh is shown now; of edges between two heights at rest.

    Only faces in the chosen slots of materials count, where some are chosen.
    """
    bpy.context.view_layer.update()
    now = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    beside: dict[tuple[int, int], list[int]] = {}
    for face in mesh.data.polygons:
        for edge in face.edge_keys if slots is None or face.material_index in slots else ():
            beside.setdefault(edge, []).append(face.index)
    edges = {edge: faces for edge, faces in beside.items() if len(faces) == 2}
    heights = np.array([vertex.co.z for vertex in mesh.data.vertices])[np.array(list(edges))]
    normals = np.array([face.normal for face in now.polygons])[np.array(list(edges.values()))]
    angle = np.degrees(np.arccos(np.clip((normals[:, 0] * normals[:, 1]).sum(1), -1, 1)))
    return angle[(heights.min(1) > low) & (heights.max(1) < high)]
