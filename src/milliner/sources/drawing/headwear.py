"""What one person has on the head: a helmet, a hat, or hair alone; sampled once, drawn from any side."""

from dataclasses import dataclass

import numpy as np

from milliner.sources.drawing.hair import HAIRCUTS, draw_hair, draw_hair_behind
from milliner.sources.drawing.hats import HATS
from milliner.sources.drawing.head import Head, draw_face, draw_light, draw_skull
from milliner.sources.drawing.helmets import EXTRAS, HELMETS, draw_helmet
from milliner.sources.drawing.palette import BRIGHT, CLOTHS, HAIRS, SKINS, chance, pick, varied
from milliner.sources.drawing.pen import Colour, Pen

HAT_SHARE = 0.22
"""Part of the bare heads that wear something which is no helmet."""


@dataclass(frozen=True)
class HeadLook:
    """Everything about a head but where it looks."""

    skin: Colour
    hair: Colour
    haircut: str
    helmet: str | None
    """One of `HELMETS`."""
    hat: str | None
    """One of `HATS`, only without a helmet."""
    colour: Colour
    second: Colour
    extra: str
    beard: bool
    glasses: bool
    mask: bool


def sample_head_look(rng: np.random.Generator, helmeted: bool) -> HeadLook:
    """A head; nothing but the headwear depends on `helmeted`."""
    hat = None if helmeted or not chance(rng, HAT_SHARE) else pick(rng, tuple(HATS))
    bright = helmeted or chance(rng, 0.35)
    colour = varied(rng, pick(rng, BRIGHT if bright else CLOTHS))
    second = varied(rng, pick(rng, BRIGHT + CLOTHS)) if chance(rng, 0.4) else colour
    haircut = pick(rng, HAIRCUTS)
    return HeadLook(
        skin=varied(rng, pick(rng, SKINS), 6),
        # hair dyed or bleached in a helmet's colour is rare, but there is some
        hair=varied(rng, pick(rng, BRIGHT if chance(rng, 0.04) else HAIRS), 8),
        haircut=haircut,
        helmet=pick(rng, tuple(HELMETS)) if helmeted else None,
        hat=hat,
        colour=colour,
        second=second,
        extra=pick(rng, EXTRAS),
        beard=haircut != "long" and chance(rng, 0.25),
        glasses=chance(rng, 0.2),
        mask=chance(rng, 0.06),
    )


def draw_head_behind(pen: Pen, look: HeadLook, yaw: float, pitch: float) -> None:
    """What of the head lies behind the shoulders."""
    if look.hat not in ("hood", "headscarf"):
        draw_hair_behind(pen, Head(yaw, pitch, look.skin, look.hair), look.haircut)


def draw_head(pen: Pen, look: HeadLook, yaw: float, pitch: float, light: float) -> None:
    """The head with all that is on it; `light` is the bright side, -1 left or 1 right."""
    head = Head(yaw, pitch, look.skin, look.hair)
    covered = look.helmet is not None or look.hat in (
        "cap",
        "cap backwards",
        "beanie",
        "slouch",
        "bucket",
        "turban",
    )
    draw_skull(pen, head)
    draw_hair(pen, head, look.haircut, crown=not covered)
    if look.hat in ("hood", "headscarf"):
        HATS[look.hat](pen, head, look.colour, look.second)
    draw_face(pen, head, look.beard, look.glasses, look.mask)
    draw_light(pen, head, light)
    if look.helmet is not None:
        draw_helmet(pen, head, look.helmet, look.colour, look.second, look.extra, light)
    elif look.hat is not None and look.hat not in ("hood", "headscarf"):
        HATS[look.hat](pen, head, look.colour, look.second)
