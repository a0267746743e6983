"""The template and its identity basis: principal components of sampled MakeHuman targets.

Frame: MakeHuman's, decimetres, source topology until `Carrier` maps it onto the head.
Dims:  V head vertices, M targets, P sampled parameter vectors, N modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from meshlam_core.head.builder.source import F64, Source

RACES = ("african", "asian", "caucasian")
SEXES = ("female", "male")
AGES = ("child", "young", "old")
# MakeHuman's young is 25 and its old 90 years: the mean adult lies between, a child's share only widens the basis
MEAN_AGE = {"child": 0.0, "young": 0.72, "old": 0.28}
LOCAL_FOLDERS = ("head", "forehead", "eyes", "eyebrows", "nose", "mouth", "chin", "cheek", "ears", "neck", "asym")
SAMPLES = 20000
SEED = 20260422


def macro_names() -> dict[str, tuple[str, ...]]:
    """The macro targets that shape a head, by family."""
    return {
        "ancestry": tuple(f"macrodetails/{r}-{s}-{a}" for r in RACES for s in SEXES for a in AGES),
        "build": tuple(
            f"macrodetails/universal-{s}-{a}-{m}muscle-{w}weight"
            for s in SEXES
            for a in AGES
            for m in ("min", "average", "max")
            for w in ("min", "average", "max")
        ),
    }


def mean_weights(names: tuple[str, ...]) -> F64:  # [M]
    """Weights of the macro targets that make the template: half of each sex, a third of each ancestry."""
    result = np.zeros(len(names))
    for i, name in enumerate(names):
        tokens = name.split("/")[-1].split("-")
        weight = 0.5 * MEAN_AGE[tokens[2]]
        if tokens[0] == "universal":
            weight *= tokens[3:] == ["averagemuscle", "averageweight"]
        else:
            weight /= 3
        result[i] = weight
    return result


def template_source(source: Source, count: int, base: F64) -> F64:  # [S, 3] dm
    """The average neutral adult in the source topology."""
    names = sum(macro_names().values(), ())
    vertices = base.copy()
    for name, weight in zip(names, mean_weights(names), strict=True):
        if weight > 0:
            vertices += weight * source.target(name, count)
    return vertices


@dataclass(frozen=True)
class LocalTarget:
    """One local control: a positive and, where there is one, a negative target."""

    positive: str
    negative: str | None
    spread: float  # standard deviation of the coefficient when it is used
    partner: int  # index of the mirrored control, or -1


OPPOSITES = (
    ("-incr", "-decr"), ("-out", "-in"), ("-up", "-down"), ("-forward", "-backward"), ("-convex", "-concave"),
    ("-uncompress", "-compress"),
)  # fmt: skip


def local_targets(source: Source) -> list[LocalTarget]:
    """All local head controls, with left and right paired."""
    names = [name for folder in LOCAL_FOLDERS for name in source.targets_in(folder)]
    names = [name for name in names if "breast" not in name and "trunk" not in name]
    present = set(names)
    pairs: list[tuple[str, str | None]] = []
    for name in names:
        for plus, minus in OPPOSITES:
            if name.endswith(plus) and name.removesuffix(plus) + minus in present:
                pairs.append((name, name.removesuffix(plus) + minus))
                break
            if name.endswith(minus) and name.removesuffix(minus) + plus in present:
                break
        else:
            pairs.append((name, None))
    index = {positive: i for i, (positive, _) in enumerate(pairs)}
    result = []
    for positive, negative in pairs:
        folder, _, leaf = positive.partition("/")
        twin = f"{folder}/{'r' if leaf[0] == 'l' else 'l'}{leaf[1:]}" if leaf[:2] in ("l-", "r-") else ""
        result.append(LocalTarget(positive, negative, _spread(positive), index.get(twin, -1)))
    return result


def _spread(name: str) -> float:
    """How strongly real heads use a control; shapes that only make sense as caricature stay small."""
    if name.startswith("asym/"):
        return 0.25
    if "measure-neck" in name or "neck-trans" in name or "head-trans" in name or "head-angle" in name:
        return 0.1
    if "shape-" in name or "double" in name:
        return 0.3
    return 0.5


def sample_parameters(
    controls: list[LocalTarget],
    rng: np.random.Generator,
) -> tuple[F64, F64]:  # [P, macro targets], [P, local targets: positives then negatives]
    """Draw people: sex, age, ancestry and build together, each local control used by some, left and right alike."""
    families = macro_names()
    sex = rng.beta(0.5, 0.5, SAMPLES)
    old = np.clip(rng.beta(1.1, 1.6, SAMPLES), 0, 1)
    child = np.where(rng.random(SAMPLES) < 0.1, rng.uniform(0, 0.5, SAMPLES), 0.0)
    age = {"child": child, "young": (1 - child) * (1 - old), "old": (1 - child) * old}
    race = dict(zip(RACES, rng.dirichlet(np.full(3, 0.5), SAMPLES).T, strict=True))
    sexes = {"female": 1 - sex, "male": sex}
    muscle = _thirds(np.clip(rng.normal(0.5, 0.2, SAMPLES), 0, 1))
    weight = _thirds(np.clip(rng.normal(0.5, 0.25, SAMPLES), 0, 1))
    columns = []
    for name in families["ancestry"]:
        r, s, a = name.split("/")[-1].split("-")
        columns.append(race[r] * sexes[s] * age[a])
    for name in families["build"]:
        _, s, a, m, w = name.split("/")[-1].split("-")
        columns.append(sexes[s] * age[a] * muscle[m.removesuffix("muscle")] * weight[w.removesuffix("weight")])

    drawn = rng.normal(size=(SAMPLES, len(controls)))
    used = rng.random((SAMPLES, len(controls)))
    for i, control in enumerate(controls):
        if 0 <= control.partner < i:  # the right side follows the left with a part of its own
            drawn[:, i] = 0.95 * drawn[:, control.partner] + np.sqrt(1 - 0.95**2) * drawn[:, i]
            used[:, i] = used[:, control.partner]
    spread = np.array([control.spread for control in controls])
    value = np.clip(drawn * spread, -1, 1) * (used < 0.5)
    two_sided = np.array([control.negative is not None for control in controls])
    return np.stack(columns, axis=1), np.concatenate([value.clip(0), (-value).clip(0) * two_sided], axis=1)


def _thirds(value: F64) -> dict[str, F64]:
    """Interpolation weights of the targets min, average and max at 0, 0.5 and 1."""
    return {"min": (1 - 2 * value).clip(0), "average": 1 - np.abs(2 * value - 1), "max": (2 * value - 1).clip(0)}


def rigid_part_removed(
    offsets: F64,  # [V, 3] one target's displacement
    template: F64,  # [V, 3]
    weight: F64,  # [V] where the head must not move as a whole
) -> F64:  # [V, 3]
    """The displacement without the rotation and translation (not the scale) of the weighted region."""
    total = weight.sum()
    goal = template - (weight[:, None] * template).sum(axis=0) / total
    moved = template + offsets
    moved = moved - (weight[:, None] * moved).sum(axis=0) / total
    u, _, vt = np.linalg.svd((weight[:, None] * goal).T @ moved)
    rotation = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return np.asarray(moved @ rotation.T - goal)


def principal_modes(
    displacements: F64,  # [M, V, 3]
    parameters: F64,  # [P, M]
    metric: F64,  # [V] importance of each vertex
    count: int,
) -> tuple[F64, float]:  # modes [N, V, 3] at one standard deviation, share of variance kept
    """PCA of parameters @ displacements in the vertex metric, computed in the small space of the targets."""
    size = len(displacements)
    flat = displacements.reshape(size, -1)
    centred = parameters - parameters.mean(axis=0)
    covariance = centred.T @ centred / len(parameters)  # [M, M]
    root = np.repeat(np.sqrt(metric), 3)
    gram = (flat * root) @ (flat * root).T  # [M, M]
    # eigenvectors of L^T G L with covariance = L L^T give the principal axes
    values, vectors = np.linalg.eigh(covariance)
    half = vectors * np.sqrt(values.clip(0))
    variance, axes = np.linalg.eigh(half.T @ gram @ half)
    order = np.argsort(variance)[::-1][:count]
    modes = (half @ axes[:, order]).T @ flat  # already scaled to one standard deviation
    peak = np.abs(modes).argmax(axis=1)
    modes *= np.sign(modes[np.arange(len(modes)), peak])[:, None]
    kept = float(variance[order].sum() / variance.clip(0).sum())
    return modes.reshape(count, -1, 3), kept
