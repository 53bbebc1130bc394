"""The chat core: everything of a chat that is not a matter of the library which runs the model."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import msgspec

from ipc.engine_options import ChatOptions
from ipc.engines import serving
from ipc.messages.errors import ServeError
from ipc.messages.events import Done, Event, Failed, Piece, TokenizeResult
from ipc.messages.jobs import ChatInput, Job, TokenizeInput
from ipc.messages.spec import Loaded, Spec
from worker.apart import Apart
from worker.chat import thought_limit
from worker.chat.answers import Answers
from worker.chat.generation import Generation
from worker.chat.going_on import behind
from worker.chat.grammar import AnyText
from worker.chat.prompt import Prompts, chat_of
from worker.chat.requests import parser_of, requests_of
from worker.chat.token_engine import TokenEngine, TokenModel, TokenRequest, Written
from worker.chat.tokenized import tokenized
from worker.engine import BegunPrompt, Engine, Stage, options_of
from worker.prefill import PrefillPace

# Prompts that were begun and not asked for: the loop asks each turn, others never do.
_MOST_BEGUN = 64


class TokenChat(Engine):
    """An `Engine` for chats, made of a `TokenEngine`.

    Every answer takes a slot. A job for more answers than there are slots is admitted alone, and
    begins the others as slots come free.
    """

    def __init__(self, tokens: TokenEngine) -> None:
        self._tokens = tokens
        self._jobs: dict[str, Answers] = {}  # laid out and not ended, in the order they came
        self._writing: dict[str, _Writing] = {}  # by request, in the order they began
        self._preparing: dict[str, int] = {}  # slots that jobs will take, once laid out
        self._begun: deque[BegunPrompt] = deque(maxlen=_MOST_BEGUN)

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._spec = spec
        self._model: TokenModel = self._tokens.load(spec, stage)
        # What is asked of the tokenizer: chats to be laid out, and questions beside them.
        self._tokenizer: Apart[Answers | TokenizeResult] = Apart(
            "tokenizer", at_once=not self._model.prompts_apart
        )
        return self._told()

    def _told(self) -> Loaded:
        """What the engine has found out, and what the dialect says."""
        prompts = self._model.prompts
        wanted = _options(self._spec).dialect
        if isinstance(wanted, str) and wanted != "auto":
            prompts.use_dialect(wanted)
        dialect = prompts.dialect
        return msgspec.structs.replace(
            self._model.loaded,
            tools=dialect.calls_tools,
            reasoning=dialect.thinking is not None,
            fills=prompts.raw.filler is not None,
            tokenizes=True,
            keeps_prefixes=self._model.keeps_prefixes,
            goes_on=True,
        )

    @property
    def worn(self) -> str:
        return self._tokens.worn

    @property
    def prompts(self) -> Prompts:
        """How the model's prompts are laid out."""
        return self._model.prompts

    def admit(self, job: Job) -> bool:
        if isinstance(job.input, TokenizeInput):
            question = job.input
            self._tokenizer.begin(job.id, lambda: tokenized(question, self._model.prompts))
            return True
        asked = chat_of(job.input, self._spec)
        wanted = min(asked.choices, self._spec.slots)
        if self._held() + wanted > self._spec.slots:
            return False
        if self._model.prompts_apart:
            self._preparing[job.id] = wanted
            self._tokenizer.begin(job.id, lambda: self._laid_out(job, asked))
            return True
        answers = self._jobs[job.id] = self._laid_out(job, asked)
        try:
            began = self._begin(answers)
        except ServeError:
            self.drop(job.id)
            raise
        if not began:
            del self._jobs[job.id]
        return began

    def _laid_out(self, job: Job, asked: ChatInput) -> Answers:
        for ids in job.written.values():  # which may come from another server
            self._model.prompts.raw.known(ids, "migration", self._model.tokens)
        requests = requests_of(job, asked, self._spec, self._model)
        return Answers(job.id, asked, requests, job.written)

    def wait_s(self) -> float | None:
        return 0.0 if self._jobs or self._tokenizer else None

    def step(self) -> list[Event]:
        events = self._collect_tokenized()
        events += self._tell_gone_on()
        events += self._begin_continued()
        events += self._begin_waiting()
        if self._writing:
            for written in self._tokens.step():
                events += self._read(written)
        return events

    def drop(self, job_id: str) -> None:
        self._tokenizer.drop(job_id)
        self._preparing.pop(job_id, None)
        if self._jobs.pop(job_id, None) is not None:
            for request_id, writing in tuple(self._writing.items()):
                if writing.generation.job_id == job_id:
                    self._end(request_id)

    def prompts_begun(self) -> list[BegunPrompt]:
        begun = list(self._begun)
        self._begun.clear()
        return begun

    def close(self) -> None:
        self._tokenizer.close()
        for job_id in tuple(self._jobs):
            self.drop(job_id)
        self._tokens.close()

    def _held(self) -> int:
        """How many slots are taken, or will be by what has been admitted."""
        waiting = sum(answers.unbegun for answers in self._jobs.values())
        return len(self._writing) + waiting + sum(self._preparing.values())

    def _begin(self, answers: Answers) -> bool:
        """Begin as many of ``answers`` as there is room for; returns whether any has begun. Raises
        the `ServeError` of what the library cannot do."""
        began = False
        while answers.requests and len(self._writing) < self._spec.slots:
            request = answers.requests[0]
            generation = self._generation(answers, request)
            asked, said = self._gone_on(generation, request, answers)
            if not generation.ended and not self._tokens.begin(asked):
                break
            began = True
            del answers.requests[0]
            self._note_begun(answers.job_id, request)
            pace = PrefillPace(answers.job_id, len(asked.prompt.tokens), time.monotonic())
            again = request._replace(id=asked.id)
            self._writing[asked.id] = _Writing(generation, again, pace, said=said)
        return began

    def _gone_on(
        self, generation: Generation, request: TokenRequest, answers: Answers
    ) -> tuple[TokenRequest, list[Piece]]:
        """What is to be asked for ``request``, with its ``generation`` behind what is written of
        it, and what that says at once. It may have ended by that. Raises `WorkerCrashed`."""
        written = answers.written.get(request.choice)
        if written is None:
            return request, []
        generation.go_on_behind(written)
        if generation.ended:
            return request, []
        if thought_limit.is_reached(generation, answers.asked):
            said = generation.write(*thought_limit.end_of_thought(self._model))
            return thought_limit.continued(request, generation, answers.asked, self._model), said
        asked = behind(request, written, self._model)
        return (request, generation.end_by_form()) if asked is None else (asked, [])

    def _tell_gone_on(self) -> list[Event]:
        """Tell what answers say before anything is written of them here, and end those that are
        whole by that."""
        events: list[Event] = []
        for request_id, writing in tuple(self._writing.items()):
            generation, said = writing.generation, writing.said
            writing.said = []
            events += self._jobs[generation.job_id].told(said)
            if generation.ended:
                events += self._ended(request_id, generation)
        return events

    def _note_begun(self, job_id: str, request: TokenRequest) -> None:
        """Once for all the choices of a prompt. Different images are the same tokens."""
        tokens = request.prompt.tokens
        again = self._begun and self._begun[-1].tokens is tokens
        if self._model.keeps_prefixes and not request.prompt.images and not again:
            self._begun.append(BegunPrompt(job_id, tokens))

    def _begin_continued(self) -> list[Event]:
        """Begin the rest of what has stopped to think, first come, first served."""
        for writing in tuple(self._writing.values()):
            if writing.rest is None:
                continue
            try:
                if not self._tokens.begin(writing.rest):
                    break
            except ServeError as error:
                return [self._fail(writing.generation.job_id, error)]
            writing.rest = None
        return []

    def _begin_waiting(self) -> list[Event]:
        """Begin what is laid out, first come, first served."""
        events: list[Event] = []
        for answers in tuple(self._jobs.values()):
            try:
                if answers.requests and not self._begin(answers):
                    break
            except ServeError as error:
                events.append(self._fail(answers.job_id, error))
        return events

    def _fail(self, job_id: str, error: ServeError) -> Event:
        self.drop(job_id)
        return Failed(job=job_id, error=error.info())

    def _collect_tokenized(self) -> list[Event]:
        """Take what the tokenizer has done by now. Waits a little for it where there is nothing
        else to do."""
        events: list[Event] = []
        for job_id, found in self._tokenizer.ready(wait_a_little=not self._writing):
            self._preparing.pop(job_id, None)
            if isinstance(found, Answers):
                self._jobs[job_id] = found
            elif isinstance(found, TokenizeResult):
                events.append(Done(job_id, found))
            else:
                events.append(Failed(job=job_id, error=found.info()))
        return events

    def _generation(self, answers: Answers, request: TokenRequest) -> Generation:
        control = self._model.prompts.vocabulary.control
        is_spelled = self._model.spells_control and not isinstance(request.grammar, AnyText)
        return Generation(
            answers.job_id,
            request.sampling,
            prompt_tokens=len(request.prompt.tokens),
            limit=request.limit,
            vocabulary=self._model.prompts.vocabulary,
            parser=parser_of(answers.asked, request.prompt, self._model),
            spelled=control if is_spelled else (),
            ends=self._model.ends,
            choice=request.choice,
            repeated=request.repeated,
        )

    def _read(self, written: Written) -> list[Event]:
        writing = self._writing.get(written.id)
        if writing is None:  # it is over since
            return []
        generation = writing.generation
        answers = self._jobs[generation.job_id]
        if written.error is not None:
            return [self._fail(answers.job_id, written.error)]
        if written.cached_tokens is not None and not generation.is_continued:
            generation.cached_tokens = written.cached_tokens
        generation.guessed += written.guessed
        generation.accepted += written.accepted
        if written.read_tokens is not None:
            return self._prefilled(writing, written.read_tokens)
        events = self._write(written, generation, answers)
        if generation.ended:
            events += self._ended(written.id, generation)
        return events

    def _write(self, written: Written, generation: Generation, answers: Answers) -> list[Event]:
        """What ``written`` adds to the answer, up to its end or that of its reasoning."""
        # What counts the tokens of reasoning has to stop within those of a step.
        thinks = generation.thinking or answers.asked.reasoning_tokens is not None
        events: list[Event] = []
        for part in written.one_by_one() if thinks else [written]:
            pieces = [*generation.repeat(), *_pushed(generation, part)]
            events += answers.told(generation.begun(pieces))
            if generation.ended:
                break
            if thought_limit.is_reached(generation, answers.asked):
                events += answers.told(self._end_thought(written.id, answers.asked))
                break
        return events

    def _ended(self, request_id: str, generation: Generation) -> list[Event]:
        self._end(request_id)
        answers = self._jobs[generation.job_id]
        events = answers.end(generation)
        if answers.ended:
            del self._jobs[answers.job_id]
        return events

    @staticmethod
    def _prefilled(writing: _Writing, read_tokens: int) -> list[Event]:
        """Of several prompts the first is told of; it is read first."""
        generation = writing.generation
        if generation.choice or generation.is_continued:
            return []
        return [*writing.pace.told(read_tokens, generation.cached_tokens or 0, time.monotonic())]

    def _end_thought(self, request_id: str, asked: ChatInput) -> list[Piece]:
        """End the reasoning of a request; the rest of its answer is another request."""
        writing = self._writing[request_id]
        generation, request, pace = writing.generation, writing.asked, writing.pace
        pieces = generation.write(*thought_limit.end_of_thought(self._model))
        if not generation.ended:
            self._end(request_id)
            rest = thought_limit.continued(request, generation, asked, self._model)
            again = request._replace(id=rest.id)
            self._writing[rest.id] = _Writing(generation, again, pace, rest)
        return pieces

    def _end(self, request_id: str) -> None:
        del self._writing[request_id]
        self._tokens.drop(request_id)


@dataclass
class _Writing:
    """An answer that is being written, what was ``asked`` for it, and the ``pace`` of its prompt.
    ``rest`` is what the token engine has not taken yet, of one that stopped to think, and ``said``
    what was said of one that goes on before the token engine has written anything."""

    generation: Generation
    asked: TokenRequest
    pace: PrefillPace
    rest: TokenRequest | None = None
    said: list[Piece] = field(default_factory=list)


def _pushed(generation: Generation, written: Written) -> list[Piece]:
    """What ``written`` adds to the answer."""
    if written.text is None:
        return generation.push(written.tokens, written.finish, written.logprobs)
    pieces = generation.push_text(
        written.text, written.text_tokens, written.logprobs, written.tokens
    )
    if written.finish is not None and not generation.ended:
        pieces += generation.end(written.finish)
    return pieces


def _options(spec: Spec) -> ChatOptions:
    """What all chat engines take; an engine that is none of ours has the defaults."""
    served = serving(spec.engine, "chat")
    found = options_of(spec, served.options) if served else None
    return found if isinstance(found, ChatOptions) else ChatOptions()
