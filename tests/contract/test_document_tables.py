"""The generated tables of README.md and docs/ are up to date."""

import pytest

from tools.fill_document_tables import MARKED, PROGRAMS, TABLES, documents, fill, outdated


def test_every_table_is_up_to_date() -> None:
    assert [path.name for path in outdated()] == []


def test_every_table_is_in_a_document() -> None:
    assert set(TABLES) <= {found["name"] for path in documents() for found in MARKED.finditer(path.read_text())}


def test_a_table_is_filled_between_its_markers_and_the_rest_stays() -> None:
    begin, end = "before\n<!-- errors: generated -->\n", "<!-- end -->\nafter\n"
    filled = fill(f"{begin}old{end}")
    assert filled == f"{begin}\n{TABLES['errors']()}\n\n{end}"
    assert fill(filled) == filled


def test_a_marker_without_a_table_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_table"):
        fill("<!-- no_such_table: generated -->\n<!-- end -->\n")


def test_a_setting_of_two_programs_has_one_meaning() -> None:
    fields = [(name, field) for kind in PROGRAMS.values() for name, field in kind.model_fields.items()]
    meanings = {(name, field.description, repr(field.default)) for name, field in fields}
    assert sorted(name for name, _, _ in meanings) == sorted({name for name, _ in fields})
