"""The text of the file of keys: whatever wish is granted, it says just that afterwards."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.messages.errors import InvalidRequest
from ipc.messages.keys import ApiKey, KeyChange, digest_of
from supervisor.keys import text
from supervisor.keys.grants import _checked, _with_key
from supervisor.keys.line import is_key, parse

SECRET = "0123456789abcdef"
FILE = f"# for people\r\nroot:{SECRET}:admin\r\n\nbob:{SECRET}-b\n{SECRET}-bare"
CHANGES = st.builds(
    KeyChange,
    role=st.sampled_from(["user", "admin"]),
    weight=st.one_of(
        st.none(),
        st.floats(),
        st.sampled_from([0.3333, 1e-5, 1234.567, 9999.9999, 10000.0, 0.001]),
        st.integers(1, 9_999_999).map(lambda thousandths: thousandths / 1000),
    ),
    priority=st.integers(-12, 12),
    requests_per_min=st.integers(-1, 10**13),
    models=st.lists(
        st.one_of(st.text(max_size=5), st.sampled_from(["a", "org/x:4b", "é", "x\x1cy:z:admin"])),
        max_size=3,
    ),
)


def read(content: str) -> list[tuple[str, ApiKey]]:
    lines = [parse(line) for line in content.split("\n") if is_key(line)]
    return [(given.name, given.key) for given in lines]


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["bob", "root", "new"]), change=CHANGES)
def test_what_is_granted_is_read_as_just_that(name: str, change: KeyChange) -> None:
    before = dict(read(FILE))
    try:
        key = _checked(change.of(before.get(name, ApiKey(digest=digest_of("new")))))
        content = _with_key(FILE, name, key)
    except InvalidRequest:
        return
    assert dict(read(content)) == {**before, name: key}
    assert text.names(content) == {"root", "bob", name}


@settings(max_examples=60, deadline=None)
@given(
    thousandths=st.integers(1, 9_999_999), models=st.lists(st.sampled_from("ab!~{}"), max_size=3)
)
def test_what_may_be_is_granted(thousandths: int, models: list[str]) -> None:
    change = KeyChange(weight=thousandths / 1000, models=models)
    key = _checked(change.of(ApiKey(digest=digest_of("new"))))
    assert dict(read(_with_key(FILE, "new", key)))["new"] == key


@pytest.mark.parametrize("end", ["\x1c", "\x0b", "\x0c", "\x1e", "\x85", "\u2028", "\r"])
def test_a_line_ends_with_a_line_feed_alone(end: str) -> None:
    odd = f"ann:{SECRET} models=x{end}ghost:{SECRET}-g:admin\n"
    assert text.lines_of(odd) == [odd[:-1]]
    with pytest.raises(text.TextError, match="printable ASCII"):
        text.names(odd)


def test_a_key_is_removed_and_the_rest_stays() -> None:
    assert text.without_key(FILE, "bob") == FILE.replace(f"bob:{SECRET}-b\n", "") + "\n"
    assert text.lines_of("") == []
    assert text.with_key("", "ann", ApiKey(digest=digest_of("a"))) == (
        f"ann:sha256={digest_of('a')}\n"
    )
