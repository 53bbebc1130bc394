"""LitServe with sentence-transformers, requests of one text in batches: ``MODEL PORT``."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from sentence_transformers import SentenceTransformer


class Embeddings(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.model = SentenceTransformer(sys.argv[1], device=device)

    def predict(self, inputs: list[str]) -> Any:
        return self.model.encode(inputs, batch_size=32).tolist()


if __name__ == "__main__":
    api = Embeddings(max_batch_size=32, batch_timeout=0.005, spec=litserve.OpenAIEmbeddingSpec())
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
