"""Text in figures as it is: no formula, letters of any script, no control character. May import matplotlib."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context, rcParams
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

from ecg_jax.formatting import escape, visible


@contextmanager
def literal(*texts: str) -> Iterator[list[str]]:
    """Until it is left, `$` begins no formula, and letters that the usual font lacks come from other installed fonts.

    Yields the texts to draw: in them, letters that no font has are escapes such as `\\u5fc3`.
    """
    lines = [visible(text) for text in texts]
    families, absent = _fonts(set("".join(lines)))
    with rc_context({"text.parse_math": False, "font.family": families}):
        yield ["".join(escape(letter) if letter in absent else letter for letter in line) for line in lines]


def _fonts(letters: set[str]) -> tuple[list[str], set[str]]:
    """Families that have the letters, the usual ones first, and the letters that no font has."""
    families = list(rcParams["font.family"])
    absent = letters - _letters(findfont(FontProperties(family=families)))
    for font in fontManager.ttflist:
        if not absent:
            break
        if "LastResort" not in Path(font.fname).name and (found := absent & _letters(font.fname)):  # draws boxes
            families.append(font.name)
            absent -= found
    return families, absent


def _letters(font: str) -> set[str]:
    return set(map(chr, FT2Font(font).get_charmap()))
