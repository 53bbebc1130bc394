"""Every value of a catalog means what it says, to whatever version of YAML its author knows."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from supervisor.config import strict_yaml

PLAIN: list[tuple[str, Any]] = [
    ("10", 10),
    ("-3", -3),
    ("0", 0),
    ("0.5", 0.5),
    ("8.0", 8.0),
    (".5", 0.5),
    ("+.5", 0.5),
    ("1e3", 1000.0),  # a text in YAML 1.1
    ("1.5e-3", 0.0015),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("'010'", "010"),
    ('"no"', "no"),
    ("2026-11-26", "2026-11-26"),  # a date in YAML 1.1
    ("192.168.0.1", "192.168.0.1"),
    ("a 1:30", "a 1:30"),
    ("1.2.3e5", "1.2.3e5"),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_what_everybody_reads_the_same_is_taken(text: str, value: Any) -> None:
    found = strict_yaml.load(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


AMBIGUOUS = [
    *("010", "08", "0o17", "0x10", "0b11", "1_000", "1:30", "1:30:00", "1:30.5", "1_000.5"),
    *("yes", "No", "ON", "off", "!!int '010'", "!!bool 'yes'"),
]


def line_of(error: strict_yaml.AmbiguousError) -> int:
    assert error.problem_mark is not None
    return error.problem_mark.line + 1


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_is_read_in_two_ways_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(strict_yaml.AmbiguousError) as raised:
        strict_yaml.load(f"first: 1\nkey: {text}")
    assert line_of(raised.value) == 2
    assert "; write " in str(raised.value.problem)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", 3),
        ("models:\n  - name: a\n    slots: 1\n    slots: 2", 4),
        ("options: {a: 1, a: 1}", 1),
        ("'a': 1\na: 2", 2),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(
        strict_yaml.AmbiguousError, match=r"stands in line \d too; remove one"
    ) as raised:
        strict_yaml.load(text)
    assert line_of(raised.value) == line


def test_a_key_may_stand_over_a_merged_one() -> None:
    text = "base: &base {a: 1, b: 1}\nown: {<<: *base, b: 2}"
    assert strict_yaml.load(text)["own"] == {"a": 1, "b": 2}


def test_no_object_is_ever_made() -> None:
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        strict_yaml.load("a: !!python/object/apply:os.system [true]")
