"""The fine residual of lids and lips: millimetres that decide whether an eye or a smile looks like the person's own.

The same kind of field as residual.py's, with a reach of one lid or lip, on the landmarks around eyes and mouth.
What it does to a lid belongs to the neutral head; a blink takes it back, so that closing lids still meet. What it does
to lips that smile or speak belongs to that expression, not to the neutral head: it is shared among the active
blendshapes by the smallest change that gives it at the photo's coefficients (after Li et al. 2010, "Example-based
facial rigging", where examples shape a generic rig). Lips at rest move in the neutral head.

Upper and lower lip touch in the neutral head and must not pull at each other, so distances for the expression's share
are measured with the jaw open.

Frames: frames.py. Dims: V vertices, L landmarks, C centres, K blendshapes, S outline points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.points import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from meshlam_core.tracker.contour import OUTLINE_TRUST
from meshlam_core.tracker.observation import Sighting
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.residual import (
    fit_field,
    interior_fade,
    offsets_in_view,
    shortened,
    wendland,
    without_folds,
)
from meshlam_core.tracker.rig import landmark_rig

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Indices = NDArray[np.intp]

SUPPORT = 0.018  # m, where a centre's influence ends
STIFFNESS = 0.15  # larger is smoother
LIMIT = 0.004  # m
OUTLINE_SUPPORT = 0.035  # m
OUTLINE_LIMIT = 0.006  # m
JAW = 0.6  # of jawOpen, at which distances between lips are measured
ACTIVE = 0.4  # length of the mouth's coefficients from which all belongs to the expression
SHUT = (0.3, 0.7)  # eyeBlink between which the lids say nothing more about the open eye
STILL_PARTS = ("teeth_upper", "teeth_lower", "tongue", "eyeball_left", "eyeball_right", "scalp", "neck", "ears")
MOUTH = ("mouth", "jaw")
EYES = {"eyeBlinkRight": RIGHT_EYE, "eyeBlinkLeft": LEFT_EYE}


@dataclass(frozen=True)
class Detail:
    """A person's head with the fine residual."""

    vertices: F64  # [V, 3] m, neutral
    blendshapes: F32 | None  # [K, V, 3] m, of this person; None where they are the model's own


@dataclass(frozen=True)
class Change:
    """What a region does to the person's blendshapes: share[k] * moved is added to blendshape k."""

    share: F64  # [K]
    vertices: Indices  # [U]
    moved: F64  # [U, 3] m


@dataclass(frozen=True)
class Field:
    """A smooth displacement field over one region, prepared for fitting."""

    landmarks: Indices  # [D] those that it listens to
    at_landmarks: F64  # [D, C]
    vertices: Indices  # [U] those that it moves
    at_vertices: F64  # [U, C]
    stiffness: F64  # [C, C]

    def fit(
        self,
        offset: F64,  # [2, L] m, view frame
        weight: F64,  # [L]
    ) -> F64:  # [C, 2] coefficients
        heard = self.landmarks
        return fit_field(self.at_landmarks, weight[heard], offset[:, heard], STIFFNESS * self.stiffness)

    def at(self, coefficients: F64) -> F64:  # [U, 2] m, no longer than LIMIT
        return np.asarray(shortened(self.at_vertices @ coefficients, LIMIT), np.float64)


