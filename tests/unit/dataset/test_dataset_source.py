"""What a job file may say of where a dataset comes from."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.spec.source import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"

RIGHT = [
    {"path": "datasets/cat"},
    {"archive": {"url": "https://example.org/cat.zip"}},
    {"archive": {"url": "https://example.org/cat.tar.gz?x=1&y=[2]", "sha256": "0" * 64}},
    {
        "archive": {
            "url": "https://example.org:8443?X-Amz-Signature=1a&X-Amz-Security-Token=2b",
            "token": "store_2",
        }
    },
    {"git": {"url": "https://example.org/me/cat.git", "commit": COMMIT}},
    {"rclone": {"remote": "store", "path": "bucket/a folder"}},
]

WRONG = {
    "give exactly one of path, archive, git and rclone; found none": {},
    "give exactly one of path, archive, git and rclone; found path and git": {
        "path": "cat",
        "git": {"url": "https://example.org/cat.git", "commit": COMMIT},
    },
    "has a user name or password in it, which would be kept in plain text; leave it out": {
        "archive": {"url": "https://me:secret@example.org/cat.zip"}
    },
    "write an https address, such as https://example.org/it; found 'http://example.org/cat.zip'": {
        "archive": {"url": "http://example.org/cat.zip"}
    },
    "write an https address, such as https://example.org/it; found 'https://$(id)/cat.zip'": {
        "archive": {"url": "https://$(id)/cat.zip"}
    },
    "has token= in it, which would be kept in plain text; leave it out, and name a token for a model or an "
    "archive by `token: NAME` beside the address": {
        "archive": {"url": "https://example.org/cat.zip?a=1&token="}
    },
    "String should match pattern '^[0-9a-f]{64}$'": {
        "archive": {"url": "https://example.org/cat.zip", "sha256": "abc"}
    },
    "String should match pattern '^[0-9a-f]{40}$'": {
        "git": {"url": "https://example.org/cat.git", "commit": "main"}
    },
    "String should match pattern '^[A-Za-z][A-Za-z0-9_]*$'": {
        "rclone": {"remote": "my store", "path": "bucket"}
    },
    "String should match pattern '^[^\\n]+$'": {"rclone": {"remote": "store", "path": ""}},
    "Extra inputs are not permitted": {"s3": "bucket"},
}


@pytest.mark.parametrize("value", RIGHT, ids=lambda value: next(iter(value)))
def test_one_source_is_taken(value: dict[str, Any]) -> None:
    assert Source.model_validate(value).model_dump(exclude_none=True) == value


@pytest.mark.parametrize(("says", "value"), WRONG.items(), ids=WRONG)
def test_anything_else_is_refused(says: str, value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Source.model_validate(value)

    assert says in [error["msg"].removeprefix("Value error, ") for error in caught.value.errors()]


@pytest.mark.parametrize(
    "rest", ["?a;token=sesame", ";pwd=sesame", "#access_token=sesame", "?%54oken=sesame"]
)
def test_wherever_an_address_has_a_secret_it_is_refused_and_not_shown(rest: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Source.model_validate({"archive": {"url": f"https://example.org/cat.zip{rest}"}})

    [error] = caught.value.errors()
    assert error["msg"].startswith("Value error, has ")
    assert "sesame" not in error["msg"]
