"""Passwords in texts, in every spelling."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_runtime.redaction import redact

UNUSUAL = [
    "S3cret",
    "p@ss",
    "a:b",
    "a/b/c",
    "50%off",
    "it's",
    'q"uote',
    "$HOME",
    "a,b",
    "two words",
    "größe",
    "a?b=c#d",
    "100",
]
PASSWORDS = st.one_of(
    st.sampled_from(UNUSUAL), st.text(st.characters(categories=["L", "N", "P", "S"]) | st.just(" "), min_size=6)
)
MARK = "Xq7"  # is in every password, and in no other part of a text


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
@given(password=PASSWORDS)
def test_the_password_of_a_database_url_is_hidden(scheme: str, password: str) -> None:
    for spelled in (password, quote(password), quote(password, safe=""), quote_plus(password)):
        text = redact(f"cannot reach {scheme}://someone:{MARK}{spelled}{MARK}@127.0.0.1:9/nowhere: refused")
        assert text == f"cannot reach {scheme}://someone:***@127.0.0.1:9/nowhere: refused"


@pytest.mark.parametrize("user_info", ["user:{}", "{}", "user:a/{}", ":{}"])
def test_the_user_info_of_other_urls_is_hidden(user_info: str) -> None:
    for password in UNUSUAL:
        url = f"https://{user_info.format(MARK + quote(password, safe='') + MARK)}@host:8080/path"
        assert redact(f"{url} cannot be reached") == "https://***@host:8080/path cannot be reached"


@pytest.mark.parametrize("name", ["password", "PGPASSWORD", "sslpassword", "api_key", "token", "access_token"])
def test_a_value_that_is_called_a_password_is_hidden(name: str) -> None:
    for text in (
        f"postgresql://u@h/x?{name}={MARK}&sslmode=require",
        f"host=h {name} = {MARK} user=u",
        f"host=h {name}='{MARK} \\' {MARK}' user=u",
        f"{name}={MARK}",
        json.dumps({name: f'{MARK}" {MARK}'}),
    ):
        assert MARK not in redact(text)
        assert "***" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080/readyz answered with status 503",
        "postgresql://127.0.0.1:5432/ondeck",
        'embedded PostgreSQL in /tmp/Bob\'s "project", Inc $HOME',
        "passed=3: whiff@production 2024-06-03",
        "the tokens of a text: none",
        "is a ZIP archive with a password: unpack it",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert redact(text) == text
