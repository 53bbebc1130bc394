"""Chat on torch: causal language models of transformers, batched continuously.

A step gives one token to every answer in the batch, or several where they were guessed, and reads
a part of the prompts that wait. On GPUs the host is a step behind: it reads the tokens of a step
while the device works on the next.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, assert_never

import torch

from ipc.engine_options import TorchChatOptions
from ipc.grammar.rules import Rules
from ipc.messages.errors import OutOfMemory, ServeError
from ipc.messages.spec import Loaded, Spec
from worker.apart import Apart
from worker.chat.engine import TokenChat
from worker.chat.grammar import AnyText
from worker.chat.lookup.guesser import Guesser
from worker.chat.prompt import Layout
from worker.chat.token_engine import TokenModel, TokenRequest, Written
from worker.engine import LoadError, Stage, options_of
from worker.engines.torch_chat.answer import Answer
from worker.engines.torch_chat.attention import Span
from worker.engines.torch_chat.grammars import Grammars
from worker.engines.torch_chat.graphs import Arriving
from worker.engines.torch_chat.language_model import LanguageModel
from worker.engines.torch_chat.load import ChatModel, chat_model
from worker.engines.torch_chat.runtime import Runtime, build
from worker.engines.torch_chat.sampling import Need, pick
from worker.engines.torch_chat.told import logprob_of
from worker.engines.torch_chat.vision import vision_prompts


class TorchChat(TokenChat):
    """torch as an engine for chats. Options: `TorchChatOptions`."""

    def __init__(self) -> None:
        self._torch = TorchTokens()
        super().__init__(self._torch)

    @property
    def language_model(self) -> LanguageModel:
        """The model as it is run, for those who measure it."""
        return self._torch.language_model


class TorchTokens:
    """A `TokenEngine`: a causal language model, whose steps are our own."""

    worn = ""

    @torch.inference_mode()
    def load(self, spec: Spec, stage: Stage) -> TokenModel:
        options = options_of(spec, TorchChatOptions)
        loaded = chat_model(spec, options, stage)
        self._eos = loaded.eos
        try:
            self._runtime = build(spec, options, loaded, stage)
        except torch.OutOfMemoryError as error:
            raise LoadError(f"{loaded.device} is full: {error}", permanent=False) from None
        self._answers: dict[str, Answer] = {}
        self._writing: list[Answer] = []  # in the order of the device's batch slots
        self._launched: deque[_Launched] = deque()
        self._guesser = Guesser() if looks_up(options, loaded.device) else None
        self._guessed: dict[str, _Guess] = {}  # of the step that is under way
        self._vocabulary = loaded.vocabulary
        tokens = self.language_model.vocabulary
        self._grammars = Grammars(loaded.vocabulary, loaded.eos, tokens)
        self._compiling: Apart[Answer] = Apart("grammars")
        context_tokens = self._runtime.context_tokens
        vision = vision_prompts(
            loaded.processor, loaded.vocabulary, loaded.model.dtype, options.image_pixels
        )
        return TokenModel(
            Loaded(
                device=str(loaded.device),
                context_tokens=context_tokens,
                detail=_detail(loaded, self._runtime),
            ),
            vision or Layout(loaded.template, loaded.vocabulary),
            loaded.eos,
            context_tokens,
            prompts_apart=True,
            keeps_prefixes=options.prefix_caching,
            tokens=loaded.model.get_input_embeddings().num_embeddings,
        )

    @property
    def language_model(self) -> LanguageModel:
        return self._runtime.language_model

    def begin(self, request: TokenRequest) -> bool:
        match request.grammar:
            case AnyText():
                self._add(Answer(request, self._eos))
            case Rules():
                rules = request.grammar
                self._compiling.begin(request.id, lambda: self._bound(request, rules))
            case _:
                assert_never(request.grammar)
        return True

    def _add(self, answer: Answer) -> None:
        self._answers[answer.id] = answer
        self._runtime.prefill.add(answer)
        if self._guesser is not None and answer.choice.may_be_guessed:
            self._guesser.begin(answer.id, answer.prompt)

    def _bound(self, request: TokenRequest, rules: Rules) -> Answer:
        """On the thread of grammars."""
        matcher = self._grammars.matcher(rules, request.preserved)
        return Answer(request, self._eos, matcher)

    def _add_bound(self) -> list[Written]:
        """Take those whose grammars are compiled by now; returns what has gone wrong with others.
        Waits a little where there is nothing else to do."""
        failed: list[Written] = []
        for request_id, found in self._compiling.ready(wait_a_little=not self._answers):
            if isinstance(found, ServeError):
                failed.append(Written(request_id, error=found))
            else:
                self._add(found)
        return failed

    @torch.inference_mode()
    def step(self) -> list[Written]:
        """One token for every answer in the batch, and a part of the prompts still unread."""
        written: list[Written] = self._add_bound()
        began = False
        try:
            began = self._write()
            reading, ends = self._read()
            began |= ends
            written += reading
        except _NoMemory as error:
            written += map(self._out_of_memory, error.answers)
        if began:
            self._launch()
        while len(self._launched) > self._behind(began=began):
            written += self._collect(self._launched.popleft())
        return written

    def _behind(self, *, began: bool) -> int:
        """How many steps the host may be behind the device. What a grammar admits depends on all
        tokens before, so beside one the host keeps up."""
        if not began or self._runtime.graphs is None:
            return 0
        return 0 if any(answer.matcher for answer in self._writing) else 1

    @torch.inference_mode()
    def drop(self, request_id: str) -> None:
        self._compiling.drop(request_id)
        answer = self._answers.get(request_id)
        if answer is not None:
            self._end(answer)

    def close(self) -> None:
        self._compiling.close()
        self._answers.clear()
        self._writing.clear()
        self._launched.clear()
        on_cuda = self.language_model.device.type == "cuda"
        del self._runtime
        if on_cuda:
            torch.cuda.empty_cache()

    def _write(self) -> bool:
        """Begin one more token for every slot; returns whether there are any."""
        if not self._writing:
            return False
        need = Need.of([answer.choice for answer in self._writing])
        try:
            if need.bound:
                self._bind(0, self._writing)
            if self._runtime.graphs:
                self._runtime.graphs.run(len(self._writing), need)
            elif self._guesser is not None:
                self._write_guessing(self._guesser, need)
            else:
                self._runtime.decode.by_spans(_spans(self._writing), need)
        except torch.OutOfMemoryError:
            raise _NoMemory(self._writing[-1:]) from None
        return True

    def _write_guessing(self, guesser: Guesser, need: Need) -> None:
        """The same where guesses may make it more than one."""
        rooms = {answer.id: answer.room for answer in self._writing}
        found = guesser.guesses(rooms, len(rooms))
        began_at = time.monotonic()
        if found:
            guesses: list[Sequence[int]] = [found.get(one.id, ()) for one in self._writing]
            spans = _spans(self._writing, guesses)
            right = self._runtime.decode.by_guesses(spans, guesses, need)
            for answer, guess, good in zip(self._writing, guesses, right, strict=True):
                if guess:
                    guesser.checked(answer.id, len(guess), len(good))
                    self._guessed[answer.id] = _Guess(len(guess), good)
        else:
            self._runtime.decode.by_spans(_spans(self._writing), need)
        tokens = len(rooms) + sum(map(len, found.values()))
        guesser.took(tokens, time.monotonic() - began_at)

    def _bind(self, first: int, answers: list[Answer]) -> None:
        """Hold the slots from ``first`` on to what the grammars of their ``answers`` admit next."""
        failed = self._runtime.slots.bind(first, [answer.matcher for answer in answers])
        for answer, error in zip(answers, failed, strict=True):
            answer.error = answer.error or error

    def _read(self) -> tuple[list[Written], bool]:
        """Read a part of the prompts. Those that end here get a slot and their first token. Returns
        how far the others are, and whether any ends."""
        chunks = self._runtime.prefill.next_chunks()
        if not chunks:
            return [], False
        ending = [chunk.answer for chunk in chunks if chunk.ends]
        going_on = [chunk.answer for chunk in chunks if not chunk.ends]
        # Whom it costs: the largest, so that the others may have room, or all where none is larger.
        costs = [max(chunks, key=lambda chunk: chunk.count).answer]
        try:
            logits = self._runtime.prefill.read(chunks)
            costs = ending
            if logits is not None:
                self._join(ending, logits)
        except torch.OutOfMemoryError:
            raise _NoMemory(costs) from None
        return [*map(_so_far, going_on)], bool(ending)

    def _join(self, answers: list[Answer], logits: torch.Tensor) -> None:
        """Give ``answers`` the next slots, and each its first token from its row of ``logits``."""
        slots, first = self._runtime.slots, len(self._writing)
        use = slice(first, first + len(answers))
        need = Need.of([answer.choice for answer in answers])
        try:
            for slot, answer in enumerate(answers, first):
                slots.join(
                    slot,
                    answer.start,
                    answer.prompt,
                    answer.shift,
                    answer.choice,
                    answer.behind,
                )
            if need.bound:
                self._bind(first, answers)
            picked = pick(logits, slots.choices(use), slots.lengths(use), need)
            if need.told:
                slots.tell(use, logits, picked)
            slots.take(use, picked)
        except torch.OutOfMemoryError:
            for slot in range(use.start, use.stop):
                slots.leave(slot, slot, need)
            raise
        self._writing += answers

    def _launch(self) -> None:
        """Send for the tokens that this step has begun, one for each slot."""
        slots, use = self._runtime.slots, slice(0, len(self._writing))
        is_told = any(answer.choice.told for answer in self._writing)
        told = Arriving(slots.told(use)) if is_told else None
        guessed = [self._guessed.get(answer.id, _NOTHING) for answer in self._writing]
        self._guessed.clear()
        launched = _Launched(tuple(self._writing), Arriving(slots.tokens(use)), told, guessed)
        self._launched.append(launched)
        for answer, guess in zip(tuple(self._writing), guessed, strict=True):
            answer.begun += len(guess.right) + 1
            if answer.begun == answer.limit:
                self._leave(answer)  # all its tokens are under way

    def _collect(self, launched: _Launched) -> list[Written]:
        """Wait for a step's tokens; those of answers that have ended since are nobody's."""
        written: list[Written] = []
        told = launched.told.read() if launched.told else [[]] * len(launched.answers)
        newest = launched.tokens.read()
        for answer, token, row, guess in zip(
            launched.answers, newest, told, launched.guessed, strict=True
        ):
            if answer.ended:
                continue
            is_first = not answer.written
            tokens = (*guess.right, token)
            for each in tokens:
                answer.take(each)
            if self._guesser is not None:
                self._guesser.wrote(answer.id, tokens)
            if answer.error is not None:
                self._end(answer)
                written.append(Written(answer.id, error=answer.error))
                continue
            told_of = None
            if answer.likely is not None:
                told_of = [logprob_of(token, row, answer.likely, self._vocabulary)]
            cached_tokens = answer.cached if is_first else None
            written.append(
                Written(
                    answer.id,
                    tokens,
                    logprobs=told_of,
                    cached_tokens=cached_tokens,
                    guessed=guess.guessed,
                    accepted=len(guess.right),
                )
            )
        return written

    def _end(self, answer: Answer) -> None:
        answer.ended = True
        del self._answers[answer.id]
        self._runtime.prefill.remove(answer)
        if self._guesser is not None:
            self._guesser.end(answer.id)
        self._leave(answer)
        if answer.segment is not None:
            self._runtime.segments.release(answer.segment, answer.reusable)

    def _leave(self, answer: Answer) -> None:
        """Free the slot of ``answer``, if it has one; the last slot takes its place."""
        if answer not in self._writing:
            return
        slot, last = self._writing.index(answer), self._writing[-1]
        need = Need.of([answer.choice, last.choice])
        self._runtime.slots.leave(slot, len(self._writing) - 1, need)
        self._writing[slot] = last
        self._writing.pop()

    def _out_of_memory(self, answer: Answer) -> Written:
        """Give up one answer so that the others can go on."""
        self._end(answer)
        device = self._runtime.language_model.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        error = OutOfMemory(f"{device} has no memory left for this request; try again later")
        return Written(answer.id, error=error)


class _Guess(NamedTuple):
    """So many tokens were guessed for a step, of which these were ``right``."""

    guessed: int
    right: Sequence[int]


_NOTHING = _Guess(0, ())


class _Launched(NamedTuple):
    """The newest tokens of one step and, if anybody asked, their log probabilities, on their way
    here, whose they are, and what was ``guessed`` before each."""

    answers: tuple[Answer, ...]
    tokens: Arriving
    told: Arriving | None
    guessed: list[_Guess]


def looks_up(options: TorchChatOptions, device: torch.device) -> bool:
    """Whether tokens are guessed. On other devices than CPUs they are ahead of the host, which
    would have to know all tokens before it can guess. Raises `LoadError`."""
    if options.prompt_lookup and device.type != "cpu":
        raise LoadError(
            f"options.prompt_lookup: engine torch guesses on cpu, not on {device}; leave it out"
        )
    return options.prompt_lookup


def _spans(answers: list[Answer], guesses: Sequence[Sequence[int]] = ()) -> list[Span]:
    """The next step of each answer, with what is guessed of it."""
    spans: list[Span] = []
    first = 0
    for answer, guess in zip(answers, guesses or [()] * len(answers), strict=True):
        spans.append(answer.span(first, len(guess)))
        first += 1 + len(guess)
    return spans


def _so_far(answer: Answer) -> Written:
    """How far its prompt is read, or will be once the device has done what it was given."""
    return Written(answer.id, cached_tokens=answer.cached, read_tokens=answer.read)


def _detail(loaded: ChatModel, runtime: Runtime) -> str:
    """What an operator is told of the model."""
    parameters = sum(tensor.numel() for tensor in loaded.model.parameters())
    dtype = str(loaded.model.dtype).removeprefix("torch.")
    kind = f"{loaded.model.config.model_type}, {parameters / 1e6:.0f}M parameters, {dtype}"
    return ", ".join(fact for fact in [kind, runtime.detail, loaded.note] if fact)


class _NoMemory(Exception):
    """The device's memory has run out, and ``answers`` are given up for it."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers
