"""Prompts without a template: texts, tokens and gaps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Fill, RawPrompt, Text, Tokens
from worker.chat.raw import RawLayout
from worker.chat.vocabulary import Control, Vocabulary

BOS = 256
QWEN = (
    *("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    *("<|file_sep|>", "<|repo_name|>", "<|fim_pad|>", "<|endoftext|>"),
)
CODESTRAL = ("[PREFIX]", "[SUFFIX]", "[MIDDLE]")
DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")  # noqa: RUF001


def as_bytes(texts: Sequence[str]) -> list[list[int]]:
    return [list(text.encode()) for text in texts]


def layout(*control: str, begins: Sequence[int] = (), opening: str = "") -> RawLayout:
    """A vocabulary of bytes, `BOS`, a token for turns, and ``control`` after these."""
    named = ("<s>", "<|im_start|>", *control)
    ids = {text: Control(BOS + at) for at, text in enumerate(named)}
    pieces = [*(bytes([at]) for at in range(256)), *(b"" for _ in named)]
    return RawLayout(Vocabulary(pieces, ids, as_bytes, begins=begins, opening=opening))


def written(one: RawLayout, prompt: RawPrompt, *control: str) -> str:
    """The prompt as a text, with control tokens in braces."""
    named = ("<s>", "<|im_start|>", *control)
    tokens = one.lay_out(prompt).tokens
    text = b""
    for token in tokens:
        text += bytes([token]) if token < BOS else f"{{{named[token - BOS]}}}".encode()
    return text.decode()


@pytest.mark.parametrize(
    ("text", "begins", "opening", "expected"),
    [
        ("Hi", (), "", "Hi"),
        ("Hi", (BOS,), "", "{<s>}Hi"),
        ("Hi", (BOS,), " ", "{<s>} Hi"),
        (" Hi", (BOS,), " ", "{<s>} Hi"),
        ("", (BOS,), " ", "{<s>}"),
        ("<|im_start|>system", (), "", "<|im_start|>system"),
        ("<s>", (BOS,), "", "{<s>}<s>"),
    ],
)
def test_a_text_is_text_behind_what_the_tokenizer_puts_before_it(
    text: str, begins: Sequence[int], opening: str, expected: str
) -> None:
    one = layout(begins=begins, opening=opening)
    assert written(one, Text(text)) == expected
    assert one.lay_out(Text(text)).ends == frozenset()


def test_tokens_are_the_prompt_whatever_they_are() -> None:
    assert layout(begins=(BOS,)).lay_out(Tokens(ids=[72, 257, 105])).tokens == [72, 257, 105]


@pytest.mark.parametrize("token", [-1, 258, 10**9])
def test_a_token_that_the_model_does_not_have_is_refused(token: int) -> None:
    with pytest.raises(InvalidRequest, match=f"has token {token}, .* 0 to 257") as refused:
        layout().lay_out(Tokens(ids=[1, token]))
    assert refused.value.param == "prompt"


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="the prompt is empty") as refused:
        layout().lay_out(Text(""))
    assert refused.value.param == "prompt"


GAP = Fill(prefix="a = ", suffix="\n")
FILES = Fill(prefix="a", suffix="b", files=[("x.py", "import y"), ("y.py", "")])


@pytest.mark.parametrize(
    ("control", "gap", "expected"),
    [
        (QWEN, GAP, "{<|fim_prefix|>}a = {<|fim_suffix|>}\n{<|fim_middle|>}"),
        (QWEN, Fill(prefix="", suffix=""), "{<|fim_prefix|>}{<|fim_suffix|>}{<|fim_middle|>}"),
        (
            QWEN,
            FILES,
            "{<|repo_name|>}project\n{<|file_sep|>}x.py\nimport y{<|file_sep|>}y.py\n"
            "{<|file_sep|>}{<|fim_prefix|>}a{<|fim_suffix|>}b{<|fim_middle|>}",
        ),
        (CODESTRAL, GAP, "{[SUFFIX]}\n{[PREFIX]}a = "),
        (
            DEEPSEEK,
            FILES,
            "--- x.py ---\n\nimport y\n\n--- y.py ---\n\n\n\n"
            f"{{{DEEPSEEK[0]}}}a{{{DEEPSEEK[1]}}}b{{{DEEPSEEK[2]}}}",
        ),
        (
            QWEN,
            Fill(prefix="<|fim_suffix|><|im_start|>", suffix="<|endoftext|>"),
            "{<|fim_prefix|>}<|fim_suffix|><|im_start|>{<|fim_suffix|>}<|endoftext|>{<|fim_middle|>}",
        ),
    ],
)
def test_a_gap_is_laid_out_as_the_family_of_the_model_has_it(
    control: tuple[str, ...], gap: Fill, expected: str
) -> None:
    assert written(layout(*control), gap, *control) == expected


def test_a_gap_begins_as_any_prompt() -> None:
    one = layout(*QWEN, begins=(BOS,))
    assert one.lay_out(GAP).tokens[:2] == [BOS, BOS + 2]


def test_what_fills_a_gap_ends_with_any_token_for_gaps_files_and_ends() -> None:
    ends = layout(*QWEN).lay_out(GAP).ends
    assert ends == {BOS + 2 + at for at in range(len(QWEN))}


def test_a_vocabulary_without_all_three_cannot_fill() -> None:
    one = layout(*QWEN[:2])
    assert one.filler is None
    with pytest.raises(InvalidRequest, match="cannot fill gaps") as refused:
        one.lay_out(GAP)
    assert refused.value.param == "suffix"


@pytest.mark.parametrize(
    ("control", "text", "expected"),
    [
        (
            QWEN,
            "<|fim_prefix|>a<|fim_suffix|><|im_start|><|fim_middle|>",
            "{<|fim_prefix|>}a{<|fim_suffix|>}<|im_start|>{<|fim_middle|>}",
        ),
        (
            QWEN,
            "<|file_sep|>x\n<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>",
            "{<|file_sep|>}x\n{<|fim_prefix|>}a{<|fim_suffix|>}b{<|fim_middle|>}",
        ),
        (CODESTRAL, "[SUFFIX]b[PREFIX]a", "{[SUFFIX]}b{[PREFIX]}a"),
        # No gap, so all of it is text.
        (QWEN, "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|> c", None),
        (QWEN, "about <|fim_middle|>", None),
        (CODESTRAL, "about [SUFFIX] and [PREFIX]", None),
    ],
)
def test_a_gap_that_an_editor_has_laid_out_itself_is_one(
    control: tuple[str, ...], text: str, expected: str | None
) -> None:
    one = layout(*control)
    assert written(one, Text(text), *control) == (text if expected is None else expected)
    assert bool(one.lay_out(Text(text)).ends) == (expected is not None)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (Text("<s>Hi"), "<s>Hi"),
        (Tokens(ids=[BOS, 72, 105]), "Hi"),
        (Tokens(ids=[0xF0, 0x9F]), "\ufffd"),
        (GAP, "a = "),
    ],
)
def test_what_an_answer_repeats_of_its_prompt(prompt: RawPrompt, expected: str) -> None:
    assert layout().text_of(prompt) == expected
