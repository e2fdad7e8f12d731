"""The glossary is the list of the project's words: each has a meaning, and the code that it names exists."""

import re
from typing import Final

import pytest

from tests.conftest import ROOT
from tests.contract.source_tree import module_name, product_files, text_files

ROW: Final = re.compile(r"^\| (?P<term>[^|]+) \| (?P<meaning>[^|]+) \| `(?P<code>[^|`]+)` \| (?P<origin>[^|]+) \|$")
PACKAGE: Final = re.compile(r"ondeck_\w+(\.\w+)*")
SETTING: Final = re.compile(r"ONDECK_(?P<field>[A-Z_]+)")


@pytest.fixture(scope="module")
def lines() -> list[str]:
    text = (ROOT / "docs" / "glossary.md").read_text()
    return [line for line in text.splitlines() if line.startswith("|") and not line.startswith(("| term", "| ---"))]


def definitions() -> str:
    """Return the Python and protobuf text in which a glossary term may be defined."""
    protos = [path for path in text_files() if path.suffix == ".proto"]
    return "\n".join(path.read_text() for path in (*product_files(), *protos))


def is_defined(code: str, modules: set[str], text: str) -> bool:
    if PACKAGE.fullmatch(code):
        return code in modules
    if setting := SETTING.fullmatch(code):
        return re.search(rf"^    {setting['field'].lower()}: ", text, re.MULTILINE) is not None
    declared = rf"^\s*(class|type|enum|message|service|(async )?def) {code}\b|^{code}(: [^=\n]+)? = "
    return re.search(declared, text, re.MULTILINE) is not None


def test_every_row_has_a_term_a_meaning_a_name_in_code_and_an_origin(lines: list[str]) -> None:
    assert [line for line in lines if not ROW.match(line)] == []


def test_every_name_in_the_glossary_exists(lines: list[str]) -> None:
    modules = {module_name(path) for path in product_files()}
    text = definitions()
    codes = [row["code"] for row in map(ROW.match, lines) if row]
    assert len(codes) > 40
    assert [code for code in codes if not is_defined(code, modules, text)] == []


def test_no_term_is_explained_twice(lines: list[str]) -> None:
    terms = [row["term"] for row in map(ROW.match, lines) if row]
    assert len(terms) == len(set(terms))
