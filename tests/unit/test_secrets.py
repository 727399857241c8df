"""Secrets in addresses: seen wherever either reader of addresses sees one, and never shown."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from sweeper.errors import Problem, SpecError, TrackingError, UserError
from sweeper.scheduling.working.failures import explain
from sweeper.secrets import redacted, secrets_in, without_user

TOKEN = "dapi0123456789abcdef"

TELLING = {
    "http://me:hunter2@mlflow:5000": "a password",
    f"https://{TOKEN}@mlflow.example": "a token in place of a user",
    "https://0f8fad5bd9cb469fa165708@mlflow.example/x": "a token in place of a user",
    "postgresql+psycopg://me:hun/ter2@db/mlflow": "a password",
    "postgresql://me:hun#ter2?@db/mlflow": "a password",
    "postgresql://db/mlflow?user=me&password=hunter2": "`password`",
    "postgresql://db/mlflow?PassWord=hunter2&sslmode=require": "`PassWord`",
    "postgresql://db/mlflow?pass%77ord=hunter2": "`password`",
    "postgresql://db/mlflow?sslcert=a.crt&sslpassword=hunter2": "`sslpassword`",
    "mysql://db/mlflow?passwd=hunter2": "`passwd`",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Dme%3BPWD%3Dhunter2": "`odbc_connect`",
    "https://mlflow.example/?api_key=hunter2": "`api_key`",
    "https://mlflow.example/?api-key=hunter2": "`api-key`",
    "https://mlflow.example/?access_token=hunter2": "`access_token`",
    "https://blob.example/c?sv=2024&sig=hunter2": "`sig`",
    "https://s3.example/c?X-Amz-Signature=hunter2": "`X-Amz-Signature`",
    "https://mlflow.example/#access_token=hunter2": "`access_token`",
    f"https://mlflow.example/#{TOKEN}": "a token",
    "sqlserver://db;user=me;password=hunter2": "`password`",
}

SILENT = (
    "http://127.0.0.1:5000",
    "https://me@mlflow.example/a/b?workspace=one#top",
    "https://host:8443/@scope/package",
    "postgresql+psycopg://me@db:5432/mlflow?sslmode=verify-full&passfile=/home/me/.pgpass",
    "postgresql://tracking-writer-2024-eu@db/mlflow",
    "sqlite:////srv/a#b=c/mlflow.db",
    "databricks://profile",
    "s3://bucket/monkey=1/keyboard=2",
    "mlflow.db",
)


@pytest.mark.parametrize("address", TELLING)
def test_an_address_that_tells_a_secret_is_known_and_shown_without_it(address: str) -> None:
    (secret,) = secrets_in(address)
    assert TELLING[address] in secret.what
    for text in (address, f"cannot reach {address}: refused", f"({address!r})"):
        for made in (redacted(text), without_user(text)):
            assert not any(told in made for told in ("hunter2", "ter2", TOKEN, "0f8fad5b")), made
    assert "***" in redacted(address)


@pytest.mark.parametrize("address", SILENT)
def test_an_address_without_a_secret_stays_as_it_is(address: str) -> None:
    assert secrets_in(address) == []
    assert redacted(address) == address


SCHEMES = ("http", "https", "postgresql", "postgresql+psycopg", "mysql+pymysql", "sqlite", "s3")
KEYS = ("password", "passwd", "token", "api_key", "sslpassword", "access_token", "sig", "secret")
PUNCTUATION = st.text("/?#:;=%+.-_~!$", max_size=6)


@given(
    scheme=st.sampled_from(SCHEMES),
    user=st.text("abc", max_size=3),
    before=PUNCTUATION,
    after=PUNCTUATION,
    key=st.sampled_from(KEYS),
    in_query=st.booleans(),
)
@example("postgresql", "me", "a/b?c#", "", "password", False)
@example("http", "", "", "#;=", "sig", True)
def test_whatever_urllib_or_sqlalchemy_takes_for_a_secret_is_not_shown(
    scheme: str, user: str, before: str, after: str, key: str, in_query: bool
) -> None:
    secret = f"{before}Hunter2{after}"
    who, tail = ("", f"?x=1&{key}={secret}") if in_query else (f"{user}:{secret}@", "")
    address = f"{scheme}://{who}host/name{tail}"
    seen = []
    try:
        url = make_url(address)
        seen += [url.password or "", *(str(url.query.get(name, "")) for name in KEYS)]
    except (ArgumentError, ValueError):
        pass
    try:
        parts = urlsplit(address)
        seen.append(parts.password or "")
        for pairs in (parts.query, parts.fragment):
            seen += [value for name, value in parse_qsl(pairs) if name in KEYS]
    except ValueError:
        pass
    assume(any("Hunter2" in value for value in seen))
    assume(not re.match(r"[^:/?#@]*:[0-9]*[/?#]", f"{who}host/"))  # a port, and then a path
    assert secrets_in(address)
    assert "Hunter2" not in redacted(address)
    assert "Hunter2" not in redacted(f"(psycopg.OperationalError) cannot open {address}")


@pytest.mark.parametrize(
    "message",
    [
        'invalid connection option in "host=db password=hunter2 dbname=mlflow"',
        "Max retries exceeded with url: /api/2.0/mlflow/runs?token=hunter2&x=1",
        "{'Authorization': 'Bearer hunter2hunter2'}",
        'API answered {"error": "no", "api_key": "hunter2"}',
    ],
)
def test_the_words_of_others_are_quoted_without_the_secrets_in_them(
    message: str, tmp_path: Path
) -> None:
    assert "hunter2" not in redacted(message)
    failure = explain(RuntimeError(message), tmp_path)
    assert "hunter2" not in failure.reason + failure.log + (tmp_path / "log.txt").read_text()
    assert redacted(message)[:3] == message[:3]
    for error in (
        TrackingError(f"cannot log: {message}"),
        UserError("no", [Problem("tracking.uri", message, expected=message)]),
        SpecError([Problem("base", message)]),
    ):
        assert "hunter2" not in str(error)
        assert "hunter2" not in "".join(map(str, getattr(error, "problems", ())))
