"""Lashes at close range: each triangle shows single hairs, the lower ones shorter and sparser than the upper."""

from __future__ import annotations

from dataclasses import replace

import bpy
import numpy as np
import pytest

from blender_addon.avatar_reader import read_avatar
from blender_addon.scene.before import go_back
from blender_addon.scene.build import build_avatar
from blender_addon.scene.layers import pixels_of
from blender_addon.scene.renew import renew


@pytest.fixture
def built(registered, real_avatar_path):
    return build_avatar(read_avatar(real_avatar_path), "Ada")


def lashes(head) -> tuple:
    """Alpha [N, 16, 33] of each lash, in 16 rows from the lid to the tip across its triangle; upper ones; colours."""
    slot = next(index for index, item in enumerate(head.material_slots) if item.material.name.endswith("Lashes"))
    tree = head.material_slots[slot].material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    fed = {link.from_node for name in ("Base Color", "Alpha") for link in shader.inputs[name].links}
    (texture,) = fed  # formats know one picture for both
    pixels = pixels_of(texture.image)
    mesh, shown, upper, colours = head.data, [], [], []
    uvs, points = mesh.uv_layers[0].uv, mesh.vertices
    for face in (face for face in mesh.polygons if face.material_index == slot):
        corners = [(np.array(points[mesh.loops[loop].vertex_index].co), uvs[loop].vector) for loop in face.loop_indices]
        tip = max(
            range(3), key=lambda i: min(np.linalg.norm(corners[i][0] - corners[j][0]) for j in range(3) if j != i)
        )
        base = [corners[i] for i in range(3) if i != tip]
        upper.append(corners[tip][0][2] > (base[0][0][2] + base[1][0][2]) / 2)
        along, across = np.meshgrid((np.arange(16) + 0.5) / 16, np.linspace(0, 1, 33), indexing="ij")
        a, b, c = (np.array(uv) for uv in (base[0][1], base[1][1], corners[tip][1]))
        at = along[..., None] * c + (1 - along)[..., None] * (a + across[..., None] * (b - a))
        column, row = np.moveaxis((at * pixels.shape[1::-1]).astype(int), -1, 0)
        shown.append(pixels[row, column, 3])
        colours.append(pixels[row, column, :3])
    return np.array(shown), np.array(upper), np.array(colours)


def runs(alpha) -> np.ndarray:
    """How many hairs each row crosses."""
    covered = np.pad(alpha > 0.5, [(0, 0)] * (alpha.ndim - 1) + [(1, 1)])
    return (~covered[..., :-1] & covered[..., 1:]).sum(-1)


def test_a_lash_is_some_thin_hairs_and_not_one_thorn(built):
    alpha, upper, colours = lashes(built.head)
    assert len(alpha) == 104
    assert sorted(np.bincount(upper)) == [40, 64]
    hairs = runs(alpha[:, 1])  # near the lid
    assert 2 <= hairs[upper].mean() <= 4
    assert hairs[~upper].min() >= 1
    assert 1 <= hairs[~upper].mean() <= 2
    cover = (alpha > 0.5).mean((1, 2))
    assert cover.max() < 0.75
    assert cover[~upper].mean() < 0.6 * cover[upper].mean()
    width = (alpha > 0.5).mean(-1) * (1 - (np.arange(16) + 0.5) / 16)  # of the triangle's at the lid
    assert (width[:, 2] > 1.5 * width[:, 10]).all()  # they taper
    assert colours[alpha > 0.9].max() < 0.35
    assert len(np.unique(alpha[upper].reshape(upper.sum(), -1), axis=0)) > 6  # and differ


def test_another_head_brings_its_own_tones_and_going_back_takes_them_off(built, real_avatar_path):
    before = lashes(built.head)[2]
    avatar = read_avatar(real_avatar_path)
    red = bpy.data.images.new("Red", 8, 8)
    red.pixels.foreach_set(np.tile(np.float32([0.8, 0.1, 0.1, 1]), 64))
    red.pack()
    data = bytes(red.packed_file.data)
    renew(built, replace(avatar, albedo=replace(avatar.albedo, data=data, width=8, height=8)), None)
    tones = lashes(built.head)[2]
    assert (tones[..., 0] > 3 * tones[..., 1]).all()
    go_back(built)
    np.testing.assert_array_equal(lashes(built.head)[2], before)
