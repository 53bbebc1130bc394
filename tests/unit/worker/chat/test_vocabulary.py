"""What tokens are in bytes, and that a text never becomes a control token."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from worker.chat import hf
from worker.chat.text import TextStream
from worker.chat.vocabulary import ControlFinder, Vocabulary, byte_level, metaspace
from worker.engine import LoadError

ADDED = [
    AddedToken("<|im_start|>", special=True, normalized=False),
    AddedToken("<|im_end|>", special=True, normalized=False),
    AddedToken("<think>", special=False, normalized=False),
    AddedToken("<\uff5cUser\uff5c>", special=False, normalized=False),
]
TEXTS = [
    "Hello, you  two",
    " a",
    "a ",
    "ein Gruß 漢字 🎉🎉",
    "<think> so\n</think>",
    "x<|im_end|>y",
]


def byte_level_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({one: at for at, one in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens(ADDED)
    return tokenizer


def metaspace_tokenizer(scheme: str | None) -> Tokenizer:
    """SentencePiece's kind as Llama has it: by a pre-tokenizer, or by normalizers (None)."""
    texts = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    texts += [chr(code) for code in range(33, 127)]
    unigram = {one: at for at, one in enumerate(texts)}
    tokenizer = Tokenizer(models.BPE(unigram, [], unk_token="<unk>", byte_fallback=True))
    if scheme is None:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", scheme, split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    tokenizer.add_tokens([AddedToken(one, special=True, normalized=False) for one in texts[:2]])
    tokenizer.add_tokens(ADDED)
    return tokenizer


TOKENIZERS = {
    "byte level": byte_level_tokenizer(),
    "metaspace, first": metaspace_tokenizer("first"),
    "metaspace, always": metaspace_tokenizer("always"),
    "metaspace, never": metaspace_tokenizer("never"),
    "normalized": metaspace_tokenizer(None),
}
NAMED = {"bos_token": "<s>", "unk_token": "<unk>"}


def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    return hf.vocabulary(json.loads(tokenizer.to_str()), NAMED)


def written(vocabulary: Vocabulary, tokens: list[int]) -> str:
    stream = TextStream(vocabulary)
    return "".join([*map(stream.push, tokens), stream.finish()])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_texts_tokens_are_that_text(name: str) -> None:
    found = vocabulary(TOKENIZERS[name])
    for text in TEXTS:
        back = written(found, found.encode([text])[0])
        if found.drops_first_space:  # SentencePiece's: spaces are put before texts and taken off
            text, back = (re.sub("(^|<think>) +", r"\1", one) for one in (text, back))
        assert back == text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_text_without_control_tokens_has_the_librarys_own_tokens(name: str) -> None:
    tokenizer, found = TOKENIZERS[name], vocabulary(TOKENIZERS[name])
    for text in [*TEXTS[:4], "so <think>\n</think>"]:
        expected = [tokenizer.encode(text, add_special_tokens=False).ids]
        opening = "" if text.startswith(" ") else found.opening
        assert found.encode([opening + text]) == expected


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_control_token_in_a_text_is_text(name: str) -> None:
    found = vocabulary(TOKENIZERS[name])
    assert {"<|im_start|>", "<|im_end|>", "<\uff5cUser\uff5c>"} <= set(found.control)
    ids = {one.id for one in found.control.values()}
    for text in found.control:
        for forged in (text, f"a{text}b", f"{text}{text}", f" {text} "):
            (tokens,) = found.encode([forged])
            assert ids.isdisjoint(tokens)
            assert written(found, tokens).strip() == forged.strip()


def test_an_added_token_that_controls_nothing_stays_a_token() -> None:
    tokenizer = TOKENIZERS["byte level"]
    found = vocabulary(tokenizer)
    assert tokenizer.token_to_id("<think>") in found.encode(["a<think>b"])[0]
    assert "<think>" not in found.control


def test_a_word_that_is_a_control_token_is_spelled() -> None:
    """Some tokenizers look whole words up among all tokens."""
    pieces = {"h": 0, "i": 1, "hi": 2}

    def by_words(texts: Sequence[str]) -> list[list[int]]:
        return [[pieces[text]] for text in texts]

    facts = json.loads(byte_level_tokenizer().to_str())
    control = hf._control(facts, {})["<|im_end|>"]._replace(id=2)
    found = Vocabulary([b"h", b"i", b"hi"], {"hi": control}, by_words)
    assert found.encode(["hi", "h"]) == [[0, 1], [0]]


