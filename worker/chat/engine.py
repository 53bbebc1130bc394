"""The chat core: everything of a chat that is not a matter of the library which runs the model."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import msgspec

from ipc.engines import ChatOptions, serving
from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import Event, Failed, Piece
from ipc.messages.jobs import ChatInput, Job, TokenizeInput
from ipc.messages.spec import Loaded, Spec
from worker.chat import thought_limit
from worker.chat.answers import Answers
from worker.chat.asides import Asides
from worker.chat.generation import Generation
from worker.chat.grammar import AnyText
from worker.chat.prompt import Prompts, chat_of
from worker.chat.requests import parser_of, requests_of
from worker.chat.token_engine import TokenEngine, TokenModel, TokenRequest, Written
from worker.engine import Engine, Stage, options_of

logger = logging.getLogger(__name__)

# The loop looks for mail at least this often, even if there are only prompts to wait for.
_WAIT_S = 0.02


class TokenChat(Engine):
    """An `Engine` for chats, made of a `TokenEngine`.

    Every answer takes a slot. A job for more answers than there are slots is admitted alone, and
    begins the others as slots come free.
    """

    def __init__(self, tokens: TokenEngine) -> None:
        self._tokens = tokens
        self._jobs: dict[str, Answers] = {}  # laid out and not ended, in the order they came
        self._writing: dict[str, Generation] = {}  # by request: all that the token engine has
        self._begun: dict[str, TokenRequest] = {}  # what was asked, of the same
        self._continued: dict[str, TokenRequest] = {}  # of those, what it has not taken yet
        self._preparing: dict[str, _Prepared] = {}  # in the order they came
        self._thread: ThreadPoolExecutor | None = None

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._spec = spec
        self._model: TokenModel = self._tokens.load(spec, stage)
        if self._model.prompts_apart:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        self._asides = Asides(self._model.prompts, self._thread)
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
            self._asides.ask(job.id, job.input)
            return True
        asked = chat_of(job.input, self._spec)
        wanted = min(asked.choices, self._spec.slots)
        if self._held() + wanted > self._spec.slots:
            return False
        if self._thread is not None:
            prepared = self._thread.submit(requests_of, job.id, asked, self._spec, self._model)
            self._preparing[job.id] = _Prepared(job, prepared, wanted)
            return True
        requests = requests_of(job.id, asked, self._spec, self._model)
        answers = Answers(job.id, asked, requests)
        if not self._begin(answers):
            return False
        self._jobs[job.id] = answers
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._preparing or self._jobs or self._asides else None

    def step(self) -> list[Event]:
        idle = not self._preparing and not self._writing
        events = self._asides.collect(_WAIT_S if idle else 0.0)
        events += self._begin_continued()
        events += self._begin_prepared()
        self._begin_waiting()
        if self._writing:
            for written in self._tokens.step():
                events += self._read(written)
        return events

    def drop(self, job_id: str) -> None:
        self._asides.drop(job_id)
        preparing = self._preparing.pop(job_id, None)
        if preparing is not None:
            preparing.requests.cancel()
        if self._jobs.pop(job_id, None) is not None:
            for request_id, generation in tuple(self._writing.items()):
                if generation.job_id == job_id:
                    self._end(request_id)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        for job_id in tuple(self._jobs):
            self.drop(job_id)
        self._tokens.close()

    def _held(self) -> int:
        """How many slots are taken, or will be by what has been admitted."""
        waiting = sum(answers.unbegun for answers in self._jobs.values())
        preparing = sum(prepared.slots for prepared in self._preparing.values())
        return len(self._writing) + waiting + preparing

    def _begin(self, answers: Answers) -> bool:
        """Begin as many of ``answers`` as there is room for; returns whether any has begun."""
        began = False
        while answers.requests and len(self._writing) < self._spec.slots:
            request = answers.requests[0]
            if not self._tokens.begin(request):
                break
            began = True
            del answers.requests[0]
            self._writing[request.id] = self._generation(answers, request)
            self._begun[request.id] = request
        return began

    def _begin_continued(self) -> list[Event]:
        """Begin the rest of what has stopped to think, first come, first served."""
        for request in tuple(self._continued.values()):
            try:
                if not self._tokens.begin(request):
                    break
            except ServeError as error:
                job_id = self._writing[request.id].job_id
                self.drop(job_id)
                return [Failed(job=job_id, error=error.info())]
            del self._continued[request.id]
        return []

    def _begin_waiting(self) -> None:
        for answers in self._jobs.values():
            if answers.requests and not self._begin(answers):
                break

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

    def _begin_prepared(self) -> list[Event]:
        """Begin what is laid out by now, first come, first served. Waits a little for the first
        one where there is nothing else to do."""
        if self._preparing and not self._writing:
            wait([next(iter(self._preparing.values())).requests], timeout=_WAIT_S)
        events: list[Event] = []
        for job_id, prepared in tuple(self._preparing.items()):
            if not prepared.requests.done():
                break
            try:
                asked = chat_of(prepared.job.input, self._spec)
                answers = Answers(job_id, asked, prepared.requests.result())
                if not self._begin(answers):
                    break
                self._jobs[job_id] = answers
            except ServeError as error:
                events.append(Failed(job=job_id, error=error.info()))
            except Exception:
                logger.exception("prompt_failed", extra={"job": job_id})
                broken = InternalError("the model could not take this request")
                events.append(Failed(job=job_id, error=broken.info()))
            del self._preparing[job_id]
        return events

    def _read(self, written: Written) -> list[Event]:
        generation = self._writing.get(written.id)
        if generation is None:  # it is over since
            return []
        answers = self._jobs[generation.job_id]
        if written.error is not None:
            self.drop(answers.job_id)
            return [Failed(job=answers.job_id, error=written.error.info())]
        if written.cached_tokens is not None and not generation.is_continued:
            generation.cached_tokens = written.cached_tokens
        pieces = [*generation.repeat(), *_pushed(generation, written)]
        events = answers.told(generation.begun(pieces))
        if not generation.ended and thought_limit.is_reached(generation, answers.asked):
            events += answers.told(self._end_thought(written.id, answers.asked))
        if generation.ended:
            self._end(written.id)
            events += answers.end(generation)
            if answers.ended:
                del self._jobs[answers.job_id]
        return events

    def _end_thought(self, request_id: str, asked: ChatInput) -> list[Piece]:
        """End the reasoning of a request; the rest of its answer is another request."""
        generation, request = self._writing[request_id], self._begun[request_id]
        pieces = generation.write(*thought_limit.end_of_thought(self._model))
        if not generation.ended:
            self._end(request_id)
            rest = thought_limit.continued(request, generation, asked, self._model)
            self._writing[rest.id] = generation
            self._begun[rest.id] = request._replace(id=rest.id)
            self._continued[rest.id] = rest
        return pieces

    def _end(self, request_id: str) -> None:
        del self._writing[request_id], self._begun[request_id]
        self._continued.pop(request_id, None)
        self._tokens.drop(request_id)


class _Prepared(NamedTuple):
    """A job whose prompts are being laid out, and how many ``slots`` it will take at least."""

    job: Job
    requests: Future[list[TokenRequest]]
    slots: int


def _pushed(generation: Generation, written: Written) -> list[Piece]:
    """What ``written`` adds to the answer."""
    if written.text is None:
        return generation.push(written.tokens, written.finish, written.logprobs)
    pieces = generation.push_text(written.text, written.text_tokens, written.logprobs)
    if written.finish is not None and not generation.ended:
        pieces += generation.end(written.finish)
    return pieces


def _options(spec: Spec) -> ChatOptions:
    """What all chat engines take; an engine that is none of ours has the defaults."""
    served = serving(spec.engine, "chat")
    found = options_of(spec, served.options) if served else None
    return found if isinstance(found, ChatOptions) else ChatOptions()
