"""What Moonshine's files are and what its tokens mean, without a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.engine import LoadError
from worker.engines.moonshine import files
from worker.engines.moonshine.tokens import Texts

GRAPHS = ("encoder_model{}", "decoder_model_merged{}")


def folder(path: Path, *names: str) -> str:
    for name in names:
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    return str(path)


def test_the_packaged_layout_is_found(tmp_path: Path) -> None:
    found = files.find(folder(tmp_path, *(f"{g.format('')}.ort" for g in GRAPHS), "tokenizer.bin"))
    assert found.encoder.name == "encoder_model.ort"
    assert found.tokens.name == "tokenizer.bin"


def test_the_hubs_layout_is_found(tmp_path: Path) -> None:
    graphs = (f"onnx/{graph.format('_quantized')}.onnx" for graph in GRAPHS)
    found = files.find(folder(tmp_path, *graphs, "tokenizer.json"))
    assert found.decoder == tmp_path / "onnx/decoder_model_merged_quantized.onnx"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "has no encoder_model.ort"),
        (("encoder_model.ort",), "has no decoder_model_merged.ort"),
        (("encoder_model.ort", "encoder_model_int8.ort"), "has several models"),
        (("encoder_model_int8.ort", "decoder_model_merged.ort"), "of different precisions"),
        (("encoder_model.ort", "decoder_model_merged.ort"), "neither tokenizer.bin nor"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    tmp_path: Path, names: tuple[str, ...], words: str
) -> None:
    with pytest.raises(LoadError, match=words):
        files.find(folder(tmp_path, *names))


def packed(*tokens: bytes) -> bytes:
    sizes = (
        bytes([len(one)]) if len(one) < 128 else bytes([len(one) % 128 + 128, len(one) // 128])
        for one in tokens
    )
    return b"".join(size + token for size, token in zip(sizes, tokens, strict=True))


def test_the_bytes_of_a_character_may_be_in_two_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.bin"
    words = "\u2581caf".encode()
    file.write_bytes(packed(b"<unk>", b"<s>", b"</s>", words, b"\xc3", b"\xa9", b"x" * 300))
    texts = Texts(file)
    assert len(texts) == 7
    assert texts.join([1, 3, 4, 5, 2]) == " caf\u00e9"
    assert texts.join([6]) == " " + "x" * 300
    assert texts.join([1, 2]) == ""


def test_a_file_that_breaks_off_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.bin"
    file.write_bytes(packed(b"<unk>", b"<s>", b"</s>")[:-1])
    with pytest.raises(LoadError, match="damaged"):
        Texts(file)
