"""Every route of this server, and all that is known of it. One that is added here is served,
described, guarded, counted, and named where a path is not found."""

from __future__ import annotations

from frontend.api.admin import routes as admin
from frontend.api.anthropic.answers import CountedTokens, WrittenMessage
from frontend.api.anthropic.errors import MessageError, message_error
from frontend.api.anthropic.request import MessagesRequest, PromptRequest
from frontend.api.anthropic.route import Messages
from frontend.api.audio.speak import Speech
from frontend.api.audio.speak_request import SpeakRequest
from frontend.api.audio.transcribe import Audio
from frontend.api.audio.transcribe_request import AudioRequest
from frontend.api.audio.voices import Voices
from frontend.api.batch import answers as batch_answers
from frontend.api.batch.batches import BatchJobs
from frontend.api.batch.files import Files
from frontend.api.batch.requests import BatchesQuery, BatchRequest, FileRequest, FilesQuery
from frontend.api.compat import tokens_answer
from frontend.api.compat.infill import Infilled, InfillRequest
from frontend.api.compat.llama_cpp_embeddings import PlainEmbedding, PlainEmbeddingRequest
from frontend.api.compat.lm_studio import routes as lm_studio
from frontend.api.compat.mistral_fim import PATHS as FIM_PATHS
from frontend.api.compat.mistral_fim import FimRequest
from frontend.api.compat.props import Props, RouterProps, ServerProps
from frontend.api.compat.router import routes as router
from frontend.api.compat.swap import routes as swap
from frontend.api.compat.tokenize import (
    ChatTokenize,
    ContentTokenize,
    Detokenize,
    InputsTokenize,
    PromptTokenize,
)
from frontend.api.compat.tokens import Tokens
from frontend.api.completions.answers import Completion
from frontend.api.completions.request import CompletionRequest
from frontend.api.completions.route import Completions
from frontend.api.discovery import Discovery, ServerCard
from frontend.api.health import Health, HealthReport, Life, Readiness
from frontend.api.held_streams import HeldStreams, StreamQuery, StreamStopped
from frontend.api.logins import LoggedOut, LogIn, Logins, SessionShown
from frontend.api.ollama import errors as ollama_errors
from frontend.api.ollama import routes as ollama
from frontend.api.openai import answers
from frontend.api.openai.chat import Chat
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.openai.embeddings import Embeddings
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.openai.models import Models
from frontend.api.rerank import answers as rankings
from frontend.api.rerank.request import RERANK_PATHS, RerankRequest, TextsRerankRequest
from frontend.api.rerank.route import Rerank
from frontend.api.rerank.score import SCORE_PATHS, ScoreRequest, Scores
from frontend.api.responses.answers import (
    CountedInput,
    ItemList,
    ResponseDeleted,
    ResponseObject,
)
from frontend.api.responses.queries import ItemsQuery, ResponseQuery
from frontend.api.responses.request import ResponseRequest
from frontend.api.responses.route import KeptResponses, Responses
from frontend.api.route import BYTES, EVENTS, FORM, HTML, JSON, SOUND, TEXT, Route, Services
from frontend.http.paths import PathSet
from frontend.http.request_context import ErrorForm, openai_form
from frontend.openapi.document import OpenApi
from frontend.ui.page import Page
from frontend.ui.page import docs as page_docs
from frontend.ui.page import file as page_file
from ipc.messages.control import Serve
from ipc.tasks import TASKS

