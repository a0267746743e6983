"""Fitting the head model to the landmarks of one picture.

The face is seen by a camera that looks straight at it (lens.py).
Pose from a Procrustes alignment, then Gauss-Newton on identity, expression, pose, distance and focal length (solver.py)
with the outline sliding (contour.py), then a smooth residual (residual.py), and at last the cheeks' edge, the lids and
the lips to the millimetre (detail.py). Frames and units: frames.py.

The expression is held near the detector's own coefficients, so that a smile is not taken for wide cheeks and the
neutral head comes out with closed lips and open eyes. How near is said in millimetres of movement, the same for every
shape: a coefficient of jawOpen moves the chin 39 mm, one of noseSneer 5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meshlam_core.arkit import ARKIT_NAMES, reorder
from meshlam_core.frames import Camera, axis_angle_from_rotation
from meshlam_core.head.lids import closing_of
from meshlam_core.head.model import ById
from meshlam_core.tracker.close_look import KEY
from meshlam_core.tracker.contour import ContourRig, contour_rig
from meshlam_core.tracker.detail import fine_residual, outline_residual
from meshlam_core.tracker.landmarks import face_centre
from meshlam_core.tracker.lens import CLEARLY, Lens, edge_lens
from meshlam_core.tracker.observation import Observation
from meshlam_core.tracker.problem import Face
from meshlam_core.tracker.residual import fade, smooth_residual, without_folds
from meshlam_core.tracker.rig import LandmarkRig, landmark_rig
from meshlam_core.tracker.seen_motion import as_seen
from meshlam_core.tracker.solver import Prior, Solution, normal_equations, solve
from meshlam_core.tracker.types import Detection, TrackedFace
from meshlam_core.tracker.uncertainty import TOGETHER, skin_uncertainty, uncertain_modes

if TYPE_CHECKING:
    from meshlam_core.head.model import HeadModel

F64 = NDArray[np.float64]

# What the detector reads on faces at rest: the 5 to 10 % quantiles over 160 portraits (docs of the network give none).
_RESTING = {
    "browDown": 0.08,
    "eyeBlink": 0.08,
    "eyeLookDown": 0.06,
    "eyeLookIn": 0.07,
    "eyeLookOut": 0.10,
    "eyeLookUp": 0.04,
    "eyeSquint": 0.32,
    "mouthPress": 0.06,
}
REGIONS = (("brow",), ("eye",), ("mouth", "jaw", "cheek", "nose"))
# and what it reads as eyeBlink and eyeLookDown on drawn faces that look ahead while their lids shut; below 0.28, where
# they are half shut already, narrow eyes at rest read the same, and stay narrow in the neutral face
LIDS_SHUT = np.array([0, 0.22, 0.6, 0.75, 1])
READ_BLINK = np.array([0.08, 0.28, 0.38, 0.43, 0.62])
READ_DOWN = np.array([0.0, 0.15, 0.28, 0.34, 0.52])  # above what it reads on open eyes
SHUT = (0.35, 0.75)  # eyeBlink between which an eye comes to be shut
POPULATION = 1.0  # standard deviations of the head model by which people vary
RESTING_LEVEL = np.array([_RESTING.get(n.removesuffix("Left").removesuffix("Right"), 0.0) for n in ARKIT_NAMES])
LIDS = [(ARKIT_NAMES.index("eyeBlink" + side), ARKIT_NAMES.index("eyeLookDown" + side)) for side in ("Left", "Right")]


@dataclass(frozen=True)
class FitSettings:
    """How far the fit trusts what."""

    landmark_sigma: float = 0.010  # face heights, of a trusted landmark
    # standard deviations of the head model; people vary by 1, but landmarks err together and their many would have the
    # last word: a photo's expression then goes into the identity (docs/limits.md)
    identity_sigma: float = 0.5
    expression_slack: float = 0.0012  # m of movement the detector's coefficients may be off in any case,
    expression_gain_sigma: float = 0.06  # the part of each coefficient by which it may be off besides,
    company_sigma: float = 0.05  # and the part of the strongest coefficient of the same region
    expression_sigma_range: tuple[float, float] = (0.03, 0.6)
    known_person_freedom: float = 3.0  # how much more the expression may differ once the neutral face is known
    robust_scale: float = 4.0  # landmark sigmas at which an outlier loses its pull
    # m from which portraits are taken: landmarks hardly tell it (of drawn heads 0.35 to 3 m away they say 0.5 to 1.3 m,
    # nearly at random), nor does EXIF of a cutting; a face does not come out better where it is known
    distance: float = 1.5
    log_distance_sigma: float = 0.2
    modes: int = 80  # identity modes used; the finer ones move the landmarks less than their noise
    iterations: int = 8
    tolerance: float = 1e-3  # relative fall of the cost at which to stop: ends where another processor's round-off ends
    residual: bool = True
    seen_motion: bool = False  # expressions move landmarks as the network sees it, not as the mesh moves
    outline_rounds: int = 2  # the outline slides on as the cheeks follow it


@dataclass(frozen=True)
class Person:
    """One person's neutral head, prepared for fitting pose and expression."""

    vertices: F64  # [V, 3] m
    rig: LandmarkRig
    contour: ContourRig


