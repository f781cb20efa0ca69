"""An organiser's colour can be read wherever it stands."""

import re

import pytest

from tigerfans.offer.accent import (
    LARGE_CONTRAST_MIN,
    TEXT_CONTRAST_MIN,
    Colour,
    accent_css,
    contrast,
)

PAPERS = {"light": ("#fbf4ea", "#f4e8d7", "#ffffff"), "dark": ("#130d08", "#261b11", "#33261a")}


def parsed(text: str) -> Colour:
    red, green, blue = (int(text[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def variables(accent: str) -> dict[str, dict[str, Colour]]:
    light, dark = accent_css(accent).decode().split("@media")
    return {
        scheme: {
            name: parsed(value) for name, value in re.findall(r"(--[a-z-]+): (#[0-9a-f]{6});", part)
        }
        for scheme, part in (("light", light), ("dark", dark))
    }


@pytest.mark.parametrize(
    "accent", ["#ff7a1a", "#1f5fbf", "#000000", "#ffffff", "#ffff00", "#808080", "#00ff00"]
)
@pytest.mark.parametrize("scheme", PAPERS)
def test_any_colour_can_be_read(accent: str, scheme: str) -> None:
    colours = variables(accent)[scheme]
    assert colours["--tiger"] == parsed(accent)
    for button in ("--tiger", "--tiger-deep"):
        assert contrast(colours["--on-tiger"], colours[button]) >= TEXT_CONTRAST_MIN
    for paper in map(parsed, PAPERS[scheme]):
        assert contrast(colours["--link"], paper) >= TEXT_CONTRAST_MIN
        assert contrast(colours["--tiger-ink"], paper) >= LARGE_CONTRAST_MIN


def test_contrast_is_that_of_wcag() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == 21
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)
