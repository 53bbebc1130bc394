"""How Ollama's and llama.cpp's users name models of the hub, and which model here that is."""

from __future__ import annotations

from typing import cast

import pytest
from msgspec.structs import replace

from frontend.api.admin.hub_names import HubName, parse, served_as
from frontend.dispatch.dispatcher import Dispatcher
from ipc.messages.spec import FileFacts
from tests.unit.frontend.http_fakes import CHAT, FakeDispatcher


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("acme/one", HubName("acme/one")),
        ("acme/one:Q8_0", HubName("acme/one", "Q8_0")),
        ("hf.co/acme/one:latest", HubName("acme/one")),
        ("huggingface.co/acme/one:Q4_K_M", HubName("acme/one", "Q4_K_M")),
        ("hf:acme/one", HubName("acme/one")),
        ("https://hf.co/acme/one", HubName("acme/one")),
        ("llama3.2", None),
        ("llama3.2:1b", None),
        ("acme/one:", None),
        ("acme/one:a b", None),
        ("a/b/c", None),
        ("../b", None),
        ("-a/b", None),
    ],
)
def test_a_repository_and_perhaps_a_form(text: str, named: HubName | None) -> None:
    assert parse(text) == named


def test_a_form_is_part_of_what_a_model_is_called_here() -> None:
    plain, formed = HubName("acme/one"), HubName("acme/one", "Q8_0")
    assert (plain.source, plain.name, plain.own_name) == ("hf:acme/one", "acme/one", "")
    assert (formed.source, formed.name) == ("hf:acme/one:Q8_0", "acme/one:Q8_0")
    assert formed.own_name == "acme/one:Q8_0"


@pytest.mark.parametrize(
    ("text", "served"),
    [
        ("org/chat", "org/chat"),
        ("hf.co/org/chat", "org/chat"),
        ("hf.co/org/chat:q8_0", "org/chat"),
        ("hf.co/org/chat:latest", "org/chat"),
        ("org/chat:Q4_0", None),
        ("org/other:F16", "org/other:F16"),
        ("org/other", None),
        ("llama3.2", None),
    ],
)
def test_a_model_is_found_by_its_name_or_by_the_form_that_it_has(
    text: str, served: str | None
) -> None:
    fake = FakeDispatcher()
    fake.specs["org/chat"] = replace(CHAT, facts=FileFacts(quantization="Q8_0"))
    fake.specs["org/other:F16"] = replace(CHAT, name="org/other:F16")
    assert served_as(cast(Dispatcher, fake), text) == served
