"""From a place on a hub to an entry and a verdict, against a hub that speaks the real API."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import catalog
from supervisor.config.errors import ConfigError
from supervisor.config.settings import Flags, load
from supervisor.discovery import discover, fit
from supervisor.discovery.discover import Discovery, Found
from supervisor.discovery.known import name_of
from supervisor.discovery.reference import parse
from supervisor.host.hardware import Box
from supervisor.launch.unlisted import check_fit, listed
from supervisor.models.archive import FetchError
from tests.fake_hub import FakeHub

BOX = Box(cuda=False, mps=False, machine="x86_64", cublas12=False, threads=2)
BERT = {"architectures": ["BertModel"], "hidden_size": 8, "num_hidden_layers": 1}


def gguf(**facts: Any) -> bytes:
    """The beginning of a GGUF file with these facts, all of them texts or numbers."""
    pairs = b""
    for key, value in facts.items():
        name = key.replace("__", ".").encode()
        pairs += struct.pack("<Q", len(name)) + name
        if isinstance(value, str):
            pairs += struct.pack("<IQ", 8, len(value)) + value.encode()
        else:
            pairs += struct.pack("<II", 4, value)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(facts)) + pairs


LLAMA = gguf(
    general__architecture="llama",
    llama__block_count=30,
    llama__attention__head_count=9,
    llama__attention__head_count_kv=3,
    llama__embedding_length=576,
    llama__context_length=8192,
)


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in ("MODELS", "HF_TOKEN", "MODEL_DEVICE", "EDGE_SERVE_CONFIG"):
        os.environ.pop(name, None)
    os.environ["EDGE_SERVE_MODELS_DIR"] = str(tmp_path / "models")
    monkeypatch.setattr(discover, "free_mb", lambda _kind: 4000)
    monkeypatch.setattr(discover, "total_mb", lambda: 8000)


def find(text: str, **options: Any) -> Found:
    return Discovery(load(Flags()), BOX).find(parse(text), **options)


def test_a_gguf_model_gets_an_entry_with_its_best_precision_that_fits(hub: FakeHub) -> None:
    hub.put("acme/one-GGUF", {"one-Q8_0.gguf": LLAMA + bytes(5000), "one-Q4_0.gguf": LLAMA})
    found = find("hf:acme/one-GGUF")
    assert found.entry == {
        "name": "acme/one-GGUF",
        "task": "chat",
        "source": "hf:acme/one-GGUF",
        "include": ["one-Q8_0.gguf"],
        "path": "one-Q8_0.gguf",
        "memory_mb": 561,
    }
    assert (found.spec.engine, found.fit.verdict) == ("openvino", "fits")


def test_where_the_best_does_not_fit_the_next_is_taken_and_why_is_said(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "free_mb", lambda _kind: 675)
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA + bytes(3 << 20), "one-Q4_0.gguf": LLAMA})
    found = find("hf:acme/one")
    assert found.form == "Q4_0"
    assert "Q4_0: needs 674 MB of the 675 MB that cpu has for it" in found.remarks[0]


def test_one_that_openvino_does_not_read_is_for_llama_cpp(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q5_K_M.gguf": LLAMA})
    assert find("hf:acme/one").spec.engine == "llama.cpp"


def test_of_a_large_file_no_more_than_its_beginning_is_read(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA + bytes(8 << 20)})
    find("hf:acme/one")
    assert sum(count for name, _, count in hub.sent if name.endswith("gguf")) <= 256 << 10


def test_an_embedding_model_is_for_openvino(hub: FakeHub) -> None:
    config = json.dumps(BERT).encode()
    hub.put("acme/embed", {"config.json": config, "model.safetensors": bytes(9000)})
    found = find("hf:acme/embed", name="mine")
    assert (found.name, found.spec.task, found.spec.engine) == ("mine", "embed", "openvino")


def test_speech_in_onnx_is_for_onnx_asr(hub: FakeHub) -> None:
    graphs = {"encoder-model.int8.onnx": bytes(5 << 20), "decoder-model.int8.onnx": bytes(1 << 20)}
    config = json.dumps({"model_type": "nemo-conformer-aed"}).encode()
    hub.put("acme/canary", {**graphs, "vocab.txt": b"a 0\n", "config.json": config})
    found = find("hf:acme/canary")
    assert (found.spec.task, found.spec.engine, found.spec.device) == ("speech", "onnx-asr", "cpu")
    assert found.entry["engine"] == "onnx-asr"
    assert found.entry["memory_mb"] == 309
    assert set(found.entry["include"]) == {*graphs, "vocab.txt", "config.json"}


def test_what_its_authors_recommend_becomes_its_defaults(hub: FakeHub) -> None:
    config = json.dumps({"architectures": ["LlamaForCausalLM"]}).encode()
    told = json.dumps({"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": -5}).encode()
    files = {"config.json": config, "generation_config.json": told, "model.safetensors": b"1"}
    hub.put("acme/chat", files)
    assert find("hf:acme/chat").entry["defaults"] == {"temperature": 0.6, "top_p": 0.9}


def test_an_encoder_in_gguf_is_refused(hub: FakeHub) -> None:
    hub.put("acme/bert", {"bert-Q8_0.gguf": gguf(general__architecture="bert")})
    with pytest.raises(FetchError, match="is a bert in GGUF, which gives vectors"):
        find("hf:acme/bert")


def test_a_file_that_is_no_gguf_is_refused(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": b"<html>"})
    with pytest.raises(FetchError, match="not a GGUF file"):
        find("hf:acme/one")


def test_a_hub_that_wants_a_token_is_told_so(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    hub.token = "hf_secret"
    with pytest.raises(FetchError, match="then set HF_TOKEN"):
        find("hf:acme/one")
    os.environ["HF_TOKEN"] = "hf_secret"
    assert find("hf:acme/one").name == "acme/one"


@pytest.mark.parametrize(
    ("place", "why"),
    [("acme/none", "hf:acme/none does not exist"), ("acme/one@v9", "has no revision 'v9'")],
)
def test_what_is_not_there_is_said_in_a_line(hub: FakeHub, place: str, why: str) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    with pytest.raises(FetchError, match=why):
        find(f"hf:{place}")


def test_one_that_will_never_fit_is_refused_unless_it_is_forced(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "total_mb", lambda: 500)
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    found = find("hf:acme/one")
    said: list[str] = []
    with pytest.raises(FetchError, match="needs about 674 MB of memory, and this box has 500 MB"):
        check_fit(found, said.append, force=False)
    check_fit(found, said.append, force=True)
    assert said[0] == "acme/one: chat by openvino on cpu, Q8_0"


def test_a_disk_that_is_too_small_cannot_be_forced(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "disk_free_bytes", lambda _folder: 1000)
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    with pytest.raises(FetchError, match="the disk of the models folder is too small"):
        check_fit(find("hf:acme/one"), print, force=True)


# --- names ----------------------------------------------------------------------------------------


def test_a_model_of_the_catalog_is_known_by_its_place(hub: FakeHub) -> None:
    shipped = catalog.load(None)
    assert name_of(shipped, parse("hf:BAAI/bge-m3")) == "BAAI/bge-m3"
    assert name_of(shipped, parse("hf:Qwen/Qwen3-0.6B")) == "Qwen/Qwen3-0.6B"
    precise = "hf:unsloth/Llama-3.2-1B-Instruct-GGUF"
    assert name_of(shipped, parse(f"{precise}:Q4_K_M")) == precise.removeprefix("hf:")
    assert name_of(shipped, parse(f"{precise}:Q2_K")) is None
    assert name_of(shipped, parse("hf:istupakov/whisper-base-onnx:int8"))
    assert name_of(shipped, parse("hf:istupakov/whisper-base-onnx:fp16")) is None
    assert name_of(shipped, parse("hf:acme/none")) is None
    assert hub.asked == []


def test_names_and_places_may_be_mixed(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    settings, shipped = load(Flags()), catalog.load(None)
    here = listed(
        Discovery(settings, BOX), settings, shipped, ["hibari", "hf:acme/one", "hf:BAAI/bge-m3"]
    )
    assert here.names == ["hibari", "acme/one", "BAAI/bge-m3"]
    assert [one.name for one in here.found] == ["acme/one"]
    assert here.catalog.models["acme/one"].entry.path == "one-Q8_0.gguf"


def test_a_name_that_another_model_has_is_refused(hub: FakeHub) -> None:
    hub.put("acme/one", {"one-Q8_0.gguf": LLAMA})
    settings = load(Flags())
    with pytest.raises(ConfigError, match="hibari is another model's name already"):
        listed(Discovery(settings, BOX), settings, catalog.load(None), ["hf:acme/one"], "hibari")
