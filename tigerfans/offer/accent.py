"""An organiser's colour, on pages and in mails: a style sheet with all that follows from it.

A page's policy allows no inline style, so it is a file like the others. Text on the colour is the
darker or the lighter ink, whichever is read better; where the colour itself is text, it is made
darker on light paper and lighter on dark paper until it is read well enough. Pure.
"""

from collections.abc import Callable
from typing import Final

Colour = tuple[float, float, float]

_INK: Final[Colour] = (0x1B, 0x12, 0x0B)
_WHITE: Final[Colour] = (255, 255, 255)
# The variables --paper and --soft of `style.css`, whichever is harder to read on.
_PAPER: Final[Colour] = (0xF4, 0xE8, 0xD7)
_DARK_PAPER: Final[Colour] = (0x33, 0x26, 0x1A)

# WCAG 2: of huge letters and of graphics, and of text.
LARGE_CONTRAST_MIN: Final = 3.0
TEXT_CONTRAST_MIN: Final = 4.5

_STEPS: Final = 64


def accent_css(accent: str) -> bytes:
    """The variables of `style.css` that are the accent's, from a colour such as `#ff7a1a`."""
    light, dark = (
        "".join(f"  {name}: {colour};\n" for name, colour in colours.items())
        for colours in accent_colours(accent)
    )
    media = "@media (prefers-color-scheme: dark)"
    return f":root {{\n{light}}}\n\n{media} {{\n:root {{\n{dark}}}\n}}\n".encode()


def accent_colours(accent: str) -> tuple[dict[str, str], dict[str, str]]:
    """The same variables with their colours, on light paper and on dark paper."""
    colour = _parsed(accent)
    on_accent = max((_INK, _WHITE), key=lambda ink: contrast(ink, colour))
    deep = _mixed(colour, _INK if on_accent == _WHITE else _WHITE, 0.12)
    return (
        _variables(colour, on_accent, deep, _PAPER, _INK),
        _variables(colour, on_accent, deep, _DARK_PAPER, _WHITE),
    )


def contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _variables(
    accent: Colour, on_accent: Colour, deep: Colour, paper: Colour, ink: Colour
) -> dict[str, str]:
    large = _legible(accent, paper, ink, LARGE_CONTRAST_MIN)
    values = {
        "--tiger": accent,
        "--tiger-deep": deep,
        "--tiger-ink": large,
        "--on-tiger": on_accent,
        "--link": _legible(accent, paper, ink, TEXT_CONTRAST_MIN),
    }
    return {name: _written(value) for name, value in values.items()}


def _legible(colour: Colour, paper: Colour, ink: Colour, contrast_min: float) -> Colour:
    """The colour, with as much of the ink as it takes to be read."""
    for step in range(_STEPS + 1):
        mixed = _mixed(colour, ink, step / _STEPS)
        if contrast(mixed, paper) >= contrast_min:
            return mixed
    return ink


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    mix: Callable[[float, float], float] = lambda a, b: a + (b - a) * share  # noqa: E731
    red, green, blue = map(mix, colour, other)
    return red, green, blue


def _luminance(colour: Colour) -> float:
    red, green, blue = (_linear(part / 255) for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _parsed(text: str) -> Colour:
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _written(colour: Colour) -> str:
    return "#" + "".join(f"{round(part):02x}" for part in colour)
