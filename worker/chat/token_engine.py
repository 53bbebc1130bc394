"""What a token engine is: a model library that turns token ids into token ids, and nothing else.

There are two kinds of chat engine. A *token engine* (openvino, torch, llama.cpp) implements
`TokenEngine`, and `worker.chat.engine.TokenChat` makes an `Engine` of it: prompts, limits, counts,
text, stop texts, calls, finish and events are there, once for all of them. A *text engine* (remote,
command, a user's own) is an `Engine` itself and makes the events of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ipc.messages.errors import ServeError
from ipc.messages.events import Finish, TokenLogprob
from ipc.messages.jobs import Sampling
from ipc.messages.spec import Loaded, Spec
from worker.chat.grammar import AnyText, Grammar
from worker.chat.prompt import Prompt, Prompts
from worker.engine import Stage


class TokenModel(NamedTuple):
    """A model that has been loaded.

    ``ends`` are the tokens that end an answer, ``context_tokens`` what a prompt and its answer may
    have together. With ``prompts_apart`` prompts are laid out in a thread of their own, which
    suits an engine whose steps are short. What one that ``keeps_prefixes`` has computed of a prompt
    serves the next one that begins alike. ``spells_control`` says that its grammars take every
    control token for its text, and so must whoever reads what was written by one. ``tokens`` is how
    many it has, which may be more than its tokenizer; 0: as many.
    """

    loaded: Loaded
    prompts: Prompts
    ends: frozenset[int]
    context_tokens: int
    prompts_apart: bool = False
    keeps_prefixes: bool = False
    spells_control: bool = False
    tokens: int = 0


class TokenRequest(NamedTuple):
    """A prompt that is within the model's limits; its answer has at most ``limit`` tokens.

    ``id`` is no other request's. A job for several answers is as many requests, each with a seed of
    its own, so ``sampling.n`` is none of an engine's business; ``choice`` is the first of the
    choices that it writes, ``repeated`` what stands before what it writes there. ``preserved`` are
    the texts of control tokens that its ``grammar`` means, and that must be in the text of a
    library that makes it itself. The prompt ends with ``written``, the tokens of the answer that
    have been written before, which penalties of an answer's own tokens count.
    """

    id: str
    prompt: Prompt
    sampling: Sampling
    limit: int
    grammar: Grammar = AnyText()
    choice: int = 0
    repeated: str = ""
    preserved: frozenset[str] = frozenset()
    written: Sequence[int] = ()


class Written(NamedTuple):
    """What a step has brought for the request ``id``: the next tokens, and how it has ended where
    the library has ended it; or the error that it ended with, and then it holds nothing any more.

    A library that makes the text itself gives ``text``, and ``text_tokens``, how many it took, with
    the last of their ``tokens`` if it knows that. ``logprobs`` has one for each token where they
    were asked for.
    ``cached_tokens`` is told once it is known: how much of the prompt did not have to be read.
    ``read_tokens`` is told while the prompt is read, by a library that knows, and nothing else with
    it: how much of it has been by now, what was cached included. Of the tokens ``guessed`` for the
    step so many were ``accepted``: prompt lookup.
    """

    id: str
    tokens: Sequence[int] = ()
    finish: Finish | None = None
    error: ServeError | None = None
    text: str | None = None
    text_tokens: int = 0
    logprobs: Sequence[TokenLogprob] | None = None
    cached_tokens: int | None = None
    read_tokens: int | None = None
    guessed: int = 0
    accepted: int = 0

    def one_by_one(self) -> list[Written]:
        """What it adds to the answer, a token at a time where there are several."""
        if self.text is not None or len(self.tokens) < 2:
            return [self]
        last = len(self.tokens) - 1
        return [
            Written(
                self.id,
                (token,),
                self.finish if at == last else None,
                logprobs=None if self.logprobs is None else self.logprobs[at : at + 1],
            )
            for at, token in enumerate(self.tokens)
        ]


class TokenEngine(Protocol):
    """A model that writes several answers at once. Called by one thread."""

    @property
    def worn(self) -> str:
        """As `Engine.worn`."""
        ...

    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        """As `Engine.load`."""
        ...

    def begin(self, request: TokenRequest) -> bool:
        """Take ``request`` into the batch; False while there is no room for it. Raises a
        `ServeError` where it asks for what the library cannot do."""
        ...

    def step(self) -> Iterable[Written]:
        """Advance every request a little, as `Engine.step`. Tokens of one that is over since may
        still come; nobody reads them."""
        ...

    def drop(self, request_id: str) -> None:
        """Forget a request: it has ended, or nobody waits for it. Unknown ids are fine."""
        ...

    def close(self) -> None:
        """Release what the library holds. Called once, at exit."""
        ...