_CHAT = (
    Route(
        method="POST",
        path=TASKS["chat"].path,
        id="chat",
        summary="Answer a conversation, whole or as a stream",
        answer=lambda its: Chat(its).complete,
        task="chat",
        takes=(ChatRequest,),
        gives={JSON: answers.ChatCompletion, EVENTS: None},
    ),
)
_MESSAGES = (
    Route(
        method="POST",
        path="/v1/messages",
        id="messages",
        summary="Answer a conversation, as Anthropic's API does; whole or as a stream",
        answer=lambda its: Messages(its).create,
        task="chat",
        takes=(MessagesRequest,),
        gives={JSON: WrittenMessage, EVENTS: None},
        id_header="request-id",
        error_form=message_error,
        error_model=MessageError,
    ),
    Route(
        method="POST",
        path="/v1/messages/count_tokens",
        id="count_tokens",
        summary="How many tokens the prompt of a conversation has",
        answer=lambda its: Messages(its).count,
        task="chat",
        takes=(PromptRequest,),
        gives={JSON: CountedTokens},
        id_header="request-id",
        error_form=message_error,
        error_model=MessageError,
    ),
)
_RESPONSES = (
    Route(
        method="POST",
        path="/v1/responses",
        id="responses",
        summary="Respond to items, whole or as a stream of events",
        answer=lambda its: Responses(its).create,
        task="chat",
        takes=(ResponseRequest,),
        gives={JSON: ResponseObject, EVENTS: None},
    ),
    Route(
        method="POST",
        path="/v1/responses/input_tokens",
        id="response_input_tokens",
        summary="How many tokens the prompt of a response has",
        answer=lambda its: Responses(its).count,
        task="chat",
        takes=(ResponseRequest,),
        gives={JSON: CountedInput},
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        id="response_items",
        summary="The items that a response was made of",
        answer=lambda its: KeptResponses(its).input_items,
        asks=ItemsQuery,
        gives={JSON: ItemList},
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}",
        id="response",
        summary="A response that is kept",
        answer=lambda its: KeptResponses(its).get,
        asks=ResponseQuery,
        gives={JSON: ResponseObject},
        errors=(404,),
    ),
    Route(
        method="DELETE",
        path="/v1/responses/{response_id}",
        id="response_delete",
        summary="Keep it no longer",
        answer=lambda its: KeptResponses(its).delete,
        gives={JSON: ResponseDeleted},
        errors=(404,),
    ),
)
_COMPLETIONS = (
    Route(
        method="POST",
        path="/v1/completions",
        id="completions",
        summary="Write on from a text or tokens, or fill a gap; whole or as a stream",
        answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).complete,
        task="chat",
        takes=(CompletionRequest,),
        gives={JSON: Completion, EVENTS: None},
    ),
    *(
        Route(
            method="POST",
            path=path,
            id=path.strip("/").replace("/", "_"),
            summary="Fill a gap, as Mistral's API does",
            answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).fill,
            task="chat",
            takes=(FimRequest,),
            gives={JSON: answers.ChatCompletion, EVENTS: None},
        )
        for path in FIM_PATHS
    ),
    Route(
        method="POST",
        path="/infill",
        id="infill",
        summary="Fill a gap, as llama.cpp's server does",
        answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).infill,
        task="chat",
        takes=(InfillRequest,),
        gives={JSON: Infilled, EVENTS: None},
    ),
)
_TOKENS = (
    Route(
        method="POST",
        path="/tokenize",
        id="tokenize",
        summary="The tokens of a text or a chat, as llama.cpp's server, vLLM or TEI tell them",
        answer=lambda its: Tokens(its.dispatcher, its.serve).tokenize,
        task="chat",
        takes=(ContentTokenize, PromptTokenize, ChatTokenize, InputsTokenize),
        gives={JSON: (tokens_answer.Tokens, [[tokens_answer.SpannedToken]])},
    ),
    Route(
        method="POST",
        path="/detokenize",
        id="detokenize",
        summary="The text of tokens",
        answer=lambda its: Tokens(its.dispatcher, its.serve).detokenize,
        task="chat",
        takes=(Detokenize,),
        gives={JSON: tokens_answer.Detokenized},
    ),
    Route(
        method="POST",
        path="/apply-template",
        id="apply_template",
        summary="The prompt that a chat comes to",
        answer=lambda its: Tokens(its.dispatcher, its.serve).apply_template,
        task="chat",
        takes=(ChatTokenize,),
        gives={JSON: tokens_answer.AppliedTemplate},
    ),
    Route(
        method="GET",
        path="/props",
        id="props",
        summary="What a chat model takes, as llama.cpp's server tells it",
        answer=lambda its: Props(its.dispatcher).show,
        gives={JSON: (ServerProps, RouterProps)},
        errors=(400, 404),
    ),
)
_EMBEDDINGS = (
    Route(
        method="POST",
        path=TASKS["embed"].path,
        id="embeddings",
        summary="A vector for each text",
        answer=lambda its: Embeddings(its.dispatcher, its.serve).create,
        task="embed",
        takes=(EmbeddingRequest,),
        gives={JSON: answers.EmbeddingList},
    ),
    *(
        Route(
            method="POST",
            path=path,
            id=name,
            summary=summary,
            answer=lambda its: Embeddings(its.dispatcher, its.serve).create_plain,
            task="embed",
            takes=(PlainEmbeddingRequest,),
            gives={JSON: [PlainEmbedding]},
        )
        for path, name, summary in (
            (
                "/embedding",
                "embedding_plain",
                "A vector for each text, as llama.cpp's server gives it",
            ),
            ("/embeddings", "embeddings_plain", "The same, under its other name"),
        )
    ),
)
_RERANK = tuple(
    Route(
        method="POST",
        path=path,
        id=path.strip("/").replace("/", "_"),
        summary="Documents by their relevance to a query",
        answer=lambda its: Rerank(its.dispatcher, its.serve).rerank,
        task="rerank",
        takes=(RerankRequest, TextsRerankRequest),
        gives={JSON: (rankings.Ranking, [rankings.RankedByTei])},
    )
    for path in RERANK_PATHS
)
_SCORE = tuple(
    Route(
        method="POST",
        path=path,
        id=path.strip("/").replace("/", "_"),
        summary="How much each text has to do with one, as vLLM tells it",
        answer=lambda its: Rerank(its.dispatcher, its.serve).score,
        task="rerank",
        takes=(ScoreRequest,),
        gives={JSON: Scores},
    )
    for path in SCORE_PATHS
)
_TRANSCRIPT = {
    JSON: (answers.Transcript, answers.VerboseTranscript),
    TEXT: None,
    EVENTS: None,
}
_AUDIO = (
    Route(
        method="POST",
        path=TASKS["speech"].path,
        id="transcribe",
        summary="Speech to text in its own language",
        answer=lambda its: Audio(its.dispatcher, its.serve).transcribe,
        task="speech",
        takes=(AudioRequest,),
        body=FORM,
        gives=_TRANSCRIPT,
    ),
    Route(
        method="POST",
        path="/v1/audio/translations",
        id="translate",
        summary="Speech to English text",
        answer=lambda its: Audio(its.dispatcher, its.serve).translate,
        task="speech",
        takes=(AudioRequest,),
        body=FORM,
        ignores=("language",),
        gives=_TRANSCRIPT,
    ),
    Route(
        method="POST",
        path=TASKS["speak"].path,
        id="speech",
        summary="Text to speech, as a file or as a stream of events",
        answer=lambda its: Speech(its.dispatcher, its.serve).create,
        task="speak",
        takes=(SpeakRequest,),
        gives={SOUND: None, EVENTS: None},
    ),
    Route(
        method="GET",
        path="/v1/audio/voices",
        id="voices",
        summary="The voices of all models",
        answer=lambda its: Voices(its.dispatcher).index,
        gives={JSON: answers.VoiceList},
    ),
)
_FILES = (
    Route(
        method="POST",
        path="/v1/files",
        id="file_create",
        summary="Keep a file of requests for a batch",
        answer=lambda its: Files(its.batches).create,
        takes=(FileRequest,),
        body=FORM,
        gives={JSON: batch_answers.FileObject},
        errors=(503,),
    ),
    Route(
        method="GET",
        path="/v1/files",
        id="files",
        summary="The files that are kept",
        answer=lambda its: Files(its.batches).index,
        asks=FilesQuery,
        gives={JSON: batch_answers.FileList},
        errors=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/files/{file_id}",
        id="file",
        summary="One of them",
        answer=lambda its: Files(its.batches).get,
        gives={JSON: batch_answers.FileObject},
        errors=(404, 503),
    ),
    Route(
        method="DELETE",
        path="/v1/files/{file_id}",
        id="file_delete",
        summary="Keep it no longer",
        answer=lambda its: Files(its.batches).delete,
        gives={JSON: batch_answers.FileDeleted},
        errors=(400, 404, 503),
    ),
    Route(
        method="GET",
        path="/v1/files/{file_id}/content",
        id="file_content",
        summary="Its lines, as they are",
        answer=lambda its: Files(its.batches).content,
        gives={BYTES: None},
        errors=(404, 503),
    ),
)
_HELD = (
    Route(
        method="GET",
        path="/v1/stream",
        id="stream",
        summary="Read on an answer that was asked for with X-Request-Resume: 1",
        answer=lambda its: HeldStreams(its.held).read,
        asks=StreamQuery,
        gives={EVENTS: None, JSON: None},
        errors=(404,),
    ),
    Route(
        method="DELETE",
        path="/v1/stream",
        id="stream_stop",
        summary="Stop such an answer",
        answer=lambda its: HeldStreams(its.held).stop,
        asks=StreamQuery,
        gives={JSON: StreamStopped},
        errors=(404,),
    ),
)
_BATCHES = (
    Route(
        method="POST",
        path="/v1/batches",
        id="batch_create",
        summary="Have the requests of a file answered while nobody else asks anything",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).create,
        takes=(BatchRequest,),
        gives={JSON: batch_answers.BatchObject},
        errors=(404, 429, 503),
    ),
    Route(
        method="GET",
        path="/v1/batches",
        id="batches",
        summary="The batches, newest first",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).index,
        asks=BatchesQuery,
        gives={JSON: batch_answers.BatchList},
        errors=(404, 503),
    ),
    Route(
        method="GET",
        path="/v1/batches/{batch_id}",
        id="batch",
        summary="How far one of them has come",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).get,
        gives={JSON: batch_answers.BatchObject},
        errors=(404, 503),
    ),
    Route(
        method="POST",
        path="/v1/batches/{batch_id}/cancel",
        id="batch_cancel",
        summary="Call it off; what was answered is kept",
        answer=lambda its: BatchJobs(its.batches, its.serve.max_json_bytes).cancel,
        gives={JSON: batch_answers.BatchObject},
        errors=(400, 404, 503),
    ),
)
_MODELS = (
    Route(
        method="GET",
        path="/v1/models",
        id="models",
        summary="The configured models",
        answer=lambda its: Models(its.dispatcher).index,
        gives={JSON: answers.ModelList},
    ),
    Route(
        method="GET",
        path="/v1/models/{model}",
        id="model",
        summary="One of them",
        answer=lambda its: Models(its.dispatcher).get,
        gives={JSON: answers.ModelEntry},
        errors=(404,),
    ),
)
_HERE = "edge-serve: an inference server with OpenAI's API under /v1, described at /openapi.json\n"
_PAGE = (
    Route(
        method="GET",
        path="/",
        id="front",
        summary="The page for people; for programs what this server is, in a line",
        answer=lambda its: Page(ollama.RUNNING if its.serve.ollama else _HERE).front,
        gives={TEXT: None, HTML: None},
        open=True,
    ),
    Route(
        method="GET",
        path="/ui/{version}/{file}",
        id="page_file",
        summary="A file of the page",
        answer=lambda _: page_file,
        gives={HTML: None},
        errors=(404,),
        open=True,
    ),
    Route(
        method="GET",
        path="/docs",
        id="docs",
        summary="This description, as a page to read",
        answer=lambda _: page_docs,
        gives={HTML: None},
        open=True,
    ),
    Route(
        method="GET",
        path="/llms.txt",
        id="llms_txt",
        summary="What this server is and has, for language models",
        answer=lambda its: Discovery(its.dispatcher, its.serve).for_models,
        gives={TEXT: None},
    ),
    Route(
        method="GET",
        path="/.well-known/edge-serve.json",
        id="server_card",
        summary="What this server is and has, for programs",
        answer=lambda its: Discovery(its.dispatcher, its.serve).card,
        gives={JSON: ServerCard},
    ),
    Route(
        method="GET",
        path="/session",
        id="session",
        summary="Who asks, by a key or as somebody who has logged in",
        answer=lambda its: Logins(its.sessions, its.serve).show,
        gives={JSON: SessionShown},
    ),
    Route(
        method="POST",
        path="/login",
        id="log_in",
        summary="Log in with a key: a cookie for the page, in place of the key",
        answer=lambda its: Logins(its.sessions, its.serve).log_in,
        takes=(LogIn,),
        gives={JSON: SessionShown},
        errors=(401, 429),
        keyless=True,
    ),
    Route(
        method="POST",
        path="/logout",
        id="log_out",
        summary="Log out",
        answer=lambda its: Logins(its.sessions, its.serve).log_out,
        gives={JSON: LoggedOut},
        keyless=True,
    ),
)
_SERVER = (
    Route(
        method="GET",
        path="/livez",
        id="livez",
        summary="The server answers",
        answer=lambda its: _health(its).livez,
        gives={JSON: Life},
        open=True,
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        id="readyz",
        summary="Every model that should run is ready",
        answer=lambda its: _health(its).readyz,
        gives={JSON: Readiness},
        also={503: Readiness},
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/health",
        id="health",
        summary="Every process, measured now",
        answer=lambda its: _health(its).health,
        gives={JSON: HealthReport},
        also={503: HealthReport},
        polled=True,
        probe=True,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        id="openapi",
        summary="This description",
        answer=lambda its: OpenApi(routes(its.serve), its).describe,
        gives={JSON: None},
    ),
)
_METRICS = Route(
    method="GET",
    path="/metrics",
    id="metrics",
    summary="For Prometheus",
    answer=lambda its: _health(its).metrics,
    gives={TEXT: None},
    polled=True,
)
ROUTES = (
    *_CHAT,
    *_MESSAGES,
    *_RESPONSES,
    *_COMPLETIONS,
    *_TOKENS,
    *_EMBEDDINGS,
    *_RERANK,
    *_SCORE,
    *_AUDIO,
    *_FILES,
    *_BATCHES,
    *_HELD,
    *_MODELS,
    *_PAGE,
    *_SERVER,
    _METRICS,
    *admin.ROUTES,
    *router.ROUTES,
    *swap.ROUTES,
    *lm_studio.ROUTES,
)
# These are below those of Ollama's API, which tells errors otherwise.
_AS_OPENAI = ("/api/v0/", "/api/v1/", "/api/models/")

