"""Resolution of player queries: found, with the rule that matched; ambiguous, with the candidates; or missing."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Ambiguous, Found, IdQuery, Missing, NameQuery, Player, Resolution
from ondeck_core.players.name_normalization import NormalizedName, normalize
from ondeck_core.players.same_name_filter import PLAUSIBLE_SEASONS, SameNameFilter
from ondeck_core.players.teams import ABBREVIATIONS

SEASON_TOLERANCE: Final = 1  # a register may list a player a season early or late
RECENT_SEASONS: Final = 3  # a query without a date prefers players of these seasons before today's ...
# ... unless another player of the name was in the major leagues within PLAUSIBLE_SEASONS
LISTED_SEASONS: Final = 5  # lists contain a player for this many seasons after the last one in the major leagues
OVERRIDE_RULE: Final = "override"
_INNER_CAPITAL: Final = re.compile(r"[a-z][A-Z]")
_POSITIONS: Final = frozenset(
    ["p", "sp", "rp", "cl", "c", "1b", "2b", "3b", "ss", "lf", "cf", "rf", "of", "dh", "if", "ut"]
)
_ANNOTATIONS: Final = _POSITIONS | ABBREVIATIONS
_MIN_WORDS: Final = 2

FindVariants = Callable[[], list[Player]]


@dataclass(frozen=True, kw_only=True)
class Resolver:
    """The resolver of all programs. `today` is the date of the query, `next_try` the next read of the registers."""

    index: PlayerIndex
    today: date
    next_try: datetime

    def by_id(self, query: IdQuery) -> Resolution:
        """Resolve an id."""
        player = self.index.by_id(query.system, query.id)
        return self._missing() if player is None else Found(player=player, rule=f"{query.system} id")

    def by_name(self, query: NameQuery) -> Resolution:
        """Resolve a name: an override, else a spelling of a source, else a formal or short first name.

        The query context filters the candidates before they are counted. If no player matches, the name is tried again
        without annotations: team, position or number.
        """
        name = normalize(query.name)
        resolution = self._resolve(name, query)
        if isinstance(resolution, Missing) and (bare := _strip_annotations(name)) != name:
            return self._resolve(bare, query)
        return resolution

    def _resolve(self, name: NormalizedName, query: NameQuery) -> Resolution:
        if (player := self.index.by_override(name)) is not None and self._is_consistent(player, name, query):
            return Found(player=player, rule=OVERRIDE_RULE)
        if len(name.words) > 1 and len(name.words[0]) == 1:
            by_initial = SameNameFilter(
                name=name, query=query, this_year=self.today.year, use_other_seasons=False
            ).apply(self.index.by_initial(name))
            if query.of_season is None:
                return self._prefer_recent(by_initial, "initial")
            return self._decide([each for each in by_initial if _is_active(each, query.of_season)], "initial, season")
        same_name_filter = SameNameFilter(name=name, query=query, this_year=self.today.year)
        spelled = same_name_filter.apply(self._find_spelled(name, query.name))
        find_variants = partial(self._find_variants, same_name_filter, spelled)
        if (season := query.of_season) is not None:
            return self._resolve_in_season(spelled, find_variants, season)
        return self._resolve_undated(spelled, find_variants)

    def _is_consistent(self, player: Player, name: NormalizedName, query: NameQuery) -> bool:
        without_team = replace(query, team="", role=None)
        fits = SameNameFilter(name=name, query=without_team, this_year=self.today.year).apply([player])
        return bool(fits) and (query.of_season is None or _is_active(player, query.of_season))

    def _find_spelled(self, name: NormalizedName, text: str) -> list[Player]:
        players = self.index.by_spelling(name)
        if len(name.words) > 1 or _INNER_CAPITAL.search(text):
            return players
        return [each for each in players if any(normalize(known).words == name.words for known in each.spellings)]

    def _find_variants(self, same_name_filter: SameNameFilter, spelled: Sequence[Player]) -> list[Player]:
        """Find players by nickname or by the spelling of tools that drop accented letters."""
        name = same_name_filter.name
        by_nickname = [] if name.lossy else self.index.by_nickname(name)
        by_lossy = [] if spelled else self.index.by_lossy_spelling(name)
        matching = same_name_filter.apply([*by_nickname, *by_lossy])
        return list({each.player_id: each for each in matching if each not in spelled}.values())

    def _resolve_in_season(self, spelled: Sequence[Player], find_variants: FindVariants, season: int) -> Resolution:
        active = [each for each in spelled if _is_active(each, season)]
        if not active:
            return self._decide([each for each in find_variants() if _is_active(each, season)], "first name, season")
        if len(active) == 1:
            active += self._find_alternatives(active[0], spelled, find_variants, season)
        return self._decide(active, "spelling, season")

    def _find_alternatives(
        self, only: Player, spelled: Sequence[Player], find_variants: FindVariants, season: int
    ) -> list[Player]:
        """Find major leaguers who are as plausible as the only active player, if that player is not a major leaguer.

        They are players of the name who are still listed, and players with a variant of the name.
        """
        alternatives: list[Player] = []
        if only.major_league is None:
            alternatives += [each for each in spelled if each.in_major_league_within(season - LISTED_SEASONS, season)]
        if not only.in_major_league_within(season, season):
            span = (season - SEASON_TOLERANCE, season + SEASON_TOLERANCE)
            alternatives += [each for each in find_variants() if each.in_major_league_within(*span)]
        return [each for each in alternatives if each is not only]

    def _resolve_undated(self, spelled: Sequence[Player], find_variants: FindVariants) -> Resolution:
        if not any(each.has_played for each in spelled):
            return self._prefer_recent([*spelled, *find_variants()], "first name")
        resolution = self._prefer_recent(spelled, "spelling")
        recent = (self.today.year - RECENT_SEASONS, self.today.year)
        if not isinstance(resolution, Found) or any(each.in_major_league_within(*recent) for each in spelled):
            return resolution
        variants = [each for each in find_variants() if each.in_major_league_within(*recent)]
        return self._decide([resolution.player, *variants], resolution.rule)

    def _prefer_recent(self, candidates: Sequence[Player], rule: str) -> Resolution:
        """Return the only recent candidate, unless another one is still plausible."""
        first = self.today.year - RECENT_SEASONS
        recent = [each for each in candidates if each.active(first, self.today.year)]
        plausible = [
            each
            for each in candidates
            if each not in recent
            and (each.spellings or each.in_major_league_since(self.today.year - PLAUSIBLE_SEASONS))
        ]
        if len(recent) == 1 < len(candidates) and not plausible:
            return Found(player=recent[0], rule=f"{rule}, recent")
        return self._decide(candidates, rule)

    def _decide(self, candidates: Sequence[Player], rule: str) -> Resolution:
        if not candidates:
            return self._missing()
        if len(candidates) == 1:
            return Found(player=candidates[0], rule=rule)
        return Ambiguous(candidates=tuple(sorted(candidates, key=lambda player: player.player_id)))

    def _missing(self) -> Missing:
        return Missing(next_try=self.next_try)


def _is_active(player: Player, season: int) -> bool:
    return player.active(season - SEASON_TOLERANCE, season + SEASON_TOLERANCE)


def _strip_annotations(name: NormalizedName) -> NormalizedName:
    """Remove the team, position and number that accompany a name; keep at least a first and a last name."""
    words = list(name.words)
    while len(words) > _MIN_WORDS and words[-1] in _ANNOTATIONS:
        words.pop()
    while len(words) > _MIN_WORDS and (words[0] in _ANNOTATIONS or words[0].isdigit()):
        words.pop(0)
    for word in words[1:-1]:
        # "Last, First, SP" puts the position in the middle; a single letter is an initial
        if word in _ANNOTATIONS and len(word) > 1 and len(words) > _MIN_WORDS:
            words.remove(word)
    return replace(name, words=tuple(words))
