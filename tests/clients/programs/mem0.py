# /// script
# dependencies = ["mem0ai==2.2.1"]
# [tool.edge-serve]
# models = ["tools", "text-embedding"]
# ///
"""mem0: memories kept as they are and found again, and memories that the model makes of a chat."""

from __future__ import annotations

import os
import sys
import tempfile

os.environ["MEM0_TELEMETRY"] = "False"
FOLDER = os.environ["MEM0_DIR"] = tempfile.mkdtemp(prefix="mem0-")
from mem0 import Memory

SPOKEN = [
    {"role": "user", "content": "I am Anna. I live in Oslo, and I am allergic to nuts."},
    {"role": "assistant", "content": "I shall keep that in mind."},
]


def main(url: str, name: str, embedder: str) -> None:
    server = {"openai_base_url": url, "api_key": "unused"}
    memory = Memory.from_config(
        {
            "llm": {
                "provider": "openai",
                "config": {"model": name, "temperature": 0, "max_tokens": 300, **server},
            },
            "embedder": {
                "provider": "openai",
                "config": {"model": embedder, "embedding_dims": 384, **server},
            },
            "vector_store": {
                "provider": "qdrant",
                "config": {"path": f"{FOLDER}/qdrant", "embedding_model_dims": 384},
            },
        }
    )
    for text in ("The cat sleeps on the sofa.", "Paris is the capital of France."):
        memory.add(text, user_id="a", infer=False)
    best, *_ = memory.search("Where is the cat?", filters={"user_id": "a"})["results"]
    assert best["memory"] == "The cat sleeps on the sofa.", best

    added = memory.add(SPOKEN, user_id="b")["results"]
    assert added, "the model made no memory"
    assert all(one["event"] == "ADD" and one["memory"] for one in added), added
    kept = {one["memory"] for one in memory.get_all(filters={"user_id": "b"})["results"]}
    assert kept == {one["memory"] for one in added}, (kept, added)


if __name__ == "__main__":
    main(*sys.argv[1:])
