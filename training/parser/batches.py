"""Training batches of the parsing network: samples turned, cut, recoloured, put before other backgrounds, and spoiled.

Frames: the window of tracker/parsing.py at the network's size, of which a batch shows a part CUT px wide.
Dims: S samples, M stored side, B batch, N = CUT.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from meshlam_core.points import CHIN, FOREHEAD, LEFT_EYE, LEFT_SIDE, RIGHT_EYE, RIGHT_SIDE
from meshlam_core.tracker.parsing import polygon_mask, segment_known
from meshlam_core.tracker.parsing_network import SIDE, network_inputs, positions
from training.parser.people import BEFORE
from training.parser.portraits import CHANNELS, MORE, PARTS, Sitters
from training.synthetic.hands import Hand
from training.synthetic.occluders import add_occluders
from training.synthetic.world import GLASSES, HAND, MASK, OTHER, to_linear, to_srgb

CUT = 160  # px
FACE, HAIR, PERSON, SKIN, SURE = (CHANNELS.index(name) for name in ("face", "hair", "person", "skin", "sure"))
FIRST, TOLD, CLEAR = (len(CHANNELS) + MORE.index(name) for name in (PARTS[0], "told", "clear"))
DRAWN = (GLASSES, MASK, HAND, OTHER)  # labels of the last of PARTS
GREY = 0.01  # mean distance of a grey picture's colours
WAITING = 16  # batches that are seen again
NONSENSE = 0.03  # of the pictures show nothing
# portraits of what is rare among them are drawn so much more often: heads without hair, hair below the chin
BARE_MORE, LONG_MORE = 6.0, 3.0
BARE, LONG = 0.03, 0.15  # of the face's area
# sRGB: black, dark brown, brown, blond, light blond, red, grey, white
HAIR_COLOURS = torch.tensor(
    [[0.06, 0.05, 0.05], [0.16, 0.11, 0.09], [0.32, 0.22, 0.15], [0.65, 0.50, 0.32], [0.82, 0.72, 0.55],
     [0.50, 0.22, 0.10], [0.50, 0.50, 0.50], [0.85, 0.85, 0.84]]
)  # fmt: skip


@dataclass(frozen=True)
class Masks:
    """What is true of a batch, [B, 1, N, N] in 0..1."""

    known: Tensor
    hair: Tensor
    person: Tensor
    skin: Tensor  # glasses are skin, whatever is before a face is not
    sure: Tensor  # whether skin is told from other
    parts: Tensor  # [B, 6, N, N] of portraits.PARTS
    told: Tensor  # whether skin is face and the rest clothes wherever no part is named
    clear: Tensor  # whether nothing unnamed is worn on or held before the head


@dataclass(frozen=True)
class Source:
    """Samples of one kind."""

    samples: Tensor  # [S, 9 or 17, M, M] uint8
    share: float  # of a batch
    clear: bool = False  # nobody wears or holds anything unnamed
    sitters: Sitters | None = None  # of photographs, before which things are drawn

    @cached_property
    def chances(self) -> Tensor:  # [S]
        return torch.ones(len(self.samples)) if self.sitters is None else chances(self.samples)


class Batches:
    """An endless source of disturbed samples."""

    def __init__(
        self,
        sources: list[Source],  # portraits first
        backgrounds: list[NDArray[np.uint8]],  # of [H, W, 3]
        hands: Sequence[Hand] = (),
    ) -> None:
        self._sources, self._backgrounds, self._hands = sources, backgrounds, hands
        self._shares = torch.tensor([source.share for source in sources])
        self._waiting: list[tuple[Tensor, Masks]] = []

    def next(self, count: int) -> tuple[Tensor, Masks]:
        """A batch, drawn anew or the mirror image of one drawn a few steps ago: drawing costs as much as learning."""
        if len(self._waiting) < WAITING:
            self._waiting.append(self.draw(count))
            return self._waiting[-1]
        inputs, masks = self._waiting.pop(int(torch.randint(WAITING // 2, ())))
        inputs = inputs.flip(3)
        inputs[:, :3] = inputs[:, :3] * (1 + 0.1 * torch.randn(len(inputs), 3, 1, 1)) + 0.2 * torch.randn(
            len(inputs), 1, 1, 1
        )
        inputs[:, :4] *= (inputs[:, 5:6] > 0).float()  # known
        return inputs, Masks(*(getattr(masks, field.name).flip(3) for field in fields(masks)))

    def draw(self, count: int) -> tuple[Tensor, Masks]:  # [B, 8, N, N]
        """One batch."""
        source = torch.multinomial(self._shares, count, replacement=True)
        moved, where = moved_about(torch.stack([self._one(self._sources[i]) for i in source]))
        sizes = [3, 1, 1, 1, 1, 1, 1, len(PARTS), 1, 1]
        rgb, face, known, hair, person, skin, sure, parts, told, clear = moved.split(sizes, 1)  # type: ignore[no-untyped-call]
        named = (parts.sum(1, keepdim=True) > 0.3).float()
        sure = sure * (1 - (skin > 0.3).float() * far_below(face) * (1 - torch.maximum(named, told)))
        skin = torch.minimum(skin, 1 - hair)
        told, clear = (told > 0.99).float(), (clear > 0.99).float()
        masks = Masks(known, hair, torch.maximum(person, hair), skin, sure, parts, told, clear)
        rgb = recoloured(rgb, masks)
        rgb = self._before_another_background(rgb, masks)
        rgb, masks = with_nonsense(spoiled(relit(rgb)), masks)
        known = cut_off(known, face) > 0.5
        masks = replace(masks, known=known.float())
        pictures = (rgb * 255 + 0.5).byte().permute(0, 2, 3, 1).numpy()
        selfies = [segment_known(p, k[0].numpy()) for p, k in zip(pictures, known, strict=True)]
        seen = torch.from_numpy(np.stack(selfies))[:, None]
        return network_inputs(rgb, seen, (face > 0.5).float(), masks.known, where), masks

    def _one(self, source: Source) -> Tensor:  # [17, M, M] 0..1
        i = int(torch.multinomial(source.chances, 1))
        sample = source.samples[i].float() / 255
        if len(sample) < len(CHANNELS) + len(MORE):
            sample = torch.cat([sample, sample.new_zeros(len(MORE), *sample.shape[1:])])
            sample[CLEAR] = float(source.clear)
        if source.sitters is not None:
            rng = np.random.default_rng(int(torch.randint(2**31, ())))
            points, glasses = source.sitters.points[i], bool(source.sitters.glasses[i])
            sample = with_things_before(looked_at(sample, points, glasses), points, glasses, self._hands, rng)
        return sample

    def _before_another_background(self, rgb: Tensor, masks: Masks) -> Tensor:
        """Walls, rooms, landscapes, other people, and what has the hair's colour."""
        count = len(rgb)
        tones = mean_colour(rgb, masks.hair)
        ramp = torch.linspace(-1, 1, CUT)
        out = rgb.clone()
        for i in range(count):
            kind = float(torch.rand(()))
            if kind < 0.35:
                continue
            if kind < 0.45:
                behind = torch.rand(3, 1, 1).expand(3, CUT, CUT)
            elif kind < 0.55:
                behind = tones[i] * (0.85 + 0.3 * torch.rand(1, 1, 1)) + 0.03 * torch.randn(3, 1, 1).expand(3, CUT, CUT)
            elif kind < 0.8:
                behind = self._room()
            else:
                others = self._sources[0].samples
                other = others[int(torch.randint(len(others), ()))][:3].float() / 255
                left, top = (int(torch.randint(len(other[0]) - CUT, ())) for _ in range(2))
                behind = other[:, top : top + CUT, left : left + CUT].roll(CUT // 2 * int(torch.rand(()) < 0.7), 2)
            slope = ramp.view(1, -1, 1) * torch.randn(()) + ramp.view(1, 1, -1) * torch.randn(())
            behind = (behind + 0.05 * slope).clamp(0, 1)
            matte = ((masks.person[i] - 0.15) / 0.75).clamp(0, 1)
            out[i] = rgb[i] * matte + behind * (1 - matte)
        return out

    def _room(self) -> Tensor:
        """A random part of a panorama."""
        whole = self._backgrounds[int(torch.randint(len(self._backgrounds), ()))]
        side = int(torch.randint(60, min(whole.shape[:2]), ()))
        top, left = (int(torch.randint(size - side + 1, ())) for size in whole.shape[:2])
        part = Image.fromarray(whole[top : top + side, left : left + side]).resize(
            (CUT, CUT), Image.Resampling.BILINEAR
        )
        return torch.from_numpy(np.array(part)).permute(2, 0, 1).float() / 255


def chances(
    samples: Tensor,  # [S, C, M, M] uint8
) -> Tensor:  # [S] in proportion to which samples are drawn
    """More for heads without hair and for hair below the chin."""
    face, hair = samples[:, 3].float() / 255, samples[:, 5].float() / 255
    rows = torch.arange(samples.shape[2])
    chin = torch.where(face.amax(2) > 0.5, rows, -1).amax(1)
    area = face.sum((1, 2)).clamp_min(1)
    below = (hair * (rows[:, None] > chin[:, None, None])).sum((1, 2)) / area
    return 1 + BARE_MORE * (hair.sum((1, 2)) / area < BARE) + LONG_MORE * (below > LONG)


def load_backgrounds(folder: Path) -> list[NDArray[np.uint8]]:
    """The tone-mapped environment maps."""
    return [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.jpg"))]


def looked_at(
    sample: Tensor,  # [17, M, M]
    points: NDArray[np.float64],  # [L, 2] px
    glasses: bool,  # whether there may be some
) -> Tensor:  # [17, M, M]
    """A photograph about which it is known who wears glasses: the oval is face, and nothing else is before it."""
    unclear = torch.zeros(sample.shape[1:])
    if glasses:
        sides, up = points[[RIGHT_SIDE, LEFT_SIDE]], 0.2 * (points[FOREHEAD] - points[CHIN])
        eyes = points[[*RIGHT_EYE, *LEFT_EYE]].mean(axis=0)
        ends = eyes + 1.3 * (sides - sides.mean(axis=0))
        band = np.stack([ends[0] + up, ends[1] + up, ends[1] - up, ends[0] - up])
        unclear = torch.from_numpy(polygon_mask(band, sample.shape[1:]))  # type: ignore[arg-type]
    sample[CLEAR] = 1 - unclear
    sample[TOLD] = (sample[FACE] > 0.99) * (1 - unclear)
    return sample


def with_things_before(
    sample: Tensor,  # [17, M, M]
    points: NDArray[np.float64],  # [L, 2] px
    glasses: bool,  # the sitter has some
    hands: Sequence[Hand],
    rng: np.random.Generator,
) -> Tensor:  # [17, M, M]
    """Glasses, masks, hands and other things drawn onto a photograph."""
    side = sample.shape[1]
    picture = np.ascontiguousarray((sample[:3].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8))
    colour = to_linear(cv2.resize(picture, (2 * side, 2 * side), interpolation=cv2.INTER_LINEAR))
    label = np.zeros(colour.shape[:2], np.uint8)
    bare = ((sample[FACE] > 0.9) & (sample[HAIR] < 0.2)).numpy()
    tone = to_linear(picture[bare]) if bare.any() else np.full((1, 3), 0.4, np.float32)
    shares = BEFORE | {"glasses": 0.0} if glasses else BEFORE
    hull = points[:468] + 0.12 * (points[FOREHEAD] - points[CHIN])
    cover = add_occluders(colour, label, 2 * points, 2 * hull, np.median(tone, axis=0), rng, hands, shares)
    if not cover.any():
        return sample
    layers = (to_srgb(colour), np.dstack([cover * (label == part) for part in DRAWN]))
    rgb, found = (
        torch.from_numpy(cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)
        for layer in layers
    )
    if float((sample[:3].amax(0) - sample[:3].amin(0)).mean()) < GREY:
        rgb = rgb.mean(0, keepdim=True).expand(3, -1, -1)
    out = sample.clone()
    out[:3] = rgb
    covered = found.sum(0).clamp_max(1)
    for channel in (HAIR, SKIN):
        out[channel] *= 1 - covered
    out[SKIN] += found[0]
    out[PERSON] = out[PERSON] * (1 - covered) + covered
    out[SURE] = torch.maximum(out[SURE], (covered > 0.3).float())
    out[FIRST + 2 : FIRST + 6] = found
    return out


def moved_about(
    samples: Tensor,  # [B, C, M, M]
) -> tuple[Tensor, Tensor]:  # [B, C, N, N], [B, 2, N, N] positions in the window
    """Turn, zoom, shift and flip; show a part of the window."""
    count, _, stored, _ = samples.shape
    angle = torch.randn(count) * 0.1
    zoom = torch.exp(torch.randn(count) * 0.12)
    flip = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    corner = (SIDE - CUT) // 2 + torch.randint(-28, 29, (count, 2))  # x, y
    middle = (corner + CUT / 2) / SIDE * 2 - 1  # of the window's -1..1
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    turn = torch.stack([torch.stack([cos * flip, -sin], 1), torch.stack([sin * flip, cos], 1)], 1) * (SIDE / stored)
    shift = (turn @ middle[..., None]) + (torch.rand(count, 2, 1) - 0.5) * 0.16
    grid = functional.affine_grid(
        torch.cat([turn * (CUT / SIDE), shift], 2), [count, samples.shape[1], CUT, CUT], align_corners=False
    )
    moved = functional.grid_sample(samples, grid, padding_mode="zeros", align_corners=False)
    where = positions(SIDE)[0]
    shown = [where[:, y : y + CUT, x : x + CUT] for x, y in corner.tolist()]
    return moved, torch.stack(shown)


def recoloured(rgb: Tensor, masks: Masks) -> Tensor:
    """Hair of other colours, clothes of the hair's or the skin's colour."""
    count = len(rgb)
    light = rgb.mean(1, keepdim=True)
    level = (light * masks.hair).sum((2, 3), keepdim=True) / masks.hair.sum((2, 3), keepdim=True).clamp_min(1)
    target = HAIR_COLOURS[torch.randint(len(HAIR_COLOURS), (count,))][..., None, None]
    strands = (target * (light / level.clamp_min(0.03)).clamp(0, 3) ** 0.8).clamp(0, 1)
    dyed = rgb + (torch.rand(count, 1, 1, 1) < 0.3) * masks.hair * (strands - rgb)
    clothes = (masks.person - masks.hair - masks.skin - masks.parts[:, 3:].sum(1, keepdim=True)).clamp(0, 1)
    clothes = clothes * masks.sure
    like_skin = torch.rand(count, 1, 1, 1) < 0.5
    bare = (masks.skin - masks.parts[:, 2:3]).clamp_min(0)
    tone = torch.where(like_skin, mean_colour(dyed, bare), mean_colour(dyed, masks.hair))
    level = (light * clothes).sum((2, 3), keepdim=True) / clothes.sum((2, 3), keepdim=True).clamp_min(1)
    cloth = (tone * (0.8 + 0.4 * torch.rand(count, 1, 1, 1)) + 0.5 * (light - level)).clamp(0, 1)
    return dyed + (torch.rand(count, 1, 1, 1) < 0.35) * clothes * (cloth - dyed)


def far_below(
    face: Tensor,  # [B, 1, N, N]
) -> Tensor:  # [B, 1, N, N] 1 more than a third of the face's height below it, where collars and ties are
    """Where the colour of skin is no sign of it."""
    rows = torch.arange(face.shape[2]).view(1, -1, 1)
    covered = face.amax(3) > 0.5
    low = torch.where(covered, rows[..., 0], -1).amax(2, keepdim=True)[..., None]
    height = covered.sum(2, keepdim=True)[..., None]
    return (rows > low + height / 3).float().expand_as(face)


def mean_colour(rgb: Tensor, mask: Tensor) -> Tensor:  # [B, 3, 1, 1]
    """Of the masked pixels; black where there are none."""
    return (rgb * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp_min(1)


def relit(rgb: Tensor) -> Tensor:
    """Other exposure, contrast, white balance, light from one side, no colour."""
    count = len(rgb)
    ramp = torch.linspace(-1, 1, CUT)
    gain = torch.exp(torch.randn(count, 3, 1, 1) * 0.1 + torch.randn(count, 1, 1, 1) * 0.25)
    lit = rgb.clamp(1e-3, 1) ** torch.exp(torch.randn(count, 1, 1, 1) * 0.3) * gain
    side = torch.rand(count, 1, 1, 1) * 2 * torch.pi
    slope = side.cos() * ramp.view(1, 1, 1, -1) + side.sin() * ramp.view(1, 1, -1, 1)
    lit = (lit * (1 + 0.4 * torch.rand(count, 1, 1, 1) * slope)).clamp(0, 1)
    return lit + (torch.rand(count, 1, 1, 1) < 0.1) * (lit.mean(1, keepdim=True) - lit)


def spoiled(rgb: Tensor) -> Tensor:
    """Blur, noise and JPEG."""
    out = rgb + torch.randn_like(rgb) * 0.04 * torch.rand(len(rgb), 1, 1, 1) ** 2
    out = out.clamp(0, 1)
    for i in range(len(rgb)):
        if torch.rand(()) < 0.35:
            factor = int(torch.randint(2, 5, ()))
            small = functional.interpolate(out[i : i + 1], scale_factor=1 / factor, mode="area")
            out[i] = functional.interpolate(small, size=(CUT, CUT), mode="bilinear")[0]
        if torch.rand(()) < 0.35:
            file = io.BytesIO()
            picture = Image.fromarray((out[i] * 255 + 0.5).byte().permute(1, 2, 0).numpy())
            picture.save(file, "JPEG", quality=int(torch.randint(25, 90, ())))
            out[i] = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255
    return out


def with_nonsense(rgb: Tensor, masks: Masks) -> tuple[Tensor, Masks]:
    """Some pictures become noise, in which nobody is, whatever face was claimed to be there."""
    nothing = (torch.rand(len(rgb), 1, 1, 1) < NONSENSE).float()
    rgb = rgb + nothing * (torch.rand_like(rgb) - rgb)
    hair, person, skin, parts = (mask * (1 - nothing) for mask in (masks.hair, masks.person, masks.skin, masks.parts))
    return rgb, replace(masks, hair=hair, person=person, skin=skin, parts=parts)


def cut_off(known: Tensor, face: Tensor) -> Tensor:
    """Pictures that end anywhere outside the face, on any side."""
    out = known.clone()
    for i in range(len(known)):
        rows, columns = torch.nonzero(face[i, 0].amax(1) > 0.5)[:, 0], torch.nonzero(face[i, 0].amax(0) > 0.5)[:, 0]
        for side in range(4):
            if torch.rand(()) > 0.15 or not len(rows):
                continue
            share = float(torch.rand(()))
            if side == 0:
                out[i, :, : int(share * float(rows[0]))] = 0
            elif side == 1:
                out[i, :, CUT - int(share * (CUT - float(rows[-1]))) :] = 0
            elif side == 2:
                out[i, :, :, : int(share * float(columns[0]))] = 0
            else:
                out[i, :, :, CUT - int(share * (CUT - float(columns[-1]))) :] = 0
    return out
