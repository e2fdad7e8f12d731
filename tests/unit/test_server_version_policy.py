"""Version policy and reconciliation of desired with loaded versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_registry.repository import ModelEntry
from ondeck_server.models.reconciler import (
    Action,
    Aliases,
    ClearAlias,
    DesiredState,
    Key,
    LoadVersion,
    SetAlias,
    UnloadVersion,
    VersionSelector,
    VersionState,
    VersionStatus,
    desired_state,
    next_action,
    parse_policy,
)

WHIFF = "whiff"
OLD, NEW = (WHIFF, 1), (WHIFF, 2)
BEFORE, AFTER = (("manifest.json", 1, 1),), (("manifest.json", 1, 2),)


def make_desired(
    loaded: set[Key], aliases: dict[str, int], stamps: dict[Key, tuple[tuple[str, int, int], ...]]
) -> DesiredState:
    return DesiredState(stamps=stamps, loaded=frozenset(loaded), aliases={WHIFF: aliases})


def states(**by_name: VersionState) -> dict[Key, VersionStatus]:
    return {{"old": OLD, "new": NEW}[name]: VersionStatus(state=state, stamp=BEFORE) for name, state in by_name.items()}


BOTH = make_desired({OLD, NEW}, {"production": 2}, {OLD: BEFORE, NEW: BEFORE})
ONLY_NEW = make_desired({NEW}, {"production": 2}, {OLD: BEFORE, NEW: BEFORE})
REPLACED = make_desired({NEW}, {"production": 2}, {NEW: AFTER})
NOTHING = make_desired(set(), {}, {OLD: BEFORE})
OLD_SERVES: Aliases = {WHIFF: {"production": 1}}
NEW_SERVES: Aliases = {WHIFF: {"production": 2}}
PRODUCTION_NEW = SetAlias(model=WHIFF, alias="production", number=2)
PRODUCTION_GONE = ClearAlias(model=WHIFF, alias="production")
L, R, N, U, P = (
    VersionState.LOADED,
    VersionState.REFUSED,
    VersionState.LOADING,
    VersionState.UNLOADING,
    VersionState.PRESENT,
)

TABLE: list[tuple[str, DesiredState, dict[Key, VersionStatus], Aliases, Action | None]] = [
    ("the version of an alias is loaded first", BOTH, {}, {}, LoadVersion(key=NEW)),
    ("one version loads at a time", BOTH, states(new=N), {}, None),
    ("an alias follows once its version is loaded", BOTH, states(new=L), {}, PRODUCTION_NEW),
    ("then the others are loaded", BOTH, states(new=L), NEW_SERVES, LoadVersion(key=OLD)),
    ("nothing is left to do", BOTH, states(new=L, old=L), NEW_SERVES, None),
    ("the old one serves while the new one loads", ONLY_NEW, states(old=L, new=N), OLD_SERVES, None),
    ("the old one serves if the new one is refused", ONLY_NEW, states(old=L, new=R), OLD_SERVES, None),
    ("a refused version is retried once its files change", REPLACED, states(new=R), {}, LoadVersion(key=NEW)),
    ("a version that is not desired is unloaded", ONLY_NEW, states(old=L, new=L), NEW_SERVES, UnloadVersion(key=OLD)),
    ("and only once", ONLY_NEW, states(old=U, new=L), NEW_SERVES, None),
    ("a removed alias is cleared", NOTHING, states(old=L), OLD_SERVES, PRODUCTION_GONE),
    ("its version is unloaded", NOTHING, states(old=L), {WHIFF: {}}, UnloadVersion(key=OLD)),
    ("an unloaded version may be loaded again", BOTH, states(old=L, new=P), {}, LoadVersion(key=NEW)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "desired", "statuses", "applied", "action"), TABLE, ids=[row[0] for row in TABLE])
def test_the_policy_plans_loads_and_aliases(
    rule: str, desired: DesiredState, statuses: dict[Key, VersionStatus], applied: Aliases, action: Action | None
) -> None:
    assert next_action(desired, statuses, applied) == action, rule


NUMBERS = st.integers(1, 4)
LINES = st.builds(
    lambda versions, aliases: ModelEntry(model=WHIFF, versions=tuple(sorted(versions)), aliases=aliases),
    st.sets(NUMBERS),
    st.dictionaries(st.sampled_from(["production", "candidate"]), NUMBERS),
)


@given(lines=st.lists(LINES, min_size=1, max_size=5), bad=st.sets(NUMBERS), rules=st.sampled_from(["latest:1", "all"]))
def test_an_alias_leaves_a_serving_version_only_for_another_and_reconciliation_ends(
    lines: list[ModelEntry], bad: set[int], rules: str
) -> None:
    statuses: dict[Key, VersionStatus] = {}
    applied: dict[str, dict[str, int]] = {}
    for line in lines:
        stamps = {(WHIFF, number): BEFORE for number in line.versions}
        desired = desired_state({WHIFF: line}, stamps, parse_policy(rules), frozenset())
        for _ in range(50):
            action = next_action(desired, statuses, applied)
            if action is None:
                break
            match action:
                case SetAlias(model=model, alias=alias, number=number):
                    assert statuses[model, number].state is L
                    applied.setdefault(model, {})[alias] = number
                case ClearAlias(model=model, alias=alias):
                    assert alias not in line.aliases
                    del applied[model][alias]
                case LoadVersion(key=key):
                    statuses[key] = VersionStatus(state=R if key[1] in bad else L, stamp=BEFORE)
                case UnloadVersion(key=key):
                    assert key[1] not in applied.get(WHIFF, {}).values()
                    statuses[key] = VersionStatus(state=P)
        else:
            pytest.fail("reconciliation does not end")
        for alias, number in line.aliases.items():
            if number in line.versions and number not in bad:
                assert applied[WHIFF][alias] == number


@pytest.mark.parametrize(
    ("text", "model", "chosen"),
    [
        ("latest:1", "whiff", {9}),
        ("latest:2", "whiff", {4, 9}),
        ("all", "whiff", {3, 4, 9}),
        ("aliases", "whiff", set()),
        ("latest:1, whiff=3+4", "whiff", {3, 4}),
        ("latest:1, whiff=3+8", "whiff", {3}),
        ("aliases,whiff=all", "batted_ball", set()),
        ("whiff=all", "batted_ball", {9}),
    ],
)
def test_a_rule_chooses_versions(text: str, model: str, chosen: set[int]) -> None:
    assert parse_policy(text).selector(model).select((3, 4, 9)) == chosen


@pytest.mark.parametrize("text", ["", "latest", "latest:x", "Whiff=all", "whiff=", "all;all"])
def test_an_invalid_policy_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(ValueError, match="latest:N, all, aliases"):
        parse_policy(text)


def test_a_model_unloaded_on_request_desires_no_version() -> None:
    line = ModelEntry(model=WHIFF, versions=(1,), aliases={"production": 1})
    desired = desired_state({WHIFF: line}, {OLD: BEFORE}, parse_policy("all"), frozenset({WHIFF}))
    assert (desired.loaded, dict(desired.aliases)) == (frozenset(), {})


def test_the_latest_of_no_versions_is_empty() -> None:
    assert VersionSelector(latest=3).select(()) == frozenset()
