"""Which versions of a model ought to be loaded, as an operator says it: `latest:1`, `whiff=all`, `vote=3+4`."""

import re
from dataclasses import dataclass
from typing import Final

_ENTRY: Final = re.compile(r"(?:(?P<model>[a-z][a-z0-9_]{0,63})=)?(?P<rule>latest:\d{1,4}|all|aliases|\d+(?:\+\d+)*)")
FORM: Final = "latest:N, all, aliases (those alone) or numbers as 3+4, for one model as MODEL=…, separated by commas"


@dataclass(frozen=True, kw_only=True)
class VersionSelector:
    """The newest so many of a model's versions, and those of these numbers."""

    latest: int = 0
    numbers: frozenset[int] = frozenset()

    def choose(self, versions: tuple[int, ...]) -> frozenset[int]:
        """Choose among the versions that there are."""
        newest = sorted(versions)[-self.latest :] if self.latest else []
        return frozenset(newest) | (self.numbers & frozenset(versions))


@dataclass(frozen=True, kw_only=True)
class VersionPolicy:
    """A rule for every model."""

    usual: VersionSelector
    by_model: dict[str, VersionSelector]

    def of(self, model: str) -> VersionSelector:
        """Find the rule of a model."""
        return self.by_model.get(model, self.usual)


def parse_policy(text: str) -> VersionPolicy:
    """Read rules.

    Raises:
        ValueError: the text is none of that form.
    """
    found = [_ENTRY.fullmatch(entry.strip()) for entry in text.split(",")]
    if not all(found):
        raise ValueError(f"should be {FORM}")
    by_model = {entry["model"]: _rule(entry["rule"]) for entry in found if entry}
    usual = by_model.pop(None, VersionSelector(latest=1))
    return VersionPolicy(usual=usual, by_model=by_model)


def _rule(text: str) -> VersionSelector:
    if text == "all":
        return VersionSelector(latest=10**9)
    if text == "aliases":
        return VersionSelector()
    if text.startswith("latest:"):
        return VersionSelector(latest=int(text.removeprefix("latest:")))
    return VersionSelector(numbers=frozenset(map(int, text.split("+"))))
