# /// script
# dependencies = ["langchain-ollama==1.1.0"]
# ///
"""LangChain by Ollama's API: text, streamed; a structured model by a schema; vectors."""

from __future__ import annotations

import sys
from typing import Literal

from langchain_ollama import ChatOllama
from pydantic import BaseModel


class Mood(BaseModel):
    mood: Literal["good", "bad"]


def main(url: str, name: str) -> None:
    base = url.removesuffix("/v1")
    model = ChatOllama(model=name, base_url=base, temperature=0, num_predict=60, num_ctx=2048)
    whole = model.invoke("Say hello.")
    assert whole.content, whole
    assert whole.usage_metadata["output_tokens"] > 0, whole
    assert "".join(part.content for part in model.stream("Say hello.")) == whole.content
    found = model.with_structured_output(Mood, method="json_schema").invoke("I am happy. My mood?")
    assert isinstance(found, Mood), found


if __name__ == "__main__":
    main(*sys.argv[1:])
