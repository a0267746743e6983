"""Which keys push the face through itself, and what moves it out again. Knows no Blender.

A fault of one key alone is mended by a corrective that goes with it; what two keys only do together, by one that is as
strong as the weaker of the two. Both grow linearly between states that are whole, so they suffice in between, too.
`mouthClose` closes the lips of an open jaw: alone it would draw the lower lip through the upper one, so that as much of
it as exceeds `jawOpen` is taken back.

Dims: V vertices, K keys, B states, S samples. Frame and units: barriers.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from .barriers import Barrier, barriers, near_barriers
from .contacts import Contact
from .shapes import F32, Mesh

Pair = tuple[str, str]  # in the order of the keys; twice the same name is that key alone

TOLERANCE = 0.0003  # m: less deep than this is no fault
_AIM = 0.0001  # m, so deep a correction leaves it
_ROUNDS = 12
_EASED = 6  # of these rounds begin with going back
_EASE = 0.3  # so much of it
_SLACK = 0.0003  # m: two keys' own correctives may add up to this much more than they need
_REPAIRS = 5
_CHUNK = 96  # states looked at together, for the sake of memory
_ALIKE = 0.0012  # m: pairs of one key share a corrective where it moves none of them further than they need by this
_MOST = 20  # of them, for the sake of the driver's length
_TOUCHED = 1e-5  # m
_BESIDE = 6  # vertices of the lids that each of the lashes goes with
CLOSES, OPENS = "mouthClose", "jawOpen"


@dataclass(frozen=True)
class Corrective:
    """A movement that comes with keys: with `first` as far as one of `others` does, too; with it alone without."""

    first: str
    others: tuple[str, ...]
    move: F32  # [V, 3] m
    above: bool = False  # as far as `first` exceeds the other

    def strength(self, values: Mapping[str, float]) -> float:
        """How much of the movement comes with these values of the keys; what is not named is 0."""
        own, other = values.get(self.first, 0.0), max((values.get(name, 0.0) for name in self.others), default=0.0)
        if self.above:
            return max(own - other, 0.0)
        return min(own, other) if self.others else own


@dataclass(frozen=True)
class Found:
    """What the doctor found: pairs with a fault by barrier, and the deepest, m."""

    pairs: dict[str, int] = field(default_factory=dict)
    deepest: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.pairs.values())


@dataclass(frozen=True)
class Cure:
    """What was found before and after, and the correctives."""

    before: Found
    after: Found
    correctives: list[Corrective]


def cure(mesh: Mesh) -> Cure:
    """Test all pairs of keys, make correctives, and test again."""
    small, kept = near_barriers(mesh)
    clinic = _Clinic(small)
    before = clinic.found()
    correctives = clinic.take_back()
    correctives += [Corrective(name, (), move) for name, move in clinic.mend_alone().items()]
    for repair in range(_REPAIRS):  # shared ones push some pairs a little further than they need
        clinic = _Clinic(small, correctives)
        pairs = clinic.mend_pairs(adding_up=not repair)
        if not pairs:
            break
        correctives += _shared(pairs, clinic.barriers)
    lashes = _Lashes(mesh)
    return Cure(before, clinic.found(), [_on_all(item, mesh, kept, lashes) for item in correctives])


def _on_all(item: Corrective, mesh: Mesh, kept: NDArray[np.intp], lashes: _Lashes) -> Corrective:
    """A corrective of the vertices that were looked at as one of all vertices."""
    move = -mesh.moves[item.first] if item.above else np.zeros_like(mesh.vertices)
    if not item.above:
        move[kept] = item.move
        move[lashes.numbers] = (lashes.mix[..., None] * move[lashes.lids]).sum(1)
    return replace(item, move=move)


class _Lashes:
    """They go with the lid beside them."""

    def __init__(self, mesh: Mesh) -> None:
        lids, self.numbers = np.flatnonzero(mesh.part == "eyelids"), np.flatnonzero(mesh.part == "lashes")
        if not len(lids):
            self.numbers = self.numbers[:0]
        apart = np.linalg.norm(mesh.vertices[self.numbers][:, None] - mesh.vertices[lids][None], axis=2)
        nearest = np.argsort(apart, axis=1)[:, :_BESIDE]
        near = 1 / (np.take_along_axis(apart, nearest, axis=1) + 1e-4) ** 2
        self.lids = lids[nearest]
        self.mix = (near / near.sum(1, keepdims=True)).astype(np.float32)


def shown(mesh: Mesh, correctives: list[Corrective], values: Mapping[str, float]) -> F32:  # [V, 3] m
    """The face with its keys at these values, and the correctives that come with them."""
    points = mesh.vertices.copy()
    for name, value in values.items():
        points += np.float32(value) * mesh.moves[name]
    for item in correctives:
        strength = item.strength(values)
        if strength:
            points += np.float32(strength) * item.move
    return points


def allowance(barrier: Barrier | Contact, mesh: Mesh) -> F32:  # [S] m
    """How deep samples are without any fault: as at rest, and as what closes two sheets lays one into the other."""
    meant = barrier.meant if isinstance(barrier, Contact) else ()
    states = [shown(mesh, [], dict.fromkeys(names, 1.0)) for names in ((), *meant) if {*names} <= {*mesh.moves}]
    return np.asarray(np.maximum(barrier.depths(np.stack(states), np.zeros(len(states), np.intp)).max(0), 0.0))


def faults(mesh: Mesh, correctives: list[Corrective]) -> Found:
    """The pairs with a fault when these correctives are there."""
    small, kept = near_barriers(mesh)
    return _Clinic(small, [replace(item, move=item.move[kept]) for item in correctives]).found()


def _shared(pairs: Mapping[Pair, F32], barriers: list[Barrier | Contact]) -> list[Corrective]:
    """Fewer correctives for the same pairs: those of one key that need much the same at the same barriers share one."""
    places: dict[tuple[bool, ...], dict[Pair, F32]] = {}
    for pair, move in pairs.items():
        place = tuple(bool(np.abs(move[barrier.vertices]).max() > _TOUCHED) for barrier in barriers)
        places.setdefault(place, {})[pair] = move
    return [item for there in places.values() for item in _shared_there(there)]


def _shared_there(pairs: Mapping[Pair, F32]) -> list[Corrective]:
    left, made = dict(pairs), []
    stars: dict[str, tuple[list[Pair], F32]] = {}
    while left:
        for name in {name for pair in left for name in pair} - set(stars):
            stars[name] = _alike([pair for pair in left if name in pair], left)
        name = max(stars, key=lambda name: (len(stars[name][0]), name))
        group, move = stars[name]
        made.append(Corrective(name, tuple(pair[pair[0] == name] for pair in group), move))
        for pair in group:
            del left[pair]
        changed = {name for pair in group for name in pair}
        stars = {name: star for name, star in stars.items() if name not in changed}
    return made


def _alike(star: list[Pair], moves: Mapping[Pair, F32]) -> tuple[list[Pair], F32]:
    """The pairs that can share the movement which is the farthest of theirs everywhere."""
    star = sorted(star, key=lambda pair: (-float(np.abs(moves[pair]).max()), pair))[:_MOST]
    group, far = [star[0]], moves[star[0]]
    for pair in star[1:]:
        longer = (far * far).sum(1) >= (moves[pair] * moves[pair]).sum(1)
        wider = np.where(longer[:, None], far, moves[pair])
        off = wider - np.stack([moves[other] for other in [*group, pair]])
        if (off * off).sum(2).max() < _ALIKE**2:
            group, far = [*group, pair], wider
    return group, far


class _Clinic:
    """The pairs of keys under test, with what has been mended so far."""

    def __init__(self, mesh: Mesh, correctives: list[Corrective] | None = None) -> None:
        self.mesh = mesh
        self.names = list(mesh.moves)
        self.moves = {name: move.copy() for name, move in mesh.moves.items()}
        self.together: dict[Pair, F32] = {}
        self.above = False
        for item in correctives or ():
            self._take(item)
        self.barriers = barriers(mesh)
        self.allowed = [allowance(barrier, mesh) for barrier in self.barriers]

    def _take(self, item: Corrective) -> None:
        self.above = self.above or item.above
        if not item.others:
            self.moves[item.first] = self.moves[item.first] + item.move
        elif not item.above:
            for other in item.others:
                pair = self._pair(item.first, other)
                self.together[pair] = self.together.get(pair, 0) + item.move

    def _pair(self, a: str, b: str) -> Pair:
        return (a, b) if self.names.index(a) <= self.names.index(b) else (b, a)

    def take_back(self) -> list[Corrective]:
        """The corrective of a mouth that closes more than it is open."""
        if CLOSES not in self.moves or OPENS not in self.moves:
            return []
        self.above = True
        return [Corrective(CLOSES, (OPENS,), -self.mesh.moves[CLOSES], above=True)]

    def found(self) -> Found:
        """Count, without the pairs of which one key moves nothing there: those are that of the other alone."""
        pairs, deepest = {}, {}
        for index, barrier in enumerate(self.barriers):
            bad = self._bad(index, self._pairs(barrier))
            pairs[barrier.name] = len(bad)
            deepest[barrier.name] = max((float(depth.max()) for depth in bad.values()), default=0.0)
        return Found(pairs, deepest)

    def mend_alone(self) -> dict[str, F32]:
        """[V, 3] for each key that needs one by itself."""
        alone = [(name, name) for name in self.names]
        mended = self._mend(alone, alone, _AIM)
        for (name, _), move in mended.items():
            self.moves[name] = self.moves[name] + move
        return {name: move for (name, _), move in mended.items()}

    def mend_pairs(self, adding_up: bool) -> dict[Pair, F32]:
        """[V, 3] for each pair that needs one: because of a fault or, where `adding_up`, as the two keys' own
        correctives together are too much."""
        pairs = [pair for pair in combinations_with_replacement(self.names, 2) if pair[0] != pair[1]]
        return self._mend(pairs, [pair for pair in pairs if adding_up and self._too_much(pair)])

    def _too_much(self, pair: Pair) -> bool:
        if set(pair) == {CLOSES, OPENS}:  # closed lips need nothing of what an open jaw needs
            return True
        one, other = (self.moves[name] - self.mesh.moves[name] for name in pair)
        shorter = np.sqrt(np.minimum((one * one).sum(1), (other * other).sum(1)))
        return bool(shorter[(one * other).sum(1) > 0].max(initial=0.0) > _SLACK)

    def _mend(self, pairs: list[Pair], eased: list[Pair], tolerance: float = TOLERANCE) -> dict[Pair, F32]:
        """Push what is in out of it, round by round, as out of one may be into another.

        Of those eased all that correctives move goes back a little between the rounds: what is needed is pushed out
        again, and nothing stays further out.
        """
        mended = {pair: np.zeros_like(self.mesh.vertices) for pair in eased}
        touching = [set(self._touching(barrier)) for barrier in self.barriers]
        for step in range(_ROUNDS):
            if 0 < step <= _EASED:
                for pair in eased:
                    mended[pair] = mended[pair] - np.float32(_EASE) * (self._mending(pair) + mended[pair])
            pushes: dict[Pair, F32] = {}
            for index, barrier in enumerate(self.barriers):
                chosen = [pair for pair in pairs if self._meet(barrier, pair, touching[index], mended)]
                for pair, depth in self._bad(index, chosen, mended, tolerance).items():
                    push = barrier.push(self._state(pair, mended), depth, _AIM)
                    pushes[pair] = pushes[pair] + push if pair in pushes else push
            for pair, push in pushes.items():
                mended[pair] = mended[pair] + push if pair in mended else push
            pairs = list(dict.fromkeys([*pushes, *(eased if step < _EASED else ())]))
            if not pairs:
                break
        return {pair: move for pair, move in mended.items() if np.abs(move).max(initial=0) > _TOUCHED}

    def _mending(self, pair: Pair) -> F32:
        """[V, 3] what of a pair's state comes from correctives."""
        found = np.zeros_like(self.mesh.vertices)
        for name in dict.fromkeys(pair):
            found += self.moves[name] - self.mesh.moves[name]
        return found + self.together.get(pair, np.float32(0))

    def _state(self, pair: Pair, mended: Mapping[Pair, F32]) -> F32:  # [V, 3]
        state = self.mesh.vertices.copy()
        for name in dict.fromkeys(pair):
            if name != CLOSES or not self.above or OPENS in pair:
                state += self.moves[name]
        for extra in (self.together, mended):
            if pair in extra:
                state += extra[pair]
        return state

    def _bad(self, index: int, pairs: list[Pair], mended: Mapping[Pair, F32] | None = None,
             tolerance: float = TOLERANCE) -> dict[Pair, F32]:  # fmt: skip
        """[S] the depths of those pairs that have a fault."""
        barrier = self.barriers[index]
        found: dict[Pair, F32] = {}
        still = self._still(barrier)
        for start in range(0, len(pairs), _CHUNK):
            chunk = pairs[start : start + _CHUNK]
            states = np.stack([self._state(pair, mended or {}) for pair in chunk])
            moved_by = [tuple(name for name in pair if name not in still) for pair in chunk]
            grids = np.array([moved_by.index(names) for names in moved_by])
            depths = barrier.depths(states, grids) - self.allowed[index]
            found |= {chunk[row]: depths[row] for row in np.flatnonzero(depths.max(1) > tolerance)}
        return found

    def _pairs(self, barrier: Barrier | Contact) -> list[Pair]:
        touching = set(self._touching(barrier))
        return [pair for pair in combinations_with_replacement(self.names, 2) if self._meet(barrier, pair, touching)]

    def _meet(
        self, barrier: Barrier | Contact, pair: Pair, touching: set[str], mended: Mapping[Pair, F32] | None = None
    ) -> bool:
        """Whether both keys move something there, or what comes with the two does."""
        if touching >= set(pair):
            return True
        extras = [extra[pair][barrier.vertices] for extra in (self.together, mended or {}) if pair in extra]
        return any(bool(np.abs(extra).max() > _TOUCHED) for extra in extras)

    def _touching(self, barrier: Barrier | Contact) -> list[str]:
        corners = barrier.vertices
        return [name for name in self.names if np.abs(self.mesh.moves[name][corners]).max() > _TOUCHED]

    def _still(self, barrier: Barrier | Contact) -> set[str]:
        """The keys that leave the obstacle where it is."""
        corners = barrier.still
        return {name for name in self.names if np.abs(self.mesh.moves[name][corners]).max(initial=0) <= _TOUCHED}