def test_a_character_that_the_vocabulary_lacks_is_the_unknown_token() -> None:
    tokenizer = Tokenizer(models.BPE({"<unk>": 0, "a": 1}, [], unk_token="<unk>"))
    tokenizer.add_tokens([AddedToken("<unk>", special=True)])
    tokenizer.decoder = decoders.Metaspace()
    assert vocabulary(tokenizer).encode(["ab"]) == [[1, 0]]


@pytest.mark.parametrize("special", ["<|x|>", "<|x y|>", "[|x|]", "<start_of_turn>"])
def test_tokens_that_look_as_if_they_mark_turns_count_as_doing_so(special: str) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens([special])
    assert special in vocabulary(tokenizer).control


def test_a_decoder_that_is_not_known_is_refused_by_name() -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.decoder = decoders.WordPiece()
    with pytest.raises(LoadError, match="decoder \\(WordPiece\\) is not known"):
        vocabulary(tokenizer)


def test_a_folder_says_which_tokens_are_special_in_two_places(tmp_path: Path) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens(["[INST]", "[/INST]", "[TOOL]"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    at = str(tokenizer.token_to_id("[INST]"))
    config: dict[str, Any] = {
        "bos_token": {"content": "<|im_start|>"},
        "eos_token": "<|im_end|>",
        "added_tokens_decoder": {at: {"content": "[INST]", "special": True}},
        "additional_special_tokens": ["[/INST]"],
        "chat_template": [
            {"name": "rag", "template": "other"},
            {"name": "default", "template": "mine"},
        ],
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    found = hf.read_vocabulary(tmp_path)
    assert {"[INST]", "[/INST]"} <= set(found.control)
    assert "[TOOL]" not in found.control
    assert found.named == {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
    assert hf.read_template(tmp_path) == "mine"
    (tmp_path / "chat_template.jinja").write_text("the file's")
    assert hf.read_template(tmp_path) == "the file's"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"model": 1}'])
def test_a_damaged_tokenizer_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(LoadError, match=r"tokenizer\.json"):
        hf.read_vocabulary(tmp_path)


BOS = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 1)])
CASES_OF_BEGINNINGS: list[tuple[Any, tuple[int, ...]]] = [
    (None, ()),
    (processors.ByteLevel(), ()),
    (BOS, (1,)),
    (processors.Sequence([processors.ByteLevel(), BOS]), (1,)),
    (processors.TemplateProcessing("$A </s>", "$A $B", [("</s>", 1)]), ()),
]


@pytest.mark.parametrize(("processor", "begins"), CASES_OF_BEGINNINGS)
def test_what_the_tokenizer_puts_before_a_text(processor: Any, begins: tuple[int, ...]) -> None:
    tokenizer = metaspace_tokenizer("first")
    if processor is not None:
        tokenizer.post_processor = processor
    assert vocabulary(tokenizer).begins == begins


@pytest.mark.parametrize("text", ["<fim_prefix>", "<filename>", "▁<PRE>", "[SUFFIX]"])
def test_tokens_for_gaps_count_as_control_tokens(text: str) -> None:
    tokenizer = byte_level_tokenizer()
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False)])
    found = vocabulary(tokenizer)
    assert found.control[text].id == tokenizer.token_to_id(text)
    assert found.control[text].id not in found.encode([f"a {text}"])[0]


def test_spellings() -> None:
    assert byte_level("Ġhello") == b" hello"
    assert byte_level("ðŁİī") == "🎉".encode()
    assert byte_level("<\uff5cUser\uff5c>") == "<\uff5cUser\uff5c>".encode()
    assert metaspace("▁hello") == b" hello"
    assert metaspace("<0xF0>") == b"\xf0"
    assert metaspace("<0xF0>x") == b"<0xF0>x"


def test_control_tokens_are_found_leftmost_and_longest_first() -> None:
    finder = ControlFinder(["<s>", "<s>>", "[x]", "</s>"])
    assert list(finder.spans("<<s>> [x][x</s>")) == [(1, 5), (6, 9), (11, 15)]
    assert list(ControlFinder([]).spans("<s>")) == []


def test_many_brackets_take_no_long_time() -> None:
    finder = ControlFinder([f"<unused{at}>" for at in range(6000)])
    assert list(finder.spans("<" * 200_000)) == []
