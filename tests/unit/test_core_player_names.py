"""Normalization of player names: what is no part of a name, order, suffix and initials."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_core.players.name_normalization import fold, normalize, read_names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("José Ramírez", ["jose", "ramirez"]),
        ("Jose\u0301 Rami\u0301rez", ["jose", "ramirez"]),
        ("JosÃ© RamÃ\xadrez", ["jose", "ramirez"]),
        ("JOSE  RAMIREZ ", ["jose", "ramirez"]),
        ("J.C. Flowers", ["jc", "flowers"]),
        ("J. C. Flowers", ["jc", "flowers"]),
        ("JC Flowers", ["jc", "flowers"]),
        ("Travis d'Arnaud", ["travis", "darnaud"]),
        ("Travis d\u2019Arnaud", ["travis", "darnaud"]),
        ("Isiah Kiner-Falefa", ["isiah", "kiner", "falefa"]),
        (r"Jos\xc3\xa9 Ram\xc3\xadrez", ["jose", "ramirez"]),
        (r"b'Jos\xc3\xa9 Ram\xc3\xadrez'", ["jose", "ramirez"]),
        (r"Jos\u00e9 Ram\u00edrez", ["jose", "ramirez"]),
        (r"Jos\xe9 Ram\xedrez", ["jose", "ramirez"]),
        ("Jos%C3%A9%20Ram%C3%ADrez", ["jose", "ramirez"]),
        ("Jos&#233; Ram&iacute;rez", ["jose", "ramirez"]),
        ("Jos&amp;#233; Ram&#xED;rez", ["jose", "ramirez"]),
        ("José Ramírez (3B)", ["jose", "ramirez"]),
        ("José Ramírez [CLE - 3B] #", ["jose", "ramirez"]),
        (r"José Ramírez\ramirjo01", ["jose", "ramirez"]),
        ("Michał Łoś", ["michal", "los"]),
        ("大谷翔平", ["daguxiangping"]),
        ("", []),
        ("...", []),
    ],
)
def test_normalization_removes_what_is_no_part_of_a_name(text: str, words: list[str]) -> None:
    assert fold(text) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("McCullers Jr., Lance", "Lance McCullers Jr."),
        ("Lynch IV, Daniel", "Daniel Lynch IV"),
        ("De La Cruz, Elly", "Elly De La Cruz"),
        ("Vientos, Mark", "Mark Vientos"),
        ("Acuña, Ronald Jr.", "Ronald Acuna JR"),
        ("Acuña, Jr., Ronald", "Ronald Acuna, Jr."),
        ("Acuña, Ronald, Jr.", "Ronald Acuna (Jr.)"),
        ("Ronald Acuña Junior", "Ronald Acuna Jr"),
        ("Ronald Acuña 2nd", "Ronald Acuna II"),
        ("Acuña, Ronald, Junior", "Ronald Acuna Jr."),
        ("Ronald Acuña, Junior", "Ronald Acuna Jr."),
        ("Daniel Lynch, IV", "Lynch IV, Daniel"),
        ("Sample, JR", "J. R. Sample"),
        ("Sample, J.R.", "J. R. Sample"),
        ("Sample, J. R.", "JR Sample"),
        ("SAMPLE, J R", "J.R. Sample"),
        ("Sample, IV", "I. V. Sample"),
        ("Sample, I.V.", "I. V. Sample"),
        ("Sample, S.R.", "SR Sample"),
        ("Sample, I.I.", "I. I. Sample"),
        ("De La Sample, J.R.", "J.R. De La Sample"),
        ("Sample Jr., J.R.", "J.R. Sample Jr."),
        ("Sample, J.R., Jr.", "J.R. Sample Jr."),
        ("Sample, JR, Jr.", "J.R. Sample Jr."),
        ("Sample IV, I. V.", "I.V. Sample IV"),
    ],
)
def test_both_orders_of_a_name_are_the_same(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ("Lance McCullers Jr.", "jr"),
        ("Mark Leiter", ""),
        ("Torres III, Lenny", "iii"),
        ("Jr.", ""),
        ("Guerra, Junior", ""),
        ("Junior Caminero", ""),
        ("Sample, JR", ""),
        ("Sample, J.R.", ""),
        ("Sample, S. R.", ""),
        ("Sample, IV", ""),
        ("Sample, J.R., III", "iii"),
        ("Sample III, JR", "iii"),
        ("Sample, Ian, JR", "jr"),
        ("Sample, Ian JR", "jr"),
        ("Ian Sample, JR", "jr"),
        ("Ian Sample J.R.", ""),
    ],
)
def test_a_suffix_distinguishes_players(text: str, suffix: str) -> None:
    assert normalize(text).suffix == suffix


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("De Sample, JR", [(("de", "sample"), "jr"), (("jr", "de", "sample"), "")]),
        ("Ohtani Shohei", [(("ohtani", "shohei"), ""), (("shohei", "ohtani"), "")]),
        ("Kim Ha-Seong", [(("kim", "ha", "seong"), ""), (("ha", "seong", "kim"), ""), (("seong", "kim", "ha"), "")]),
        ("Shohei, Ohtani", [(("ohtani", "shohei"), "")]),
        ("Suzuki", [(("suzuki",), "")]),
        ("", [((), "")]),
    ],
)
def test_a_text_may_mean_several_names(text: str, names: list[tuple[tuple[str, ...], str]]) -> None:
    assert [(each.words, each.suffix) for each in read_names(text)] == names


@given(st.text(max_size=300))
def test_any_text_can_be_normalized(text: str) -> None:
    assert all(word.isascii() and word.isalnum() and word == word.lower() for word in normalize(text).words)
