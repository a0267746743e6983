"""An avatar and a frame side by side, as small pictures that can be compared pixel by pixel.

Frames and units: frames.py. Dims: H, W rows and columns of the small picture; P of its pixels that show the avatar,
V vertices, glasses included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meshlam_core.frames import Camera, axis_angle_from_rotation, project, rotation_from_axis_angle
from meshlam_core.opencv import cv2
from meshlam_core.raster.render import Samples
from meshlam_core.tracker.problem import by_pose, pixels_by_view
from meshlam_core.tracker.retarget import AvatarPose
from meshlam_core.tracker.rig import LandmarkRig
from meshlam_core.viewing.viewer import AvatarRenderer, Pose

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Floats = NDArray[np.floating]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WINDOW = 1.5  # head heights, side of the square around the head that is compared
BLUR = 1.0  # px, of both pictures
LANDMARK_NOISE = 0.005  # of the face height
LANDMARK_WEIGHT = 0.002  # of what landmarks that err on their own would count


@dataclass(frozen=True)
class Window:
    """The part of a frame around the head."""

    camera: Camera  # of the small picture
    picture: U8  # [h, w, 3] at the frame's own size
    around: tuple[int, int, int, int]  # px above, below, left and right of it that make it a square
    side: int  # px of that square, shrunk
    first: tuple[int, int]  # px, column and row of the shrunk square where the small picture begins

    def resized(self, picture: NDArray[np.generic]) -> F32:  # [h, w, ...] -> [H, W, ...]
        """Something of the frame's own size, as small as the camera sees it."""
        square = cv2.copyMakeBorder(picture, *self.around, cv2.BORDER_REPLICATE)
        small = cv2.resize(square, (self.side, self.side), interpolation=cv2.INTER_AREA)
        (x, y), (width, height) = self.first, self.camera.size
        return np.asarray(small[y : y + height, x : x + width], np.float32)


@dataclass(frozen=True)
class Placement:
    """Where the head is, turned about the middle of its landmarks: six numbers that hardly depend on each other."""

    middle: F64  # [3] m, avatar frame
    rotation: F64  # [3, 3]
    place: F64  # [3] m, view frame, of the middle

    @classmethod
    def of(cls, pose: AvatarPose, rig: LandmarkRig) -> Placement:
        """Where a pose has it."""
        middle = np.asarray(rig.neutral.mean(axis=1), np.float64)
        rotation = np.asarray(rotation_from_axis_angle(pose.rotations[0]), np.float64)
        return cls(middle, rotation, rotation @ middle + pose.translation)

    def moved(self, step: Floats) -> Placement:  # [6] rotation in rad, translation in m
        """Turned and shifted."""
        turn = np.asarray(rotation_from_axis_angle(np.asarray(step[:3], np.float64)), np.float64)
        return replace(self, rotation=turn @ self.rotation, place=self.place + step[3:])

    @property
    def translation(self) -> F64:  # [3] m, view frame
        """As poses have it."""
        return np.asarray(self.place - self.rotation @ self.middle)

    def on(self, pose: AvatarPose) -> AvatarPose:
        """The pose with the head here."""
        rotations = pose.rotations.copy()
        rotations[0] = axis_angle_from_rotation(self.rotation)
        return replace(pose, rotations=rotations, translation=self.translation.astype(np.float32))

    def landmark_precision(self, rig: LandmarkRig) -> F64:  # [6, 6]
        """How surely the landmarks tell the pose beside the picture."""
        points = (self.rotation @ rig.neutral).T + self.translation
        moved = flow(points, self.place, 1.0) * (-self.translation[2] / (LANDMARK_NOISE * rig.face_height))
        return np.asarray(LANDMARK_WEIGHT * np.einsum("pdk,pdl->kl", moved, moved), np.float64)


@dataclass(frozen=True)
class Difference:
    """What the textured avatar and the frame show where it covers the frame, blurred."""

    drawn: Samples
    inside: Mask  # [H, W] where the avatar is
    corners: NDArray[np.int64]  # [P, 3] vertices
    wrong: F32  # [P, 3] avatar minus frame, sRGB 0..1
    slope: F32  # [2, P, 3] mean of both pictures' slopes by x and y, a px