@dataclass(frozen=True)
class _Head:
    """A fitted face and its neutral head."""

    face: Face
    vertices: F64  # [V, 3] m, neutral
    blendshapes: NDArray[np.float32] | None  # [K, V, 3] m, the person's own; None: the model's
    error: float  # rms over the visible landmarks / face height
    uncertainty: NDArray[np.float32]  # [V] m


class HeadFitter:
    """A head model prepared for fitting; one serves every photo."""

    def __init__(self, model: HeadModel, settings: FitSettings | None = None) -> None:
        self.model = model
        self.settings = settings or FitSettings()
        self.rig = landmark_rig(model).truncated(self.settings.modes)
        if self.settings.seen_motion:
            self.rig = as_seen(self.rig)
        self.contour = contour_rig(model).truncated(self.settings.modes)
        self.residual = smooth_residual(model)
        self.detail = fine_residual(model)
        self.closing = closing_of(model)
        self.yields = fade(model)
        self.modes = uncertain_modes(model, self.rig.modes)
        self.regions = [
            np.array([i for i, name in enumerate(model.blendshape_names) if name.startswith(prefixes)], dtype=np.intp)
            for prefixes in REGIONS
        ]
        self.regions = [region for region in self.regions if len(region)]
        names = list(model.blendshape_names)
        triples = [[key + side for key in ("eyeBlink", "eyeWide", "eyeLookDown")] for side in ("Left", "Right")]
        self.lids = [[names.index(name) for name in keys] for keys in triples if set(keys) <= set(names)]
        # where the eyes look bends no face
        self.calm = np.array([not name.startswith("eyeLook") for name in model.blendshape_names])
        # no landmark shows it, so they have no say against what a close look sees
        self.close = np.array([name == KEY for name in model.blendshape_names])
        reach = np.linalg.norm(model.blendshapes, axis=2).max(axis=1).astype(np.float64)
        self.expression_slack: F64 = self.settings.expression_slack / np.maximum(reach, 1e-6)

    def fit(
        self,
        detection: Detection,  # native pixels of the upright photo
        size: tuple[int, int],  # px, (width, height) of the upright photo
        focal_35mm: float | None = None,  # mm, EXIF
    ) -> TrackedFace:
        """The head model on one photo."""
        lens = edge_lens(detection, size, focal_35mm)
        usual = self.parametric(detection)
        if lens is not None:
            straight, view_from_straight = lens.straightened(detection)
            turned = self.parametric(straight)
            if turned.cost < CLEARLY * usual.cost:
                head = self._refine(straight, turned.face)
                return self._through(lens, view_from_straight, head, detection, size)
        head = self._refine(detection, usual.face)
        x, y = face_centre(detection).tolist()
        return self._tracked(head, Camera(float(np.exp(head.face.log_focal)), (x, y), size), detection)

    def parametric(self, detection: Detection) -> Solution:
        """The parametric fit, by a camera whose axis meets the face's centre."""
        settings, centre = self.settings, face_centre(detection)
        start = self.start(detection, centre)
        observation = self.observe(detection, centre, start)
        prior = self.prior(detection)
        return solve(
            observation.look,
            start,
            observation.targets,
            centre,
            prior,
            settings.iterations,
            settings.robust_scale,
            tolerance=settings.tolerance,
        )

    def _refine(self, detection: Detection, face: Face) -> _Head:
        """The fields that bend the parametric head onto the landmarks."""
        settings, centre = self.settings, face_centre(detection)
        vertices = self.neutral(face.identity)
        sighting = self.observe(detection, centre, face).sight(face)
        if not settings.residual:
            return _Head(face, vertices, None, sighting.error, self.uncertainty(detection, face, vertices))
        vertices = without_folds(vertices, self.residual.fit(face, sighting), self.model.faces)
        known = replace(face, identity=np.empty(0))
        for _ in range(settings.outline_rounds):
            observation = self.observe(detection, centre, face, self.person(vertices))
            sighting = observation.sight(known)
            field = outline_residual(face, sighting, *observation.outline(), vertices, self.yields)
            vertices = without_folds(vertices, field, self.model.faces)
        sighting = self.observe(detection, centre, face, self.person(vertices)).sight(known)
        detail = self.detail.fit(face, sighting, vertices, self.model)
        uncertainty = self.uncertainty(detection, face, detail.vertices)
        shapes = detail.blendshapes
        if self.closing.rims:
            usual = self.model.blendshapes if shapes is None else shapes
            shapes, expression = self.closing.met(detail.vertices, usual, face.expression)
            face, known = replace(face, expression=expression), replace(known, expression=expression)
        sighting = self.observe(detection, centre, face, self.person(detail.vertices, shapes)).sight(known)
        return _Head(face, detail.vertices, shapes, sighting.error, uncertainty)

    def uncertainty(
        self,
        detection: Detection,
        face: Face,  # as the parametric fit found it
        vertices: F64,  # [V, 3] m, its neutral head as the fields have bent it
    ) -> NDArray[np.float32]:  # [V] m
        """One standard deviation of each vertex's position, see uncertainty.py."""
        centre = face_centre(detection)
        observation = self.observe(detection, centre, face)
        rig, weights = observation.look(face)
        prior, scale = replace(self.prior(detection), identity_sigma=POPULATION), self.settings.robust_scale
        hessian, _ = normal_equations(rig, face, observation.targets, centre, weights / TOGETHER, prior, scale)
        return skin_uncertainty(hessian, self.modes, vertices - self.neutral(face.identity))

    def _through(
        self, lens: Lens, view_from_straight: F64, head: _Head, detection: Detection, size: tuple[int, int]
    ) -> TrackedFace:
        """A head that was fitted straight, posed before the lens that the photo was taken with."""
        centre, log_focal = np.array(lens.centre), float(np.log(lens.focal))
        nearer = replace(head.face, identity=np.empty(0), log_focal=log_focal)
        away = head.face.translation * np.array([1, 1, np.exp(log_focal - head.face.log_focal)])
        pose = replace(nearer, rotation=view_from_straight @ head.face.rotation, translation=view_from_straight @ away)
        observation = self.observe(detection, centre, pose, self.person(head.vertices, head.blendshapes))
        prior = Prior(np.inf, pose.expression, np.full(len(pose.expression), self.settings.expression_sigma_range[0]))
        scale = self.settings.robust_scale
        found = solve(observation.look, pose, observation.targets, centre, prior, 4, scale, fix_focal=True).face
        posed = replace(found, identity=head.face.identity)
        error = observation.sight(found).error
        known = _Head(posed, head.vertices, head.blendshapes, error, head.uncertainty)
        return self._tracked(known, Camera(lens.focal, lens.centre, size), detection)

    def _tracked(self, head: _Head, camera: Camera, detection: Detection) -> TrackedFace:
        face = head.face
        return TrackedFace(
            camera=camera,
            identity=self.padded(face.identity),
            vertices=head.vertices.astype(np.float32),
            expression=face.expression.astype(np.float32),
            rotations=self.rotations(face),
            translation=face.translation.astype(np.float32),
            detection=detection,
            landmark_error=head.error,
            plausibility=plausibility(detection, head.error, face.identity),
            blendshapes=head.blendshapes,
            uncertainty=head.uncertainty,
        )

    def person(
        self,
        vertices: F64,  # [V, 3] m, neutral
        blendshapes: NDArray[np.float32] | None = None,  # [K, V, 3] m, the person's own; None: the model's
    ) -> Person:
        """A neutral head prepared for fitting pose and expression."""
        return Person(
            vertices, self.rig.of_person(vertices, blendshapes), self.contour.of_person(vertices, blendshapes)
        )

    def padded(
        self,
        identity: F64,  # [n] the modes used
    ) -> NDArray[np.float32]:  # [N]
        """The identity in all modes of the head model."""
        full = np.zeros(len(self.model.identity_basis), np.float32)
        full[: len(identity)] = identity
        return full

    def neutral(
        self,
        identity: F64,  # [n]
    ) -> F64:  # [V, 3] m
        """The neutral head of an identity."""
        basis = self.model.identity_basis[: len(identity)]
        offset: F64 = np.tensordot(identity.astype(np.float32), basis, 1).astype(np.float64)
        return self.model.template + offset

    def rotations(self, face: Face) -> NDArray[np.float32]:  # [J, 3] rad
        """Joint rotations of a fitted face: the root turns the head; the eyes turn by their blendshapes."""
        rotations = np.zeros((len(self.model.joint_names), 3), np.float32)
        rotations[0] = axis_angle_from_rotation(face.rotation)
        return rotations

    def expression_of(self, detection: Detection) -> F64:  # [K]
        """The detector's coefficients, freed of their resting level, in the model's order and within its ranges.

        Lids that close are read as half a blink and, as no iris shows, as a look down: see LIDS_SHUT.
        """
        values = np.maximum(detection.coefficients - RESTING_LEVEL, 0) / (1 - RESTING_LEVEL)
        for blink, down in LIDS:
            shut = np.interp(detection.coefficients[blink], READ_BLINK, LIDS_SHUT)
            values[blink] = shut
            values[down] = max(values[down] - np.interp(shut, LIDS_SHUT, READ_DOWN), 0)
        values = reorder(values.astype(np.float32), ARKIT_NAMES, self.rig.names).astype(np.float64)
        clipped: F64 = np.clip(values, self.rig.ranges[:, 0], self.rig.ranges[:, 1])
        return clipped

    def pose_prior(self, detection: Detection) -> Prior:
        """The prior of a frame whose person and focal length are known."""
        mean = self.expression_of(detection)
        freedom = np.where(self.close & (mean > 0), 1.0, self.settings.known_person_freedom)
        sigma = np.minimum(freedom * self.expression_sigma(mean), self.settings.expression_sigma_range[1])
        return Prior(np.inf, mean, self._of_shut_eyes(mean, sigma))

    def _of_shut_eyes(self, mean: F64, sigma: F64) -> F64:  # [K]
        """No lid falls and rises at once, and of an eye that is shut nobody sees where it looks.

        The landmarks of shut lids keep a little apart, and eyeWide and eyeLookDown would take up what a blink lacks:
        on this head the same, on another rig an eye half open.
        """
        sigma = sigma.copy()
        for blink, wide, down in self.lids:
            closed = mean[blink]
            shut = float(np.clip((closed - SHUT[0]) / (SHUT[1] - SHUT[0]), 0, 1))
            sigma[wide] *= max(0.1, 1 - 2 * closed)
            sigma[[blink, down]] *= 1 - 0.8 * shut
        return sigma

    def expression_sigma(
        self,
        mean: F64,  # [K]
    ) -> F64:  # [K]
        """How far each coefficient may be from the detector's."""
        settings = self.settings
        company = np.zeros(len(mean))
        for region in self.regions:
            company[region] = mean[region].max()
        own = np.hypot(self.expression_slack, settings.expression_gain_sigma * mean)
        # no two heads smile alike: in an active mouth all its shapes may take part, in a resting one none
        sigma = np.where(self.close & (mean > 0), 0.0, np.hypot(own, settings.company_sigma * company))
        clipped: F64 = np.clip(sigma, *settings.expression_sigma_range)
        return clipped

    def prior(self, detection: Detection) -> Prior:
        """What is known before looking at the landmarks."""
        settings = self.settings
        mean = self.expression_of(detection)
        return Prior(
            identity_sigma=settings.identity_sigma,
            expression_mean=mean,
            expression_sigma=self._of_shut_eyes(mean, self.expression_sigma(mean)),
            log_distance_mean=float(np.log(settings.distance)),
            log_distance_sigma=settings.log_distance_sigma,
        )

    def observe(
        self,
        detection: Detection,
        centre: F64,  # [2] px
        face: Face,
        person: Person | None = None,  # None: the model with its identity
    ) -> Observation:
        """The detection as a least-squares term."""
        rig, contour = (self.rig, self.contour) if person is None else (person.rig, person.contour)
        pixels_per_metre = float(np.exp(face.log_focal)) / -face.translation[2]
        sigma = self.settings.landmark_sigma * pixels_per_metre * self.rig.face_height
        targets = np.ascontiguousarray(detection.landmarks[:, :2].T.astype(np.float64))
        return Observation(rig, contour, targets, centre, float(sigma))

    def start(self, detection: Detection, centre: F64) -> Face:
        """Pose by aligning the model's landmarks with the detector's three-dimensional ones (Procrustes)."""
        expression = self.expression_of(detection)
        model = self.rig.positions(np.zeros(self.rig.modes), expression)
        seen = detection.landmarks.T.astype(np.float64) * np.array([[1.0], [-1.0], [-1.0]])
        weight = self.rig.trust / self.rig.trust.sum()
        a, b = model @ weight, seen @ weight
        left = model - a[:, None]
        u, s, vt = np.linalg.svd(((seen - b[:, None]) * weight) @ left.T)
        sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
        rotation = (u * sign) @ vt
        scale = float((s * sign).sum() / ((left**2).sum(axis=0) @ weight))  # px per m
        distance = self.settings.distance
        at = np.array([(b[0] - centre[0]) / scale, (b[1] + centre[1]) / scale, 0.0]) - rotation @ a
        at[2] = -distance
        return Face(np.zeros(self.rig.modes), expression, rotation, at, float(np.log(max(scale, 1e-6) * distance)))


def plausibility(detection: Detection, error: float, identity: F64) -> float:
    """0..1: how much the looks, the fit and the fitted head speak for a human face."""
    strain = float(np.sqrt((identity**2).mean())) if len(identity) else 0.0
    fits = 1 / (1 + np.exp((error - 0.03) / 0.004))
    ordinary = 1 / (1 + np.exp((strain - 1.0) / 0.1))  # 134 portraits: at most 0.4
    return float(np.clip(detection.score * fits * ordinary, 0, 1))


@lru_cache(maxsize=8)
def _fitter(key: ById, settings: FitSettings) -> HeadFitter:
    return HeadFitter(key.model, settings)


def head_fitter(model: HeadModel) -> HeadFitter:
    """The fitter of a head model for photos; prepared once per model."""
    return _fitter(ById(model), FitSettings())


def clip_fitter(model: HeadModel) -> HeadFitter:
    """The fitter of a head model for clips, whose many frames tell the person from the expression."""
    return _fitter(ById(model), FitSettings(identity_sigma=POPULATION, seen_motion=True))
