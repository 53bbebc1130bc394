"""What clients are told that there is, and what they mean by a voice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from frontend.dispatch.dispatcher import Dispatcher
from frontend.wyoming.catalog import Catalog, Chosen
from ipc.facts.languages import NAMES
from ipc.messages.errors import InvalidRequest
from ipc.messages.spec import Loaded, Spec, Voice
from ipc.messages.state import ModelState
from tests.unit.frontend.http_fakes import CHAT, EMBED, SPEAK, SPEECH, FakeDispatcher

OTHER = Spec(name="org/other-speak", task="speak", engine="echo", path="")
VOICES = [
    Voice(name="heart", language="en-US", aliases=["alloy"]),
    Voice(name="anna", language="de"),
]


class Models(FakeDispatcher):
    """These, of which some are loaded."""

    def __init__(self, specs: Iterable[Spec], **loaded: Loaded) -> None:
        super().__init__()
        self.specs = {spec.name: spec for spec in specs}
        self._loaded = loaded

    def state(self, name: str) -> ModelState:
        loaded = self._loaded.get(self.specs[name].task)
        return ModelState(name=name, routes=[], state="unloaded", loaded=loaded)


def catalog(*specs: Spec, **loaded: Loaded) -> Catalog:
    return Catalog(cast(Dispatcher, Models(specs, **loaded)))


def test_models_that_are_asleep_are_told_by_their_names() -> None:
    info = catalog(CHAT, EMBED, SPEECH, SPEAK).info()
    assert {kind: len(programs) for kind, programs in info.items() if programs} == {
        "asr": 1,
        "tts": 1,
        "handle": 1,
    }
    (asr,), (tts,), (handle,) = info["asr"], info["tts"], info["handle"]
    assert asr["supports_transcript_streaming"]
    assert asr["models"][0]["name"] == SPEECH.name
    assert set(asr["models"][0]["languages"]) == set(NAMES)
    assert tts["supports_synthesize_streaming"]
    assert [(one["name"], one["languages"]) for one in tts["voices"]] == [(SPEAK.name, ["en"])]
    assert (handle["models"][0]["installed"], handle["models"][0]["languages"]) == (True, [])
    assert not handle["supports_home_control"]


def test_what_is_loaded_is_told_with_what_it_has_found_out() -> None:
    speech = Loaded(device="cpu", languages=["en"])
    info = catalog(SPEECH, SPEAK, speech=speech, speak=Loaded(device="cpu", voices=VOICES)).info()
    assert info["asr"][0]["models"][0]["languages"] == ["en"]
    told = {one["name"]: (one["description"], one["languages"]) for one in info["tts"][0]["voices"]}
    assert told == {
        "heart": (f"heart ({SPEAK.name})", ["en"]),
        "anna": (f"anna ({SPEAK.name})", ["de"]),
    }


def test_without_models_there_are_no_programs() -> None:
    empty = catalog(EMBED)
    assert not any(empty.info().values())
    with pytest.raises(InvalidRequest, match="for speech"):
        empty.first("speech")


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, Chosen(SPEAK.name, None)),
        ({}, Chosen(SPEAK.name, None)),
        ("anna", Chosen(SPEAK.name, None)),
        ({"name": "anna", "speaker": "x"}, Chosen(SPEAK.name, "anna")),
        ({"name": "alloy"}, Chosen(SPEAK.name, "alloy")),
        ({"name": SPEAK.name}, Chosen(SPEAK.name, None)),
        ({"name": OTHER.name}, Chosen(OTHER.name, None)),
        ({"name": "nobody"}, Chosen(SPEAK.name, "nobody")),
        ({"name": 7}, Chosen(SPEAK.name, None)),
        ({"language": "de-AT"}, Chosen(SPEAK.name, "anna")),
        ({"language": "fr"}, Chosen(SPEAK.name, None)),
    ],
)
def test_a_voice_is_chosen_by_its_name_or_a_language(wanted: Any, chosen: Chosen) -> None:
    one = catalog(SPEAK, OTHER, speak=Loaded(device="cpu", voices=VOICES))
    assert one.chosen(wanted) == chosen


def test_a_model_is_chosen_by_its_name_else_the_first() -> None:
    other = Spec(name="org/other-speech", task="speech", engine="echo", path="")
    one = catalog(SPEECH, other)
    assert [one.first("speech", name) for name in (None, other.name, "x", 7)] == [
        *(SPEECH.name, other.name, SPEECH.name, SPEECH.name)
    ]
