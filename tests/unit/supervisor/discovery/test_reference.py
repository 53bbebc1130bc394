"""How people name a model of the hub."""

from __future__ import annotations

import pytest

from supervisor.config.errors import ConfigError
from supervisor.discovery.reference import Reference, is_reference, parse

NAMED = [
    ("hf:acme/one", Reference("acme/one")),
    ("hf:acme/one:Q4_K_M", Reference("acme/one", wanted="Q4_K_M")),
    ("hf:acme/one-GGUF:sub/one-Q8_0.gguf", Reference("acme/one-GGUF", wanted="sub/one-Q8_0.gguf")),
    ("hf:acme/one@v1.0:Q8_0", Reference("acme/one", "v1.0", "Q8_0")),
    ("hf.co/acme/one:Q8_0", Reference("acme/one", wanted="Q8_0")),
    ("huggingface.co/acme/one", Reference("acme/one")),
    ("https://huggingface.co/acme/one/", Reference("acme/one")),
]


@pytest.mark.parametrize(("text", "meant"), NAMED)
def test_a_place_on_the_hub_is_understood(text: str, meant: Reference) -> None:
    assert is_reference(text)
    assert parse(text) == meant


@pytest.mark.parametrize("text", ["hf:acme", "hf:acme/one:", "hf:a/b/c", "hf:a/b:../x", "hf:"])
def test_what_names_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"such as hf:unsloth/Qwen3-0\.6B-GGUF:Q4_K_M"):
        parse(text)


def test_a_name_of_the_catalog_is_no_place() -> None:
    assert not is_reference("Qwen/Qwen3-0.6B")


def test_a_revision_is_part_of_the_source() -> None:
    assert parse("hf:acme/one@v1:Q8_0").origin == "hf:acme/one@v1"
    assert parse("hf:acme/one:Q8_0").origin == "hf:acme/one"