@dataclass(frozen=True)
class FineResidual:
    """Everything of the fields that depends on the head model alone."""

    eyes: dict[int, Field]  # by the blendshape that closes the eye
    lips: Field
    parted_lips: Field  # the same with distances measured with the jaw open
    mouth: Indices  # blendshapes of mouth and jaw

    def fit(
        self,
        face: Face,
        sighting: Sighting,
        vertices: F64,  # [V, 3] m, the neutral head
        model: HeadModel,
    ) -> Detail:
        """Take up what the smooth residual left."""
        offset = offsets_in_view(face, sighting)
        weight = np.clip(sighting.weight * 2, 0, 1)
        neutral = np.zeros(vertices.shape)
        lids = self._lids(face, offset, weight, neutral)
        lips = self._lips(face, offset, weight, neutral)
        displaced = without_folds(vertices, neutral, model.faces)
        # a blink takes back what the lids really moved
        kept = float(np.linalg.norm(displaced - vertices)) / max(float(np.linalg.norm(neutral)), 1e-12)
        changes = [replace(change, moved=kept * change.moved) for change in lids] + lips
        if not changes:
            return Detail(displaced, None)
        blendshapes = np.array(model.blendshapes, dtype=np.float32)
        for change in changes:
            for k in np.flatnonzero(change.share):
                blendshapes[k, change.vertices] += (change.share[k] * change.moved).astype(np.float32)
        return Detail(displaced, blendshapes)

    def _lids(self, face: Face, offset: F64, weight: F64, neutral: F64) -> list[Change]:
        """Adds the lids' displacement to `neutral` [V, 3]; returns how the blinks undo it."""
        changes = []
        for blink, field in self.eyes.items():
            closed = float(face.expression[blink])
            believed = float(np.clip((SHUT[1] - closed) / (SHUT[1] - SHUT[0]), 0, 1))
            if believed == 0:
                continue
            # the photo's own blink takes back its part
            moved = (field.at(field.fit(offset, weight)) * (believed / (1 - closed))) @ face.rotation[:2]
            neutral[field.vertices] += moved
            share = np.zeros(len(face.expression))
            share[blink] = -1.0
            changes.append(Change(share, field.vertices, moved))
        return changes

    def _lips(self, face: Face, offset: F64, weight: F64, neutral: F64) -> list[Change]:
        """Adds the part of lips at rest to `neutral` [V, 3]; returns the part of their expression."""
        active = face.expression[self.mouth]
        energy = float(active @ active)
        expressed = min(1.0, energy / ACTIVE**2)
        at_rest = self.lips.fit((1 - expressed) * offset, weight)
        neutral[self.lips.vertices] += self.lips.at(at_rest) @ face.rotation[:2]
        if expressed == 0:
            return []
        left = offset.copy()
        left[:, self.lips.landmarks] -= (self.lips.at_landmarks @ at_rest).T
        moved = self.parted_lips.at(self.parted_lips.fit(left, weight)) @ face.rotation[:2]
        share = np.zeros(len(face.expression))
        share[self.mouth] = active / max(energy, ACTIVE**2)
        return [Change(share, self.parted_lips.vertices, moved)]


def outline_residual(
    face: Face,
    sighting: Sighting,
    points: Indices,  # [S] landmark numbers of the sliding points
    positions: F64,  # [S, 3] m, where they are on the neutral head
    vertices: F64,  # [V, 3] m, neutral
    yields: F64,  # [V] 0..1, what of the field a vertex takes
) -> F64:  # [V, 3] m
    """The displacement that pulls the cheeks' edge onto the outline in the photo."""
    offset = offsets_in_view(face, sighting)[:, points]  # [2, S]
    kernel = wendland(positions, positions, OUTLINE_SUPPORT)
    weight = np.clip(sighting.weight[points] / OUTLINE_TRUST, 0, 1)
    coefficients = fit_field(kernel, weight, offset, STIFFNESS * kernel + 1e-6 * np.eye(len(points)))
    near = np.flatnonzero(yields * (vertices[:, 2] > positions[:, 2].min() - OUTLINE_SUPPORT) > 0)
    flat = shortened(wendland(vertices[near], positions, OUTLINE_SUPPORT) @ coefficients, OUTLINE_LIMIT)
    field = np.zeros_like(vertices)
    field[near] = (flat * yields[near, None]) @ face.rotation[:2]
    return field


def fine_residual(model: HeadModel) -> FineResidual:
    """Prepare the fields of a head model."""
    names = list(model.blendshape_names)
    template = model.template.astype(np.float64)
    opened = template + JAW * model.blendshapes[names.index("jawOpen")] if "jawOpen" in names else template
    lips = np.concatenate([LIPS_OUTER, LIPS_INNER])
    return FineResidual(
        eyes={names.index(name): _field(model, template, ring) for name, ring in EYES.items() if name in names},
        lips=_field(model, template, lips),
        parted_lips=_field(model, opened, lips),
        mouth=np.array([i for i, name in enumerate(names) if name.startswith(MOUTH)], dtype=np.intp),
    )


def _field(model: HeadModel, vertices: F64, ring: Indices) -> Field:
    rig = landmark_rig(model)
    positions = np.einsum("lk,lkd->ld", rig.bary, vertices[rig.corners])
    centres = positions[ring]
    to_landmarks = wendland(positions, centres, SUPPORT)
    heard = np.flatnonzero(to_landmarks.max(axis=1) > 0)
    to_vertices = wendland(vertices, centres, SUPPORT) * interior_fade(model)[:, None]
    to_vertices[np.isin(np.array(model.parts)[model.part], STILL_PARTS)] = 0.0
    moved = np.flatnonzero(to_vertices.max(axis=1) > 0)
    stiffness = wendland(centres, centres, SUPPORT) + 1e-6 * np.eye(len(centres))
    return Field(heard, to_landmarks[heard], moved, to_vertices[moved], stiffness)
