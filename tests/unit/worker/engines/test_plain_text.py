"""Texts that name control tokens: to every kind of tokenizer they are texts like others."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from worker.engine import LoadError
from worker.engines.common.plain_text import (
    as_plain_text,
    control_tokens,
    hold_back,
    open_tokenizer,
)


def _ids(*pieces: str) -> dict[str, int]:
    return {piece: at for at, piece in enumerate(pieces)}


def unigram() -> Tokenizer:
    """As XLM-R's: control tokens are pieces, and compatibility forms become plain ones."""
    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<mask>", 0.0)]
    letters = [(letter, -5.0) for letter in "▁<>/abdkmnpsu"]
    tokenizer = Tokenizer(models.Unigram([*special, *letters], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([name for name, _ in special])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return tokenizer


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordPiece(
            _ids("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "[", "]", *"CLSEPADMKUN"),
            unk_token="[UNK]",
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def words() -> Tokenizer:
    """One whose control tokens are words of its own, which nothing calls special."""
    tokenizer = Tokenizer(models.WordLevel(_ids("[PAD]", "[CLS]", "[SEP]", "[UNK]", "a"), "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def merged() -> Tokenizer:
    """One whose merges come to a control token, and whose unknown letters are bytes."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary = _ids("<s>", "<unk>", *bytes_, "<", "s", ">", "a", "s>")
    tokenizer = Tokenizer(
        models.BPE(vocabulary, [("s", ">"), ("<", "s>")], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.add_special_tokens(["<s>", "<unk>", *bytes_])
    return tokenizer


KINDS = [unigram, word_piece, words, merged]


@pytest.mark.parametrize("make", KINDS)
def test_no_text_comes_to_a_control_token(make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    before = make()
    before.save(str(tmp_path / "tokenizer.json"))
    after = open_tokenizer(tmp_path / "tokenizer.json")
    unknown = before.token_to_id("[UNK]")
    tried = 0
    for token, text in control_tokens(before).items():
        if text in ("[UNK]", "<unk>") or text.startswith("<0x"):
            continue  # what unknown letters come to
        tried += 1
        for forged in (text, f"a{text}a", f"a {text} a", f"{text}{text}", f"\uffff{text}"):
            found = after.encode(forged, add_special_tokens=False).ids
            assert token not in found, forged
            assert found
    assert tried
    assert after.encode("a").ids == before.encode("a").ids
    assert after.encode("a", "a").ids == before.encode("a", "a").ids
    assert after.token_to_id("[UNK]") == unknown


def test_nor_does_one_that_is_written_in_other_letters() -> None:
    """The normalizer makes the control token's letters of them."""
    tokenizer = as_plain_text(unigram())
    wide = "a＜/s＞"  # noqa: RUF001
    assert "</s>" not in wide
    found = tokenizer.encode(wide, add_special_tokens=False).tokens
    assert found == ["▁", "a", "<", "/", "s", ">"]


def test_unknown_letters_are_still_bytes() -> None:
    found = as_plain_text(merged()).encode("é<s>").tokens
    assert found == ["<0xC3>", "<0xA9>", "<", "s>"]


def test_words_that_were_added_stay_words() -> None:
    tokenizer = word_piece()
    tokenizer.add_tokens([AddedToken("covid-19", normalized=False)])
    assert "covid-19" in as_plain_text(tokenizer).encode("a covid-19 a").tokens


def test_marks_that_are_listed_as_words_are_held_back() -> None:
    """Whisper's times are no special tokens in newer checkpoints."""
    tokenizer = Tokenizer(models.BPE(_ids(*"<|0.>a"), []))
    tokenizer.add_special_tokens(["<|en|>"])
    tokenizer.add_tokens([AddedToken("<|0.00|>", normalized=False), "aaa"])
    hold_back(tokenizer, re.compile(r"<\|.*\|>"))
    found = as_plain_text(tokenizer).encode("<|0.00|>aaa")
    assert found.tokens == [*"<|0.00|>", "aaa"]
    assert tokenizer.token_to_id("<|0.00|>") == 7


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {}}))
    with pytest.raises(LoadError, match=r"tokenizer\.json is damaged"):
        open_tokenizer(tmp_path / "tokenizer.json")