_ANY = (*ROUTES, *ollama.ROUTES)
POLLED = frozenset(route.path for route in _ANY if route.polled)
PROBES = frozenset(route.path for route in _ANY if route.probe)
# Whose requests are worth a line for who runs this server: those for a model.
LISTED = frozenset(route.path for route in _ANY if route.task)
OPEN = PathSet(route.path for route in _ANY if route.open)
KEYLESS = PathSet(route.path for route in _ANY if route.open or route.keyless)


def routes(serve: Serve) -> tuple[Route, ...]:
    """Those of a server that is set up like this."""
    own = [route for route in ROUTES if serve.metrics or route is not _METRICS]
    return (*own, *(ollama.ROUTES if serve.ollama else ()))


def error_forms(serve: Serve) -> dict[str, ErrorForm]:
    """How errors are told at each path that does not do it as OpenAI's API; one that ends in a
    slash is all that is below it."""
    forms = {each.path: each.error_form for each in routes(serve) if each.error_form}
    forms["/v1/messages/"] = message_error
    forms |= dict.fromkeys(_AS_OPENAI, openai_form)
    return forms | ({ollama.BELOW: ollama_errors.error_form} if serve.ollama else {})


def _health(its: Services) -> Health:
    return Health(its.dispatcher, its.control, its.metrics)
