"""Lines of the file of keys: what they say, what is wrong with them, and how they are written."""

from __future__ import annotations

import pytest

from ipc.messages.keys import ApiKey, KeyLimits, digest_of
from supervisor.keys.line import LineError, parse, written

SECRET = "0123456789abcdef"
DIGEST = digest_of(SECRET)

LINES: list[tuple[str, str, ApiKey]] = [
    (f"ann:{SECRET}", "ann", ApiKey(digest=DIGEST)),
    (f"  {SECRET} ", "", ApiKey(digest=DIGEST)),
    (f"ann:sha256={DIGEST}", "ann", ApiKey(digest=DIGEST)),
    (f"ann:sha256={DIGEST}:admin", "ann", ApiKey(digest=DIGEST, role="admin")),
    (
        f"bob:{SECRET}:user:2.5:-3 requests_per_min=60 concurrent=2",
        "bob",
        ApiKey(
            digest=DIGEST,
            weight=2.5,
            priority=-3,
            limits=KeyLimits(requests_per_min=60, concurrent=2),
        ),
    ),
    (
        f"bob:{SECRET}   tokens_per_day=100000\ttokens_per_min=9 models=qwen:4b|org/x",
        "bob",
        ApiKey(
            digest=DIGEST,
            limits=KeyLimits(tokens_per_day=100_000, tokens_per_min=9, models=["qwen:4b", "org/x"]),
        ),
    ),
    (f"{SECRET} models=a,b", "", ApiKey(digest=DIGEST, limits=KeyLimits(models=["a", "b"]))),
]


@pytest.mark.parametrize(("line", "name", "key"), LINES)
def test_a_line_is_read(line: str, name: str, key: ApiKey) -> None:
    found = parse(line)
    assert (found.name, found.key) == (name, key)
    assert found.secret == ("" if "sha256=" in line else SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize("key", [key for _, _, key in LINES])
def test_what_is_written_is_read_as_the_same(key: ApiKey) -> None:
    line = written("ann", key)
    assert (parse(line).name, parse(line).key) == ("ann", key)
    assert SECRET not in line


def test_a_line_has_no_more_than_it_needs() -> None:
    assert written("ann", ApiKey(digest="d")) == "ann:sha256=d"
    assert written("ann", ApiKey(digest="d", weight=2.0)) == "ann:sha256=d:user:2"
    limits = KeyLimits(requests_per_min=60, models=["a", "b"])
    assert written("ann", ApiKey(digest="d", role="admin", limits=limits)) == (
        "ann:sha256=d:admin requests_per_min=60 models=a,b"
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"ann:{SECRET} requests_per_min=0", "requests_per_min is a whole number, 1 or more"),
        (f"ann:{SECRET} requests_per_min=x", "requests_per_min is a whole number, 1 or more"),
        (f"ann:{SECRET} concurrent=1 concurrent=2", "concurrent is written twice"),
        (f"ann:{SECRET} models=a,,b", "models are names with a comma between them"),
        (f"ann:{SECRET} rpm=4", "what may stand behind it is requests_per_min=…, tokens_per_min"),
        ("ann:sha256=abc", "64 hexadecimal digits"),
        (f"ann:sha256={DIGEST.upper()}", "64 hexadecimal digits"),
        (f"a n:{SECRET}", "a name has letters"),
    ],
)
def test_a_mistake_is_said_without_the_key(line: str, why: str) -> None:
    with pytest.raises(LineError) as error:
        parse(line)
    assert why in str(error.value)
    assert SECRET not in str(error.value)
