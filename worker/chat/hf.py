"""Vocabulary and template of a checkpoint in Hugging Face's layout: of its fast tokenizer's file.

How tokens spell bytes stands in the file's decoder, as the library tokenizers applies it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from worker.chat.vocabulary import (
    Control,
    Vocabulary,
    byte_level,
    looks_controlling,
    metaspace,
)
from worker.engine import LoadError

_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")
_BYTE_LEVEL, _SPACED = "ByteLevel", {"Metaspace", "ByteFallback", "Replace"}


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of the checkpoint in ``folder``. Raises `LoadError`."""
    file = folder / "tokenizer.json"
    try:
        facts = json.loads(file.read_bytes())
        config = _json(folder / "special_tokens_map.json")
        config |= _json(folder / "tokenizer_config.json")
        _mark_special(facts, config)
        return vocabulary(facts, _named(config))
    except OSError as error:
        raise LoadError(
            f"{file} cannot be read: {error.strerror}; fetch the model again, with its tokenizer"
        ) from error
    except LoadError as error:
        raise LoadError(f"{file}: {error.reason}") from error
    except Exception as error:  # the library raises nothing narrower
        raise LoadError(f"{file} is damaged: {error}; fetch the model again") from error


def vocabulary(facts: dict[str, Any], named: dict[str, str]) -> Vocabulary:
    """The vocabulary in ``facts``, the content of a tokenizer.json; ``named`` as in `Vocabulary`.

    Raises `LoadError` for a tokenizer whose tokens cannot be read as bytes.
    """
    spell = _spelling(_steps(facts.get("decoder"), "decoders"))
    control = _control(facts, named)
    at_start = _prefix_only_at_start(facts)
    tokenizer = _plain(facts, control)
    pieces = [b""] * tokenizer.get_vocab_size(with_added_tokens=True)
    for text, at in tokenizer.get_vocab(with_added_tokens=True).items():
        pieces += [b""] * (at + 1 - len(pieces))
        pieces[at] = spell(text)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]

    return Vocabulary(
        pieces,
        control,
        encode,
        drops_first_space=_drops_first_space(facts),
        named=named,
        opening=" " if at_start else "",
        begins=_begins(facts, control),
    )


def read_template(folder: Path) -> str | None:
    """The chat template of the checkpoint in ``folder``, the default one of several."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text()
    found = _json(folder / "chat_template.json").get("chat_template")
    found = found or _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        by_name = {one.get("name"): one.get("template") for one in found}
        found = by_name.get("default")
    return found if isinstance(found, str) else None


def _mark_special(facts: dict[str, Any], config: dict[str, Any]) -> None:
    """Mark the added tokens that only ``config`` says are special, as transformers does."""
    by_id = config.get("added_tokens_decoder", {})
    listed = {_text(token) for token in config.get("additional_special_tokens") or []}
    for token in facts.get("added_tokens", []):
        told = by_id.get(str(token["id"]), {})
        token["special"] |= bool(told.get("special")) or token["content"] in listed


def _named(config: dict[str, Any]) -> dict[str, str]:
    named = {name: _text(config.get(name)) for name in _NAMED}
    return {name: text for name, text in named.items() if text is not None}


def _text(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = json.loads(file.read_bytes())
    return found if isinstance(found, dict) else {}


def _control(facts: dict[str, Any], named: dict[str, str]) -> dict[str, Control]:
    """The control tokens: those marked as special, those that the checkpoint names, and those that
    only look so."""
    return {
        token["content"]: Control(token["id"], token["lstrip"], token["rstrip"])
        for token in facts.get("added_tokens", [])
        if token["special"]
        or token["content"] in named.values()
        or looks_controlling(token["content"])
    }


def _plain(facts: dict[str, Any], control: dict[str, Control]) -> Tokenizer:
    """The tokenizer, to which control tokens are text like any other."""
    added = [
        token | {"special": token["content"] in control} for token in facts.get("added_tokens", [])
    ]
    given = facts | {"added_tokens": added, "padding": None, "truncation": None}
    tokenizer = Tokenizer.from_str(json.dumps(given))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _steps(found: Any, name: str) -> list[dict[str, Any]]:
    """A part of the file as a list of its steps."""
    if found is None:
        return []
    return list(found[name]) if found["type"] == "Sequence" else [found]


def _spelling(decoders: list[dict[str, Any]]) -> Any:
    kinds = {step["type"] for step in decoders}
    if _BYTE_LEVEL in kinds:
        return byte_level
    if kinds & _SPACED:
        return metaspace
    raise LoadError(
        f"its decoder ({', '.join(sorted(kinds)) or 'none'}) is not known for chat models"
    )


def _begins(facts: dict[str, Any], control: Mapping[str, Control]) -> list[int]:
    """The control tokens that are put before a text, by the file's template for a single one."""
    for step in _steps(facts.get("post_processor"), "processors"):
        if step["type"] == "TemplateProcessing":
            names = [one.get("SpecialToken", {}).get("id") for one in step["single"]]
            before = names[: names.index(None)] if None in names else names
            return [control[name].id for name in before if name in control]
    return []


def _drops_first_space(facts: dict[str, Any]) -> bool:
    for step in _steps(facts.get("decoder"), "decoders"):
        if step["type"] == "Metaspace":
            return bool(step.get("prepend_scheme", "always") != "never")
        if step["type"] == "Strip" and step["content"] == " ":
            return bool(step["start"] > 0)
    return False


def _prefix_only_at_start(facts: dict[str, Any]) -> bool:
    """Whether a space is put before the first text only. The pieces of a prompt are encoded one by
    one, so that step is switched off in ``facts``, and done for the first piece."""
    found = False
    for step in _steps(facts.get("pre_tokenizer"), "pretokenizers"):
        if step["type"] == "Metaspace" and step.get("prepend_scheme") == "first":
            step["prepend_scheme"] = "never"
            found = True
    return found
