"""One request on the torch engine: how far its prompt is read, then how far it is written."""

from __future__ import annotations

from ipc.messages.errors import ServeError
from worker.chat.token_engine import TokenRequest
from worker.engines.torch_chat.attention import Span
from worker.engines.torch_chat.grammars import Matcher
from worker.engines.torch_chat.kv_segments import Segment
from worker.engines.torch_chat.sampling import Choice


class Answer:
    """``ends`` are the tokens that end an answer of the model, ``matcher`` what it is bound to.

    The device is ahead of the host by a step: ``begun`` counts the tokens that were or are being
    picked, ``written`` holds those that have come to the host.
    """

    def __init__(
        self, request: TokenRequest, ends: frozenset[int], matcher: Matcher | None = None
    ) -> None:
        self.id = request.id
        self.prompt = request.prompt.tokens
        self.behind = request.written
        self.images = request.prompt.images  # until they are read
        self.pictured = bool(self.images)
        self.limit = request.limit
        self.choice = Choice.of(request.sampling, ends, bound=matcher is not None)
        self.matcher = matcher
        self.likely = request.sampling.logprobs  # how many likely tokens are told beside each
        self.segment: Segment | None = None
        self.read = 0
        self.cached = 0  # tokens of the prompt that did not have to be read
        self.shift = 0  # of the positions that follow the prompt
        self.begun = 0
        self.written: list[int] = []
        self.ended = False
        self.error: ServeError | None = None  # it cannot go on

    @property
    def start(self) -> int:
        """Where its segment begins; it has one once its prompt is being read."""
        assert self.segment is not None
        return self.segment.start

    @property
    def size(self) -> int:
        """The places it needs, for all that it may come to."""
        return len(self.prompt) + self.limit

    @property
    def kept(self) -> int:
        """The tokens whose keys and values are computed or being computed: all but the newest."""
        return self.read + max(0, self.begun - 1)

    @property
    def reusable(self) -> list[int]:
        """The tokens whose keys and values another prompt may begin with: with images, none, since
        different images are the same tokens."""
        if self.pictured:
            return []
        return (self.prompt[: self.read] + self.written)[: self.kept]

    @property
    def room(self) -> int:
        """How many tokens may be guessed behind its newest one: it writes one more besides."""
        return max(0, self.limit - self.begun - 1)

    def take(self, token: int) -> None:
        """``token`` has come to the host."""
        self.written.append(token)
        if self.matcher is not None and self.error is None:
            try:
                self.matcher.advance(token)
            except ServeError as error:
                self.error = error

    def span(self, first: int, guessed: int = 0) -> Span:
        """Its next step, of its newest token and so many guesses, from the ``first`` token of a
        batch on."""
        return Span(first, 1 + guessed, self.start, self.kept + 1 + guessed)
