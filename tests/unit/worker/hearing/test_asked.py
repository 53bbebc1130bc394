"""What a request asks of a model for speech, and what is refused, by the name of the parameter."""

from __future__ import annotations

import pytest

from ipc.messages.blob import Blob
from ipc.messages.errors import InvalidRequest, UnsupportedParameter
from ipc.messages.jobs import SpeechInput
from worker.hearing.asked import check, language_of
from worker.hearing.model import Ability, Traits


def asked(**more: object) -> SpeechInput:
    return SpeechInput(audio=Blob(b""), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ability", "wanted", "param"),
    [
        ("prompt", {"prompt": "Kubernetes"}, "prompt"),
        ("translation", {"translate": True}, "model"),
        ("temperature", {"temperature": 0.5}, "temperature"),
        ("word times", {"word_times": True}, "timestamp_granularities"),
    ],
)
def test_what_a_model_lacks_is_refused_by_name(
    ability: Ability, wanted: dict[str, object], param: str
) -> None:
    check(asked(**wanted), frozenset())
    with pytest.raises(UnsupportedParameter) as refused:
        check(asked(**wanted), {ability})
    assert refused.value.param == param


def test_what_asks_for_nothing_is_no_matter() -> None:
    every: set[Ability] = {"prompt", "translation", "temperature", "word times"}
    check(asked(prompt="", temperature=0.0), every)


@pytest.mark.parametrize(
    ("given", "known", "found"),
    [
        (None, ["en", "de"], None),
        (None, ["ru"], "ru"),
        (None, [], None),
        ("German", ["en", "de"], "de"),
        ("ru", ["ru"], "ru"),
        ("sv", [], "sv"),
    ],
)
def test_a_language_is_a_code_that_the_model_knows(
    given: str | None, known: list[str], found: str | None
) -> None:
    assert language_of(asked(language=given), known, Traits()) == found


@pytest.mark.parametrize(
    ("given", "known", "traits", "words"),
    [
        ("klingon", ["en", "de"], Traits(), "unknown language 'klingon'"),
        ("de", ["en"], Traits(), "knows only English: leave language out or send en"),
        ("en", ["ru"], Traits(), "knows only Russian: leave language out or send ru"),
        ("sv", ["en", "de"], Traits(), "does not know swedish .sv.: leave language out"),
        ("sv", ["en", "de"], Traits(finds_language=False), "it knows en, de"),
    ],
)
def test_another_is_refused_with_those_that_it_knows(
    given: str, known: list[str], traits: Traits, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refused:
        language_of(asked(language=given), known, traits)
    assert refused.value.param == "language"
