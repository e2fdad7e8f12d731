"""What lists write beside a name: a team, a position, a number."""

from dataclasses import replace
from typing import Final

from ondeck_core.players.name_normalization import NormalizedName
from ondeck_core.players.teams import ABBREVIATIONS

_POSITIONS: Final = frozenset(
    ["p", "sp", "rp", "cl", "c", "1b", "2b", "3b", "ss", "lf", "cf", "rf", "of", "dh", "if", "ut"]
)
_REMARKS: Final = _POSITIONS | ABBREVIATIONS
_FEWEST_WORDS: Final = 2


def without_remarks(name: NormalizedName) -> NormalizedName:
    """Leave out words that may be remarks, as long as a first and a last name are left."""
    words = list(name.words)
    while len(words) > _FEWEST_WORDS and words[-1] in _REMARKS:
        words.pop()
    while len(words) > _FEWEST_WORDS and (words[0] in _REMARKS or words[0].isdigit()):
        words.pop(0)
    for word in words[1:-1]:
        if word in _REMARKS and len(word) > 1 and len(words) > _FEWEST_WORDS:  # "Last, First, SP"; an initial is none
            words.remove(word)
    return replace(name, words=tuple(words))
