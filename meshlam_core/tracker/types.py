"""What the tracker hands on. Frames and units: frames.py; L landmarks, K blendshapes, J joints, N identity modes,
V vertices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.frames import Camera
from meshlam_core.tracker.ramps import smooth_step

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

COVER = (0.002, 0.008)  # m of growth between which skin turns into hair
SWAY = (0.02, 0.20)  # m below the neck joint between which hair lets go of the head
LOOSE = 0.5  # how far its lowest ends follow the shoulders


@dataclass(frozen=True)
class Detection:
    """One face as the landmark network sees it."""

    landmarks: F32  # [L, 3] px x, px y of the upright photo; z relative depth in px (MediaPipe's), 0 at the head centre
    coefficients: F32  # [52] ARKit coefficients in the order of the 52 names (BLENDSHAPE_NAMES)
    box: tuple[float, float, float, float]  # px, (x0, y0, x1, y1) around the landmarks
    score: float  # plausibility of the fitted detection in 0..1


@dataclass(frozen=True)
class HairHull:
    """The hair of a tracked head, as what it adds to the bald one."""

    displacement: F32  # [V, 3] m, hull minus bald head
    growth: F32  # [Q] m, see head/hair.py
    hidden_ears: tuple[float, float]  # left, right; 1 where hair hides them
    sigma: F32 | None = None  # [V] m, one standard deviation of the growths; None: not known
    doubt: str = ""  # why the masks could not be used and the head stays bald; empty if they could

    @property
    def cover(self) -> F32:  # [V] 0..1
        """How far each vertex is hair and no skin: what has grown no longer moves with the face."""
        return np.asarray(smooth_step(np.linalg.norm(self.displacement, axis=1), *COVER), np.float32)


@dataclass(frozen=True)
class TrackedFace:
    """A head model fitted to one photo or frame."""

    camera: Camera  # of the upright photo
    identity: F32  # [N]
    vertices: F32  # [V, 3] neutral head of this person: identity and, where used, a smooth residual on top
    expression: F32  # [K]
    rotations: F32  # [J, 3] axis-angle, rad
    translation: F32  # [3] m, view frame
    detection: Detection
    landmark_error: float  # rms over the visible landmarks / face height
    plausibility: float  # 0..1; low for what hardly looks like a human face
    blendshapes: F32 | None = None  # [K, V, 3] m, this person's own; None where they are the head model's
    hair: HairHull | None = None  # None: bald
    uncertainty: F32 | None = None  # [V] m, one standard deviation of the bald head's vertices; None: not known

    @property
    def surface(self) -> F32:  # [V, 3] m
        """The neutral head with its hair."""
        return self.vertices if self.hair is None else self.vertices + self.hair.displacement

    @property
    def surface_uncertainty(self) -> F32 | None:  # [V] m
        """One standard deviation of the surface's vertices: of skin and growth together, which err independently."""
        if self.uncertainty is None or self.hair is None or self.hair.sigma is None:
            return self.uncertainty
        return np.asarray(np.hypot(self.uncertainty, self.hair.sigma), np.float32)

    def blendshapes_on(self, model: HeadModel) -> F32:  # [K, V, 3] m
        """The person's own blendshapes, or the head model's where the tracker found none; hair does not take part."""
        shapes = model.blendshapes if self.blendshapes is None else self.blendshapes
        if self.hair is None:
            return shapes
        return np.asarray(shapes * (1 - self.hair.cover)[None, :, None], np.float32)

    def weights_on(self, model: HeadModel) -> F32:  # [V, J]
        """Skinning weights: hair goes with the skull, its lower ends softly with the shoulders."""
        if self.hair is None or "neck" not in model.joint_names:
            return model.weights
        skull = model.joint_names.index("neck")
        below = float(model.joints(self.vertices)[skull, 1]) - self.surface[:, 1]
        loose = LOOSE * ((below - SWAY[0]) / (SWAY[1] - SWAY[0])).clip(0, 1)
        hair = np.zeros_like(model.weights)
        hair[:, skull], hair[:, 0] = 1 - loose, loose
        cover = self.hair.cover[:, None]
        return np.asarray((1 - cover) * model.weights + cover * hair, np.float32)

    def parts_on(self, model: HeadModel) -> tuple[U8, tuple[str, ...]]:  # [V], names
        """The parts, with a part `hair` for what has grown."""
        if self.hair is None or "hair" in model.parts:
            return model.part, model.parts
        part = np.where(self.hair.cover > 0.5, len(model.parts), model.part).astype(np.uint8)
        return part, (*model.parts, "hair")
