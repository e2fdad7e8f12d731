"""Keys of a player index: the texts by which players are found, each as a number of 64 bits."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import blake2b
from itertools import islice, product
from typing import TYPE_CHECKING, Final

from ondeck_core.players.models import Player
from ondeck_core.players.name_normalization import NormalizedName, drop_accented, fold, fold_surname, normalize

if TYPE_CHECKING:
    from nicknames import NickNamer

MAX_LOSSY_FORMS: Final = 64  # of one name, with every accented letter kept or dropped
MIN_PREFIX: Final = 3  # letters: "Nick" is short for Nicklaus, but "Jose" not for Joseph
_BASEBALL_NICKNAMES: Final = (
    "alex alejandro alexander",
    "dan danny daniel",
    "dom dominic dominick",
    "enrique kike quique",
    "ezequiel zeke",
    "freddy freddie fred frederick",
    "giovanny giovanni gio",
    "jim jimmy james",
    "jon jonny jonathan johnathan",
    "leo leonardo",
    "nick nicholas nicolas nico",
    "philip phillip phil",
    "rafa rafael",
    "robert robbie rob bob bobby",
    "sal salvy salvador",
    "steve steven stephen",
    "vlad vladimir",
    "yoshi yoshinobu",
    "zac zach zack zachary zachery",
)  # frequent in box scores and missing in the package's list
_EQUIVALENT_NAMES: Final = {name: frozenset(line.split()) for line in _BASEBALL_NICKNAMES for name in line.split()}
# Kinds of keys of the one table, which maps a key to players or, for last names, to a group of players.
OVERRIDE: Final = "override"
SPELLING: Final = "spelling"
VARIANT: Final = "variant"
LOSSY_SPELLING: Final = "lossy spelling"
LAST_NAME: Final = "last name"
OTHER_ID: Final = "id"

Key = tuple[int, int]  # the number, and what is found by it: an MLBAM id, or the place of a group


def table_key(kind: str, *parts: str) -> int:
    """Return the key of a text in the table, a digest of 64 bits."""
    text = "\0".join((kind, *parts)).encode(errors="surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def override_key(name: NormalizedName) -> int:
    """Return the key of an override; the suffix is a part of it."""
    return table_key(OVERRIDE, name.key, name.suffix)


def other_keys(ids: Mapping[tuple[str, str], int], overrides: Mapping[str, int]) -> Iterator[Key]:
    """Yield the keys of ids of other systems and of overrides."""
    for system_and_id, player_id in ids.items():
        yield table_key(OTHER_ID, *system_and_id), player_id
    for name, player_id in overrides.items():
        yield override_key(normalize(name)), player_id


def name_keys(people: Sequence[Player]) -> Iterator[Key]:
    """Yield the keys of names: spellings, variants of first names, and spellings without accented letters."""
    for player in people:
        spellings = _spellings(player)
        for spelling in spellings:
            yield table_key(SPELLING, spelling), player.player_id
        for variant in _variants(player) - spellings:
            yield table_key(VARIANT, variant), player.player_id
    yield from _lossy_spelling_keys(people)


def group_by_last_name(people: Iterable[Player]) -> dict[str, dict[str, list[int]]]:
    """Return the ids of players by last name, and then by first name and first given name."""
    groups: defaultdict[str, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for player in people:
        last = _fold_surname(player.last)
        for first in {"".join(_fold(player.first)), *_fold(player.given)[:1]} - {""}:
            if last:
                groups[last][first].append(player.player_id)
    return dict(groups)


@lru_cache(maxsize=1 << 17)
def _fold(text: str) -> tuple[str, ...]:
    """Fold a text as `fold` does; the names of a register repeat."""
    return tuple(fold(text))


@lru_cache(maxsize=1 << 16)
def _fold_surname(text: str) -> str:
    return fold_surname(text)


@lru_cache(maxsize=65536)
def nicknames_of(first: str) -> frozenset[str]:
    """Return the formal and short forms of a folded first name.

    Sources are the lists of the package `nicknames` and `_BASEBALL_NICKNAMES`.
    """
    names = _read_nicknames()
    formal = names.canonicals_of(first)
    short = names.nicknames_of(first)
    siblings = {other for name in formal for other in names.nicknames_of(name)}
    return frozenset(formal | short | siblings | _EQUIVALENT_NAMES.get(first, frozenset())) - {first}


@cache
def _read_nicknames() -> "NickNamer":
    from nicknames import NickNamer  # noqa: PLC0415  it reads a file; a look-up of stored keys needs no variants

    return NickNamer()


@lru_cache(maxsize=1 << 16)
def _variants_of(firsts: frozenset[str], *, with_prefixes: bool) -> frozenset[str]:
    """Return the folded first names and the other forms of them; with prefixes also known forms that begin them."""
    variants = set(firsts)
    for first in firsts:
        variants |= {form for form in nicknames_of(first) if first in nicknames_of(form)}
    if with_prefixes:
        prefixes = {first[:length] for first in firsts for length in range(MIN_PREFIX, len(first))}
        variants |= {prefix for prefix in prefixes if nicknames_of(prefix)}
    return frozenset(variants)


def _spellings(player: Player) -> set[str]:
    """Return how sources write a player, with and without middle names or their initials."""
    first_name, given, last_name = "".join(_fold(player.first)), _fold(player.given), _fold_surname(player.last)
    spellings = {normalize(each).key for each in player.spellings}
    spellings.add(first_name + last_name)
    if len(given) > 1:
        spellings.add("".join(given) + last_name)
        spellings |= {first_name + middle[0] + last_name for middle in given[1:]}
    return spellings - {"", last_name}


def _variants(player: Player) -> set[str]:
    """Return a player's names with another form of the first name; what first names begin with only in the majors."""
    first, given, last = _fold(player.first), _fold(player.given), _fold_surname(player.last)
    firsts = frozenset({"".join(first), *first[:1], *given[:1]} - {""})
    forms = _variants_of(firsts, with_prefixes=player.major_league is not None)
    return {form + last for form in forms} if last else set()


def _lossy_spelling_keys(people: Sequence[Player]) -> Iterator[Key]:
    """Yield the keys of the spellings of tools that drop accented letters, with the players.

    A word that any player spells with an accent is also dropped from names that are stored without the accent.
    """
    names = {player.player_id: (f"{player.first} {player.last}", *player.spellings) for player in people}
    lossy_words: defaultdict[str, set[str]] = defaultdict(set)
    for texts in names.values():
        for word in {word for text in texts if not text.isascii() for word in text.replace(",", " ").split()}:
            if not word.isascii():
                lossy_words["".join(_fold(word))].add(drop_accented(word))
    for player_id, texts in names.items():
        lossy_spellings: set[str] = set()
        for words in {normalize(text).words for text in texts}:
            if not lossy_words.keys().isdisjoint(words):
                forms = product(*({word, *lossy_words.get(word, ())} for word in words))
                lossy_spellings |= {"".join(form) for form in islice(forms, MAX_LOSSY_FORMS) if form != words}
        for spelling in lossy_spellings:
            yield table_key(LOSSY_SPELLING, spelling), player_id