def window_around(
    renderer: AvatarRenderer,
    pose: AvatarPose,
    picture: U8,  # [h, w, 3] the frame
    side: int,  # px of the square, shrunk
) -> Window | None:
    """The square around the head; None where hardly anything of it lies in the picture."""
    points = project(posed_in_view(renderer, pose).numpy(), pose.camera)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    width = int(np.ceil(WINDOW * (high - low).max()))
    corner = np.round((low + high - width) / 2).astype(int)
    start, end = np.clip([corner, corner + width], 0, pose.camera.size)
    if (end - start).min() < width / 4:
        return None
    before, after = start - corner, corner + width - end
    around = (int(before[1]), int(after[1]), int(before[0]), int(after[0]))
    # of the small pixels those that lie in the frame as a whole
    first, last = np.ceil(before * side / width).astype(int), np.floor((width - after) * side / width).astype(int)
    camera = pose.camera.cropped(int(corner[0]), int(corner[1]), width, width).scaled(side / width)
    camera = camera.cropped(int(first[0]), int(first[1]), *(last - first).tolist())
    part = np.ascontiguousarray(picture[start[1] : end[1], start[0] : end[0]])
    return Window(camera, part, around, side, (int(first[0]), int(first[1])))


def colours_of(window: Window) -> F32:  # [H, W, 3] 0..1
    """The frame, small and blurred."""
    return blurred(window.resized(window.picture) / np.float32(255))


def difference(
    renderer: AvatarRenderer,
    pose: AvatarPose,
    camera: Camera,
    colours: F32,  # [H, W, 3] of the frame
) -> Difference:
    """Draw the avatar and compare."""
    posed = posed_in_view(renderer, pose)
    drawn = renderer.mesh.samples(posed, camera, renderer.folded(pose.expression), renderer.outlined(posed))
    inside = drawn.mask.numpy()
    share = blurred(inside.astype(np.float32))[..., None]
    own = np.zeros_like(colours)
    own[inside] = drawn.colours.numpy()
    own = np.asarray(blurred(own) / np.maximum(share, 1e-3), np.float32)
    slope = (slopes(colours)[:, inside] + slopes(own)[:, inside]) / np.float32(2)
    corners = renderer.mesh.faces.numpy()[drawn.face.numpy()].astype(np.int64)
    return Difference(drawn, inside, corners, own[inside] - colours[inside], slope)


def posed_in_view(renderer: AvatarRenderer, pose: AvatarPose) -> Tensor:  # [V, 3] m, view frame
    """The bent head where the camera sees it."""
    return renderer.posed(Pose(pose.expression, pose.rotations)) + torch.from_numpy(pose.translation)


def among(renderer: AvatarRenderer, corners: NDArray[np.integer], names: tuple[str, ...]) -> Mask:  # [P, 3] -> [P]
    """Where a triangle has a corner in one of the parts; glasses are none of them."""
    avatar = renderer.avatar
    chosen = np.zeros(int(corners.max(initial=-1)) + 1 + len(avatar.part), bool)
    chosen[: len(avatar.part)] = np.isin(avatar.part, [n for n, name in enumerate(avatar.parts) if name in names])
    return np.asarray(chosen[corners].any(axis=1))


def flow(
    points: Floats,  # [P, 3] m, view frame
    place: F64,  # [3] m, what the head is turned about
    focal: float,  # px
) -> F64:  # [P, 2, 6] px by rotation in rad and translation in m
    """How pixels of the head move with its pose."""
    view = points.T.astype(np.float64)
    turned = view - place[:, None]
    return np.stack([by_pose(turned, slopes).T for slopes in pixels_by_view(view, focal)], axis=1)


def blurred(picture: F32, sigma: float = BLUR) -> F32:  # [H, W] or [H, W, C]
    """Gaussian."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


def eroded(mask: Mask, times: int) -> Mask:  # [H, W]
    """Without its outermost pixels; beyond the picture there is nothing."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    beyond = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
    return np.asarray(cv2.erode(mask.view(np.uint8), cross, iterations=times, **beyond).view(bool))


def slopes(picture: Floats) -> F32:  # [H, W, C] -> [2, H, W, C] by x and y, a px
    """Central differences."""
    down, right = np.gradient(picture, axis=(0, 1))
    return np.asarray(np.stack([right, down]), np.float32)
