"""Options as a typed struct: what is taken, and what is said of the rest."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
import pytest

from ipc.options import OptionError, Options, UnknownOption, decode, described, option


def _no_spaces(text: str) -> None:
    if " " in text:
        raise ValueError("has a space; remove it")


class Sample(Options, frozen=True, kw_only=True):
    needed: Annotated[str, option("a word", check=_no_spaces)]
    count: Annotated[int, msgspec.Meta(ge=1), option("how many")] = 4
    seconds: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=60)] | None, option("left out: for ever")
    ] = None
    kind: Annotated[Literal["plain", "fine"] | Literal["coarse"] | None, option("which")] = None
    verify: Annotated[bool | str, option("true, false or a file")] = True
    path: Annotated[str, msgspec.Meta(pattern="^/", min_length=1), option("where")] = "/"
    free: Annotated[float, option("any number")] = 0.0


def test_what_is_left_out_has_its_default() -> None:
    found = decode(Sample, {"needed": "word", "seconds": 5, "kind": "coarse", "verify": "a.pem"})
    assert found == Sample(needed="word", seconds=5.0, kind="coarse", verify="a.pem")
    assert (found.count, found.path) == (4, "/")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"needed": "two words"}, "needed: has a space; remove it"),
        ({"needed": 5}, "needed: 5 is not text; put it in quotes"),
        ({"count": "many"}, "count: 'many' is not a whole number; set it to 1 or more"),
        ({"count": True}, "count: true is not a whole number; set it to 1 or more"),
        ({"count": 2.0}, "count: 2.0 is not a whole number; set it to 1 or more"),
        ({"count": 0}, "count: 0 is too low; set it to 1 or more"),
        ({"seconds": 0}, "seconds: 0 is too low; set it to more than 0, up to 60"),
        ({"seconds": 61.5}, "seconds: 61.5 is too high; set it to more than 0, up to 60"),
        ({"seconds": math.nan}, "seconds: nan is not a number; set it to more than 0, up to 60"),
        ({"seconds": math.inf}, "seconds: inf is not a number; set it to more than 0, up to 60"),
        ({"kind": "rough"}, "kind: 'rough' is not one of 'plain', 'fine', 'coarse'"),
        ({"verify": 1}, "verify: 1 is neither true nor false; write it without quotes"),
        ({"path": ""}, "path: '' is empty; write something, or leave it out"),
        ({"path": "here"}, "path: 'here' is not of the form ^/; correct it"),
        ({"free": "x"}, "free: 'x' is not a number; correct it"),
        ({}, "needed: is missing; add it"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_write(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError) as refused:
        decode(Sample, given if "needed" in given or not given else {"needed": "word"} | given)
    assert str(refused.value) == message


def test_an_unknown_option_comes_with_those_that_are_known() -> None:
    with pytest.raises(UnknownOption) as refused:
        decode(Sample, {"needed": "word", "cuont": 5})
    assert refused.value.name == "cuont"
    assert refused.value.known == sorted(Sample.__struct_fields__)


def test_each_option_is_described_for_people() -> None:
    found = {one.name: one for one in described(Sample)}
    assert found["needed"].is_required
    assert not found["count"].is_required
    assert found["count"].takes == "a whole number, 1 or more"
    assert found["seconds"].takes == "a number, more than 0, up to 60"
    assert found["kind"].takes == "`plain`, `fine`, `coarse`"
    assert found["verify"].takes == "true or false, or text"
    assert (found["free"].takes, found["free"].default) == ("a number", 0.0)
    assert found["seconds"].help == "left out: for ever"
