"""Answers that are bound to a grammar: which tokens may come next, by llguidance, on the host."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from ipc.grammar.lark import to_lark
from ipc.grammar.rules import Rules
from ipc.messages.errors import InternalError, InvalidRequest
from worker.chat.vocabulary import Vocabulary

WORD_BITS = 32
# Any tokens that spell a text are fine, as in other libraries. Otherwise those of a fixed text
# would have to be the tokenizer's own, and some tokenizers put a space before a text.
_HEAD = '%llguidance {"no_forcing": true}\n'
# As many sets of texts are preserved as a dialect has kinds of answers: few.
_MOST_TOKENIZERS = 8


def mask_words(tokens: int) -> int:
    """How many int32 a mask of so many tokens takes."""
    return -(-tokens // WORD_BITS)


class Grammars:
    """Grammars over the tokens of a model, whose logits are for so many ``tokens``: as many as its
    ``vocabulary`` has, or more to pad its matrix. ``ends`` are the tokens that end an answer.

    Used by one thread at a time.
    """

    def __init__(self, vocabulary: Vocabulary, ends: frozenset[int], tokens: int) -> None:
        self._vocabulary = vocabulary
        self._ends = sorted(token for token in ends if 0 <= token < tokens)
        self._tokens = tokens
        self._tokenizers: dict[frozenset[str], LLTokenizer] = {}

    def matcher(self, rules: Rules, preserved: frozenset[str]) -> Matcher:
        """A matcher at the start of an answer that ``rules`` admit, in which the control tokens of
        the texts ``preserved`` stand for them. Takes up to a second. Raises `InvalidRequest`."""
        lark = LLMatcher.grammar_from_lark(_HEAD + to_lark(rules))
        found = LLMatcher(self._tokenizer(preserved), lark, log_level=0)
        if found.is_error():
            raise InvalidRequest(
                f"the model cannot be held to this form: {_first_line(found.get_error())}"
            )
        return Matcher(found)

    def _tokenizer(self, preserved: frozenset[str]) -> LLTokenizer:
        if preserved not in self._tokenizers:
            if len(self._tokenizers) == _MOST_TOKENIZERS:
                self._tokenizers.clear()
            tokens = _Tokens(self._vocabulary, preserved, self._ends, self._tokens)
            made = LLTokenizer(TokenizerWrapper(tokens), eos_token=self._ends)
            self._tokenizers[preserved] = made
        return self._tokenizers[preserved]


class Matcher:
    """How far an answer has come in its grammar."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def fill(self, mask: torch.Tensor) -> None:
        """Write which tokens may come next into ``mask``, int32 [words] on the host: the bits of
        all tokens, from the lowest of the first word on. Once the grammar is fulfilled and nothing
        more may come these are the ends. Raises `InternalError`."""
        self._matcher.unsafe_compute_mask_ptr(mask.data_ptr(), mask.numel() * mask.element_size())
        self._check()

    def advance(self, token: int) -> None:
        """``token`` has been picked. Raises `InternalError`."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            reason = _first_line(self._matcher.get_error())
            raise InternalError(f"the model cannot go on in the form asked for: {reason}")


class _Tokens:
    """A vocabulary as llguidance takes it: the bytes of each token, and which are no text."""

    bos_token_id = None

    def __init__(
        self, vocabulary: Vocabulary, preserved: frozenset[str], ends: Sequence[int], count: int
    ) -> None:
        control = {token.id: text for text, token in vocabulary.control.items()}
        silent = {token for token, text in control.items() if text not in preserved} | {*ends}
        self.eos_token_id = ends[0]
        self.special_token_ids = sorted(token for token in silent if token < count)
        # Those that pad the matrix have no bytes, and so never come.
        self.tokens = [
            control[at].encode() if at in control else vocabulary.text_bytes(at)
            for at in range(count)
        ]

    def __call__(self, text: bytes) -> list[int]:
        raise NotImplementedError(f"nothing asks for the tokens of {text!r}")


def _first_line(text: str) -> str:
    return " ".join(text.partition("\n<state>")[0].split())[:300]
