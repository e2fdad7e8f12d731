"""Resolution of player queries: found, with the rule that matched; ambiguous, with the candidates; or missing."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from ondeck_core.players.appearances import Appearance, Evidence, recent_evidence, season_evidence
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Ambiguous, Found, IdQuery, Missing, NameQuery, Player, Resolution
from ondeck_core.players.name_normalization import NormalizedName, fold, read_names
from ondeck_core.players.same_name_filter import SameNameFilter
from ondeck_core.players.teams import ABBREVIATIONS

OVERRIDE_RULE: Final = "override"
_INNER_CAPITAL: Final = re.compile(r"[a-z][A-Z]")
_POSITIONS: Final = frozenset(
    ["p", "sp", "rp", "cl", "c", "1b", "2b", "3b", "ss", "lf", "cf", "rf", "of", "dh", "if", "ut"]
)
_ANNOTATIONS: Final = _POSITIONS | ABBREVIATIONS
_CONTEXT: Final = ("season", "day", "team", "role", "born")  # fields of a query besides the name
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
        return (
            Missing(next_try=self.next_try, rule=f"no player has this {query.system} id")
            if player is None
            else Found(player=player, rule=f"{query.system} id")
        )

    def by_name(self, query: NameQuery) -> Resolution:
        """Resolve a name: an override, else a spelling of a source, else a formal or short first name.

        The query context filters and weighs the candidates before they are counted. If no player matches, the text is
        read in another way: initials for a suffix, without annotations (team, position or number), or, if these are
        major leaguers, the surname first.
        """
        first, *others = read_names(query.name)
        resolution = self._resolve(first, query)
        if not isinstance(resolution, Missing):
            return resolution
        bare = _strip_annotations(first)
        if bare != first and not isinstance(other := self._resolve(bare, query), Missing):
            return other
        for name in others:
            other = self._resolve(name, query)
            if not isinstance(other, Missing) and ("," in query.name or self._is_major(other, query)):
                return replace(other, rule=f"{other.rule}, other order")
        return resolution

    def _is_major(self, resolution: Found | Ambiguous, query: NameQuery) -> bool:
        """Return whether the players are major leaguers at the time of the query, or born on its day."""
        players = [resolution.player] if isinstance(resolution, Found) else resolution.candidates
        evidence = self._evidence(query)
        return query.born is not None or all(evidence.of(each) >= Appearance.MAJOR for each in players)

    def _resolve(self, name: NormalizedName, query: NameQuery) -> Resolution:
        if (player := self.index.by_override(name)) is not None and self._is_consistent(player, name, query):
            return Found(player=player, rule=OVERRIDE_RULE)
        if len(name.words) > 1 and len(name.words[0]) == 1:
            by_initial = SameNameFilter(
                name=name, query=query, this_year=self.today.year, use_other_seasons=False
            ).apply(self.index.by_initial(name))
            return self._weigh(by_initial, list, query, "initial")
        same_name_filter = SameNameFilter(name=name, query=query, this_year=self.today.year)
        spelled = same_name_filter.apply(self._find_spelled(name, query.name))
        return self._weigh(spelled, partial(self._find_variants, same_name_filter, spelled), query, "spelling")

    def _is_consistent(self, player: Player, name: NormalizedName, query: NameQuery) -> bool:
        without_team = replace(query, team="", role=None)
        fits = SameNameFilter(name=name, query=without_team, this_year=self.today.year).apply([player])
        return bool(fits) and (query.of_season is None or self._evidence(query).of(player) > Appearance.NONE)

    def _find_spelled(self, name: NormalizedName, text: str) -> list[Player]:
        players = self.index.by_spelling(name)
        if len(name.words) > 1 or _INNER_CAPITAL.search(text):
            return players
        return [each for each in players if any(fold(known) == list(name.words) for known in each.spellings)]

    def _find_variants(self, same_name_filter: SameNameFilter, spelled: Sequence[Player]) -> list[Player]:
        """Find players by nickname or by the spelling of tools that drop accented letters."""
        name = same_name_filter.name
        by_variant = [] if name.lossy else self.index.by_variant(name)
        by_lossy = [] if spelled else self.index.by_lossy_spelling(name)
        if not (by_variant or by_lossy):
            return []
        matching = same_name_filter.apply([*by_variant, *by_lossy])
        if spelled and same_name_filter.query.born is not None:
            matching = [each for each in matching if same_name_filter.is_born_then(each)]
        return list({each.player_id: each for each in matching if each not in spelled}.values())

    def _evidence(self, query: NameQuery) -> Evidence:
        season, register_season = query.of_season, self.index.register_season
        if season is None:
            return recent_evidence(self.today.year, query.league, register_season)
        whole = self.index.whole_seasons
        is_role_whole = query.role is not None and season in whole[query.role]
        return season_evidence(
            season, query.league, register_season, is_whole=season in whole[None], is_role_whole=is_role_whole
        )

    def _weigh(self, spelled: Sequence[Player], find_variants: FindVariants, query: NameQuery, kind: str) -> Resolution:
        """Weigh the players of the spelling, and those of a variant of it where these are as probable."""
        evidence = self._evidence(query)
        leaders = evidence.lead(spelled)
        if not leaders:
            variants = find_variants()
            leaders = evidence.lead(variants)
            return self._decide(leaders, variants, evidence, "first name") if leaders else self._missing(query)
        if len(leaders) == 1 or not any(each.has_played for each in leaders):
            rivals = self._find_rivals(leaders, spelled, find_variants, evidence)
            if evidence.outweighs(rivals, leaders, query.role):
                return self._decide(rivals, [*spelled, *rivals], evidence, "first name")
            leaders = [*leaders, *rivals]
        return self._decide(leaders, spelled, evidence, kind)

    def _find_rivals(
        self, leaders: Sequence[Player], spelled: Sequence[Player], find_variants: FindVariants, evidence: Evidence
    ) -> list[Player]:
        """Find players who are as probable as the leaders, if these are not known to be major leaguers of the time."""
        rivals = [each for each in evidence.still_listed(leaders[0], spelled) if each not in leaders]
        if not any(evidence.is_known_major(each) for each in leaders):
            variants = find_variants()
            rivals += evidence.near_majors(variants, leaders) if any(each.has_played for each in leaders) else variants
        return rivals

    def _decide(
        self, leaders: Sequence[Player], candidates: Sequence[Player], evidence: Evidence, kind: str
    ) -> Found | Ambiguous:
        rule = evidence.rule(kind, leaders, candidates)
        if len(leaders) == 1:
            return Found(player=leaders[0], rule=rule)
        ranked = sorted(leaders, key=evidence.rank)
        return Ambiguous(candidates=tuple(ranked), evidence=tuple(map(evidence.describe, ranked)), rule=rule)

    def _missing(self, query: NameQuery) -> Missing:
        known = [name for name in _CONTEXT if getattr(query, name)]
        rule = f"no player of the name fits: {', '.join(known)}" if known else "no player has the name"
        return Missing(next_try=self.next_try, rule=rule)


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
    return name._replace(words=tuple(words))
