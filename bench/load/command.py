"""The four commands, each with the options of its requests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.load.audio import Audio
from bench.load.chat import Chat
from bench.load.embeddings import Embeddings
from bench.load.measure import measure
from bench.load.options import Common, with_common
from bench.load.rerank import Rerank
from bench.load.server import Unanswered
from bench.terminal import plain_app
from bench.words import ANSWER_TOKENS, TEXT_WORDS
from supervisor.config.dotenv_file import load_dotenv
from supervisor.config.errors import EXIT_CONFIG, ConfigError
from supervisor.config.settings import DOTENV
from supervisor.models.archive import FetchError

DOCUMENTS = 16
LOOP = """The loop is closed: each client sends its next request when the last one is answered, so a
slow server is asked less. EDGE_SERVE_API_KEY is sent as the API key where it is set. Exits 1
when no request of a level was answered."""

app = plain_app()

Words = Annotated[int, typer.Option(min=1, help="Random words in each, which no cache has seen.")]


@app.command(epilog=LOOP)
@with_common
def chat(
    prompt: Annotated[
        str | None,
        typer.Option(envvar="PROMPT", help="Always the same; random words if not set."),
    ] = None,
    prompt_words: Words = TEXT_WORDS,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = ANSWER_TOKENS,
    temperature: Annotated[float, typer.Option(min=0, help="Of the answers.")] = 0.0,
    stream: Annotated[bool, typer.Option(help="Whole answers have no time to first token.")] = True,
    *,
    common: Common,
) -> None:
    """Chats: latency, time to first token, time between tokens, tokens a second."""
    asked = {
        "prompt": prompt and "given",  # not said: reports are passed on
        "prompt_words": None if prompt else prompt_words,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "stream": stream,
    }
    work = Chat(prompt, prompt_words, max_tokens, temperature, stream=stream)
    raise typer.Exit(measure("chat", asked, work, common))


@app.command(epilog=LOOP)
@with_common
def embeddings(
    text: Annotated[
        str | None, typer.Option(help="Always the same; random words if not set.")
    ] = None,
    text_words: Words = TEXT_WORDS,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts in a request.")] = 1,
    *,
    common: Common,
) -> None:
    """Embeddings: latency, texts and tokens a second."""
    asked = {
        "text": text and "given",
        "text_words": None if text else text_words,
        "batch_size": batch_size,
    }
    work = Embeddings(text, text_words, batch_size)
    raise typer.Exit(measure("embeddings", asked, work, common))


@app.command(epilog=LOOP)
@with_common
def audio(
    file: Annotated[
        list[Path],
        typer.Option(help="A recording; several are sent in turn.", exists=True, dir_okay=False),
    ],
    language: Annotated[
        str | None, typer.Option(help="What is spoken; the model finds out if not set.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Transcriptions: latency, seconds of audio a second. There is no sound to fall back to, since
    what is no speech is skipped and would make figures that mean nothing."""
    work = Audio(file, {"language": language} if language else {})
    asked = {"files": len(file), "audio_seconds": round(work.seconds, 1), "language": language}
    raise typer.Exit(measure("audio", asked, work, common))


@app.command(epilog=LOOP)
@with_common
def rerank(
    query: Annotated[
        str | None, typer.Option(help="Always the same; random words if not set.")
    ] = None,
    text_words: Words = TEXT_WORDS,
    documents: Annotated[int, typer.Option(min=1, help="Of each request.")] = DOCUMENTS,
    *,
    common: Common,
) -> None:
    """Reranking: latency, documents a second."""
    asked = {
        "query": query and "given",
        "text_words": text_words,
        "documents": documents,
    }
    work = Rerank(query, text_words, documents)
    raise typer.Exit(measure("rerank", asked, work, common))


def main(argv: list[str]) -> None:
    """Run the command that ``argv`` begins with, and exit."""
    try:
        load_dotenv(Path(DOTENV))
        app(argv, prog_name="edge-serve bench")
    except ConfigError as error:
        print(f"edge-serve bench: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)
    except (Unanswered, FetchError, OSError) as error:
        print(f"edge-serve bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
