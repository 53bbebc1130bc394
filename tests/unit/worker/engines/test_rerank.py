"""What a cross-encoder says about itself, and what becomes of pairs and logits around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ipc.engine_options import RerankOptions
from ipc.messages.errors import ContextTooLong, InternalError, InvalidRequest
from ipc.messages.jobs import EmbedInput, Input, Job, RerankInput, Truncation
from ipc.messages.spec import Spec
from worker.engine import LoadError, options_of
from worker.engines.encoders.cross import read_cross_encoder
from worker.engines.encoders.rerank import PairScoring, activated

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c"]
BERT = {
    "model_type": "bert",
    "architectures": ["BertForSequenceClassification"],
    "id2label": {"0": "LABEL_0"},
    "max_position_embeddings": 10,
    "type_vocab_size": 2,
    "pad_token_id": 0,
}


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


def configure(folder: Path, **changes: Any) -> None:
    write(folder, "config.json", {**BERT, **changes})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A reranker as older releases of sentence-transformers save it."""
    configure(tmp_path)
    save_file({"weight": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({w: at for at, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


# --- Reading -------------------------------------------------------------------------------------


def test_one_label_gets_a_sigmoid(model: Path) -> None:
    found = read_cross_encoder(str(model))
    assert (found.activation, found.max_tokens, found.segments) == ("Sigmoid", 10, True)


@pytest.mark.parametrize("key", ["sbert_ce_default_activation_function", "sentence_transformers"])
def test_another_activation_is_found_where_any_release_has_put_it(model: Path, key: str) -> None:
    name = "torch.nn.modules.linear.Identity"
    configure(model, **{key: {"activation_fn": name} if key == "sentence_transformers" else name})
    assert read_cross_encoder(str(model)).activation == "Identity"


def test_the_newest_place_wins(model: Path) -> None:
    configure(model, sbert_ce_default_activation_function="torch.nn.modules.linear.Identity")
    name = "torch.nn.modules.activation.Tanh"
    write(model, "config_sentence_transformers.json", {"activation_fn": name})
    assert read_cross_encoder(str(model)).activation == "Tanh"


def test_a_model_with_one_kind_of_token_gets_no_segments(model: Path) -> None:
    configure(model, type_vocab_size=1)
    assert not read_cross_encoder(str(model)).segments


def test_a_tokenizer_that_makes_no_segments_is_believed(model: Path) -> None:
    write(model, "tokenizer_config.json", {"model_input_names": ["input_ids", "attention_mask"]})
    assert not read_cross_encoder(str(model)).segments


REFUSED = [
    ({"id2label": {"0": "no", "1": "maybe", "2": "yes"}}, "a classifier of 3 labels"),
    ({"id2label": None}, "a classifier of 2 labels"),
    ({"architectures": ["BertModel"]}, "a BertModel, which gives no score"),
    ({"sbert_ce_default_activation_function": "os.system"}, "the activation os.system"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_what_gives_no_relevance_is_not_loaded(
    model: Path, changes: dict[str, Any], message: str
) -> None:
    configure(model, **changes)
    with pytest.raises(LoadError, match=message) as raised:
        read_cross_encoder(str(model))
    assert raised.value.permanent


def test_modules_after_the_transformer_are_not_served(model: Path) -> None:
    names = ["base.modules.transformer.Transformer", "cross_encoder.modules.logit_score.LogitScore"]
    write(model, "modules.json", [{"path": "", "type": name} for name in names])
    with pytest.raises(LoadError, match="LogitScore"):
        read_cross_encoder(str(model))


# --- Around the model ----------------------------------------------------------------------------


def scoring(model: Path, **options: Any) -> PairScoring:
    opened = PairScoring(Mock())
    spec = Spec(name="m", task="rerank", engine="fake", path=str(model), options=options)
    opened.open(spec, options_of(spec, RerankOptions), read_cross_encoder(str(model)))
    return opened


def job(asked: Input) -> Job:
    return Job(id="j", model="m", input=asked, deadline_at=1e9)


def pairs(query: str, *documents: str, **more: Any) -> Job:
    return job(RerankInput(query=query, documents=list(documents), **more))


def test_each_document_makes_a_pair_with_the_query(model: Path) -> None:
    first, second = scoring(model).split(pairs("a b", "c", ""))
    assert (first.ids, first.segments) == ([1, 4, 5, 2, 6, 2], [0, 0, 0, 0, 1, 1])
    assert (second.ids, second.segments) == ([1, 4, 5, 2, 2], [0, 0, 0, 0, 1])


def test_pairs_are_padded_on_the_right(model: Path) -> None:
    opened = scoring(model)
    ids, mask, segments = opened.pad(opened.split(pairs("a", "b c", "b")))
    assert ids.tolist() == [[1, 4, 2, 5, 6, 2], [1, 4, 2, 5, 2, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    assert segments.tolist() == [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0]]


def test_a_model_without_segments_is_given_none(model: Path) -> None:
    configure(model, type_vocab_size=0)
    opened = scoring(model)
    assert len(opened.pad(opened.split(pairs("a", "b")))) == 2


def test_pairs_of_other_tokens_or_segments_are_kept_apart(model: Path) -> None:
    opened = scoring(model)
    (one,), (other,) = opened.split(pairs("a b", "c")), opened.split(pairs("a", "b c"))
    (same,) = opened.split(pairs("a  b", "c"))
    assert opened.key(one) == opened.key(same) != opened.key(other)


def test_a_pair_that_is_too_long_is_named_with_the_way_out(model: Path) -> None:
    with pytest.raises(ContextTooLong) as raised:
        scoring(model, truncate=False).split(pairs("a b", "c", "a " * 6))
    assert raised.value.param == "documents[1]"
    assert raised.value.message == (
        "This model's maximum context length is 10 tokens. However, the query and document 1 have "
        "11 tokens together. Please shorten or split it, or send `truncate: true` to have it cut."
    )


@pytest.mark.parametrize(
    ("query", "document", "param"), [("a" * 641, "b", "query"), ("b", "a" * 641, "documents[0]")]
)
def test_a_text_that_can_only_be_too_long_is_not_even_cut_into_tokens(
    model: Path, query: str, document: str, param: str
) -> None:
    with pytest.raises(ContextTooLong, match="641 characters") as raised:
        scoring(model, truncate=False).split(pairs(query, document))
    assert raised.value.param == param


def test_with_truncate_the_longer_text_is_cut(model: Path) -> None:
    (pair,) = scoring(model, truncate=True).split(pairs("a b", "c " * 700))
    assert pair.ids == [1, 4, 5, 2, 6, 6, 6, 6, 6, 2]


def test_the_request_decides_whether_and_where_pairs_are_cut(model: Path) -> None:
    kept, cutting = scoring(model, truncate=False), scoring(model)
    long = "c " * 6 + "b"
    (pair,) = kept.split(pairs("a b", long, truncation=Truncation(cut=True, side="left")))
    assert pair.ids == [1, 4, 5, 2, 6, 6, 6, 6, 5, 2]
    (pair,) = kept.split(pairs("a b", long, truncation=Truncation(cut=True, tokens=8)))
    assert pair.ids == [1, 4, 5, 2, 6, 6, 6, 2]
    with pytest.raises(ContextTooLong):
        cutting.split(pairs("a b", long, truncation=Truncation(cut=False)))


def test_of_each_document_as_much_is_read_as_was_asked_for(model: Path) -> None:
    opened = scoring(model, truncate=False)
    found = opened.split(pairs("a b", "c b c b c b c", "c", "c " * 5000, document_tokens=2))
    assert [pair.ids for pair in found] == [
        [1, 4, 5, 2, 6, 5, 2],
        [1, 4, 5, 2, 6, 2],
        [1, 4, 5, 2, 6, 6, 2],
    ]


def test_neither_query_nor_document_comes_to_a_control_token(model: Path) -> None:
    (pair,) = scoring(model).split(pairs("a [SEP]", "[CLS] c"))
    assert pair.ids == [1, 4, 3, 2, 3, 6, 2]
    assert pair.segments == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("activation", "score"), [("Identity", -3.0), ("Sigmoid", 0.047426)])
def test_a_request_may_name_what_logits_go_through(
    model: Path, activation: Any, score: float
) -> None:
    configure(model, sentence_transformers={"activation_fn": "torch.nn.modules.activation.Tanh"})
    opened = scoring(model)
    asked = pairs("a", "b", activation=activation)
    result = opened.join(asked, opened.split(asked), [np.float32(-3.0)])
    np.testing.assert_allclose(np.frombuffer(result.scores.data, "<f4"), [score], rtol=1e-4)


@pytest.mark.parametrize("asked", [RerankInput(query="a", documents=[]), EmbedInput(texts=["a"])])
def test_there_must_be_something_to_rank(model: Path, asked: Input) -> None:
    with pytest.raises(InvalidRequest):
        scoring(model).split(job(asked))


def test_scores_and_tokens_are_put_together(model: Path) -> None:
    opened = scoring(model)
    asked = pairs("a", "b", "c c")
    items = opened.split(asked)
    result = opened.join(asked, items, [np.float32(0.0), np.float32(-3.0)])
    scores = np.frombuffer(result.scores.data, "<f4")
    np.testing.assert_allclose(scores, [0.5, 1 / (1 + np.exp(3.0))], rtol=1e-6)
    assert (result.count, result.usage.prompt_tokens) == (2, 5 + 6)


def test_a_score_that_is_no_number_is_our_defect(model: Path) -> None:
    opened = scoring(model)
    asked = pairs("a", "b")
    with pytest.raises(InternalError):
        opened.join(asked, opened.split(asked), [np.float32("nan")])


def test_activations_keep_the_order_of_logits_even_far_out() -> None:
    logits = np.array([-600.0, -40.0, -1.0, 0.0, 1.0, 600.0])
    for name in ("Sigmoid", "Identity"):
        scores = activated(logits, name)
        assert np.isfinite(scores).all()
        assert (np.diff(scores) > 0).all()
    np.testing.assert_allclose(activated(logits, "Tanh"), np.tanh(logits))
