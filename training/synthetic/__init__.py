"""Synthetic people: heads drawn with all that is known of them, to learn from and to measure by.

    world.py           what is loaded once: head, skins, irises, light, backgrounds, where the head shades itself
    skins.py light.py  complete skins in our layout; environment maps as harmonics and a sun
    people.py hair.py  a person: identity, hair, colours
    camera.py          a photograph: camera, pose, expression, and the crop that the pipeline would cut
    draw.py            the head's picture and label map
    surroundings.py occluders.py hands.py spoil.py   what is behind, before, and wrong with the camera
    masks.py           exact masks, and masks that are wrong as real ones are
    tracked.py         what tracker and hull fit would deliver of a detector's errors (detector_errors.py)
    sample.py          all of it together
    sheet.py           48 of them to look at
    waves.py           the simplest heads, for the overfitting test

Frames and units: frames.py. Colours are sRGB 0..1 unless they are called linear.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.synthetic.sample import Engine


def open_engine(data: Path, cache: Path | None = None, held_out: bool = False, model: Path | None = None) -> Engine:
    """Everything that draws samples, from the shared data; `held_out` adds hairstyles that are never learnt from.

    `model` is the file of a head model; None means the open head.
    """
    from training.synthetic.detector_errors import DetectorErrors
    from training.synthetic.hair import HairSource
    from training.synthetic.sample import Engine
    from training.synthetic.world import load_world

    world = load_world(data, cache, model=model)
    return Engine(world, HairSource(world.head, held_out), DetectorErrors.load())
