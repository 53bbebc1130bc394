"""What a sentence-embedding checkpoint says, and what becomes of texts and vectors around it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ipc.engine_options import EmbedOptions
from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, InternalError, InvalidRequest, ServeError
from ipc.messages.jobs import EmbedInput, Job, SpeechInput, Truncation
from ipc.messages.spec import Spec
from worker.engine import LoadError, options_of
from worker.engines.encoders.embed import TextEmbedding
from worker.engines.encoders.encoder import Place
from worker.engines.encoders.sentence import Dense, Normalize, read_checkpoint

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "a", "b", "c", "query:"]
MODULES = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content))


def write_modules(folder: Path, *modules: tuple[str, str]) -> None:
    listed = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(modules)
    ]
    write(folder, "modules.json", listed)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A Hugging Face checkpoint that knows nothing of sentences."""
    write(tmp_path, "config.json", {"model_type": "bert", "hidden_size": 4, "pad_token_id": 0})
    save_file({"weight": np.zeros(2, np.float32)}, tmp_path / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel({w: at for at, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.fixture
def sentence(plain: Path) -> Path:
    """The layout of all-MiniLM-L6-v2."""
    write_modules(plain, *MODULES)
    write(plain, "1_Pooling/config.json", {"pooling_mode_mean_tokens": True})
    write(plain, "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": False})
    return plain


# --- Reading -------------------------------------------------------------------------------------


def test_a_plain_checkpoint_is_averaged_and_normalised(plain: Path) -> None:
    found = read_checkpoint(str(plain))
    assert (found.pooling, found.layers, found.dimensions) == (("mean",), (Normalize(),), 4)


def test_a_sentence_checkpoint_is_read_in_full(sentence: Path) -> None:
    found = read_checkpoint(str(sentence))
    assert (found.pooling, found.layers, found.max_tokens) == (("mean",), (Normalize(),), 6)


def test_a_checkpoint_that_does_not_normalise_is_left_alone(sentence: Path) -> None:
    write_modules(sentence, *MODULES[:2])
    assert read_checkpoint(str(sentence)).layers == ()


def test_module_names_of_any_release_are_known(sentence: Path) -> None:
    names = ["base.modules.transformer.Transformer", "sentence_transformer.modules.pooling.Pooling"]
    listed = [{"path": ["", "1_Pooling"][at], "type": name} for at, name in enumerate(names)]
    write(sentence, "modules.json", listed)
    assert read_checkpoint(str(sentence)).pooling == ("mean",)


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        ({"pooling_mode_cls_token": True}, ("cls",)),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, ("lasttoken",)),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ("max", "mean")),
        ({"pooling_mode": "weightedmean"}, ("weightedmean",)),
        ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
        ({"embedding_dimension": 4}, ("mean",)),
    ],
)
def test_pooling_is_read_in_its_old_and_its_new_form(
    sentence: Path, config: dict[str, Any], modes: tuple[str, ...]
) -> None:
    write(sentence, "1_Pooling/config.json", config)
    found = read_checkpoint(str(sentence))
    assert (found.pooling, found.dimensions) == (modes, 4 * len(modes))


def test_dense_layers_are_read_and_decide_the_dimensions(sentence: Path) -> None:
    write_modules(sentence, *MODULES[:2], ("2_Dense", "Dense"), ("3_Normalize", "Normalize"))
    activation = "torch.nn.modules.linear.Identity"
    config = {"in_features": 4, "out_features": 3, "bias": False, "activation_function": activation}
    write(sentence, "2_Dense/config.json", config)
    save_file(
        {"linear.weight": np.zeros((3, 4), np.float32)}, sentence / "2_Dense/model.safetensors"
    )
    found = read_checkpoint(str(sentence))
    assert found.dimensions == 3
    assert found.layers == (Dense(sentence / "2_Dense", 4, 3, False, "Identity"), Normalize())


@pytest.mark.parametrize(
    ("files", "longest"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        (
            {"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 128}},
            128,
        ),
        ({"sentence_bert_config.json": {"max_seq_length": 4096}}, 512),
        (
            {"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 1e30}},
            512,
        ),
    ],
    ids=["own", "tokenizer", "beyond the positions", "no limit"],
)
def test_the_longest_input_is_the_checkpoints_own_but_within_its_positions(
    sentence: Path, files: dict[str, Any], longest: int
) -> None:
    write(
        sentence,
        "config.json",
        {"model_type": "bert", "hidden_size": 4, "max_position_embeddings": 512},
    )
    for name, content in files.items():
        write(sentence, name, content)
    assert read_checkpoint(str(sentence)).max_tokens == longest


def test_roberta_cannot_use_the_positions_up_to_its_padding_token(plain: Path) -> None:
    config = {"hidden_size": 4, "max_position_embeddings": 514, "pad_token_id": 1}
    write(plain, "config.json", {"model_type": "xlm-roberta", **config})
    assert read_checkpoint(str(plain)).max_tokens == 512


def test_prompts_are_read_with_the_one_to_use(sentence: Path) -> None:
    prompts = {"query": "query: ", "document": ""}
    write(sentence, "config_sentence_transformers.json", {"prompts": prompts})
    assert read_checkpoint(str(sentence)).prompt == ""
    named = {"prompts": prompts, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    write(sentence, "config_sentence_transformers.json", named)
    found = read_checkpoint(str(sentence))
    assert (found.prompt, found.prompts, found.similarity) == (
        "query: ",
        prompts,
        "dot",
    )


# --- Refusing ------------------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(LoadError) as caught:
        read_checkpoint(str(folder))
    assert caught.value.permanent
    return caught.value.reason


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"]
)
def test_a_missing_file_is_named(sentence: Path, name: str) -> None:
    (sentence / name).unlink()
    assert str(sentence / name) in refusal(sentence)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "model.safetensors"])
def test_a_file_cut_short_is_named(sentence: Path, name: str) -> None:
    content = (sentence / name).read_bytes()
    (sentence / name).write_bytes(content[: len(content) - 3])
    assert str(sentence / name) in refusal(sentence)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refusal(tmp_path / "nowhere")


def test_a_missing_shard_is_named(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain / "model-1.safetensors")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    write(plain, "model.safetensors.index.json", {"weight_map": shards})
    assert str(plain / "model-2.safetensors") in refusal(plain)


def test_pickled_weights_are_refused(plain: Path) -> None:
    (plain / "model.safetensors").rename(plain / "pytorch_model.bin")
    assert "pickled" in refusal(plain)


@pytest.mark.parametrize("kind", ["LSTM", "WordWeights", "Asym"])
def test_a_module_that_is_not_served_is_named(sentence: Path, kind: str) -> None:
    write_modules(sentence, *MODULES[:2], ("2_Other", kind))
    assert kind in refusal(sentence)


def test_pooling_that_is_not_served_is_refused(sentence: Path) -> None:
    write(sentence, "1_Pooling/config.json", {"pooling_mode": "attention"})
    assert "attention" in refusal(sentence)
    write(sentence, "1_Pooling/config.json", {"pooling_mode": "mean", "include_prompt": False})
    assert "prompts" in refusal(sentence)


# --- Texts to tokens -----------------------------------------------------------------------------


def opened(folder: Path, **options: str | bool) -> TextEmbedding:
    found = TextEmbedding(Mock())
    spec = Spec(name="m", task="embed", engine="torch", path=str(folder), options=dict(options))
    found.open(spec, options_of(spec, EmbedOptions), read_checkpoint(str(folder)))
    return found


def embed(*texts: str, dimensions: int | None = None, **truncation: Any) -> Job:
    request = EmbedInput(
        texts=list(texts), dimensions=dimensions, truncation=Truncation(**truncation)
    )
    return Job(id="j", model="m", input=request, deadline_at=1e9)


def refused(model: TextEmbedding, job: Job) -> ServeError:
    with pytest.raises(ServeError) as caught:
        model.split(job)
    return caught.value


def test_texts_become_token_ids_with_the_special_ones(sentence: Path) -> None:
    assert opened(sentence).split(embed("a b", "c")) == [[1, 4, 5, 2], [1, 6, 2]]


def test_an_empty_text_still_has_a_token(sentence: Path) -> None:
    assert opened(sentence).split(embed("")) == [[1, 2]]
    tokenizer = json.loads((sentence / "tokenizer.json").read_bytes())
    write(sentence, "tokenizer.json", tokenizer | {"post_processor": None})
    assert opened(sentence).split(embed("")) == [[0]]


TEXT, CUT = "a b c a b", [1, 4, 5, 6, 4, 2]


def test_a_text_that_is_too_long_is_refused_with_its_place_and_the_way_out(sentence: Path) -> None:
    error = refused(opened(sentence, truncate=False), embed("a", TEXT))
    assert isinstance(error, ContextTooLong)
    assert error.param == "input"
    assert error.message == (
        "This model's maximum context length is 6 tokens. However, input 1 has 7 tokens. Please "
        "shorten or split it, or send `truncate: true` to have it cut."
    )


def test_a_text_beyond_all_measure_is_refused_unread(sentence: Path) -> None:
    error = refused(opened(sentence, truncate=False), embed("a" * 1000))
    assert isinstance(error, ContextTooLong)
    assert "input 0 has 1000 characters" in error.message


@pytest.mark.parametrize("options", [{}, {"truncate": True}])
def test_a_model_of_few_tokens_cuts_unless_it_is_told_not_to(
    sentence: Path, options: dict[str, bool]
) -> None:
    model = opened(sentence, **options)
    assert model.split(embed(TEXT, "a " * 5000)) == [CUT, [1, 4, 4, 4, 4, 2]]
    assert "longer texts cut" in model.loaded(Place("cpu", "f32")).detail


def test_a_model_of_many_tokens_refuses_unless_it_is_told_not_to(sentence: Path) -> None:
    write(sentence, "sentence_bert_config.json", {"max_seq_length": 512})
    text = "a " * 600
    assert isinstance(refused(opened(sentence), embed(text)), ContextTooLong)
    assert "longer texts refused" in opened(sentence).loaded(Place("cpu", "f32")).detail
    (cut,) = opened(sentence, truncate=True).split(embed(text))
    assert len(cut) == 512


def test_the_request_decides_whatever_the_entry_says(sentence: Path) -> None:
    assert opened(sentence, truncate=False).split(embed(TEXT, cut=True)) == [CUT]
    error = refused(opened(sentence, truncate=True), embed(TEXT, cut=False))
    assert isinstance(error, ContextTooLong)


def test_a_request_may_ask_for_so_many_tokens(sentence: Path) -> None:
    model = opened(sentence)
    assert model.split(embed(TEXT, cut=True, tokens=4)) == [[1, 4, 5, 2]]
    assert model.split(embed(TEXT, cut=True, tokens=6)) == [CUT]
    assert model.split(embed(TEXT)) == [CUT], "the next request has asked for nothing"
    asked = embed(TEXT, cut=True, tokens=4)
    vectors = [np.ones(4, np.float32)]
    assert model.join(asked, model.split(asked), vectors).usage.prompt_tokens == 4


def test_what_goes_may_be_the_beginning(sentence: Path) -> None:
    model = opened(sentence)
    assert model.split(embed(TEXT, cut=True, side="left")) == [[1, 5, 6, 4, 5, 2]]
    assert model.split(embed("a " * 5000 + "b", cut=True, side="left")) == [[1, 4, 4, 4, 5, 2]]


@pytest.mark.parametrize(("tokens", "said"), [(7, "at most 6 tokens"), (2, "at least 3")])
def test_more_tokens_than_there_are_and_none_at_all_are_refused(
    sentence: Path, tokens: int, said: str
) -> None:
    error = refused(opened(sentence), embed("a", cut=True, tokens=tokens))
    assert (error.status, error.param) == (400, "truncate_prompt_tokens")
    assert said in error.message


def test_the_spec_may_lower_the_limit(sentence: Path) -> None:
    model = TextEmbedding(Mock())
    spec = Spec(name="m", task="embed", engine="torch", path="", max_prompt_tokens=3)
    model.open(spec, EmbedOptions(), read_checkpoint(str(sentence)))
    assert isinstance(refused(model, embed("a b", cut=False)), ContextTooLong)


def test_a_prompt_with_a_control_token_is_not_served(sentence: Path) -> None:
    """It is read together with a client's text, which never holds one."""
    prompts = {"prompts": {"query": "[SEP] "}}
    write(sentence, "config_sentence_transformers.json", prompts)
    with pytest.raises(LoadError, match=r"the control token \[SEP\]"):
        opened(sentence, prompt_name="query")


def with_prompts(folder: Path, **prompts: str) -> Path:
    write(folder, "config_sentence_transformers.json", {"prompts": prompts})
    return folder


@pytest.mark.parametrize(
    ("prompts", "asked", "tokens"),
    [
        ({"query": "query: "}, {"purpose": "query"}, [1, 7, 4, 2]),
        ({"s2p_query": "query: "}, {"purpose": "query"}, [1, 7, 4, 2]),
        ({"Query": "query: "}, {"purpose": "query"}, [1, 7, 4, 2]),
        ({"query": "query: "}, {"prompt_name": "query"}, [1, 7, 4, 2]),
        ({"query": "query: "}, {"purpose": "document"}, [1, 4, 2]),
        ({"query": "query: ", "passage": "b "}, {"purpose": "document"}, [1, 5, 4, 2]),
        ({"query": "", "document": ""}, {"purpose": "clustering"}, [1, 4, 2]),
        ({}, {"purpose": "query"}, [1, 4, 2]),
    ],
)
def test_a_request_says_what_its_texts_are_for(
    sentence: Path, prompts: dict[str, str], asked: dict[str, Any], tokens: list[int]
) -> None:
    model = opened(with_prompts(sentence, **prompts))
    job = Job(id="j", model="m", input=EmbedInput(texts=["a"], **asked), deadline_at=1e9)
    assert model.split(job) == [tokens]


@pytest.mark.parametrize(
    ("asked", "param"),
    [({"purpose": "clustering"}, "input_type"), ({"prompt_name": "sts"}, "prompt_name")],
)
def test_a_prompt_that_the_checkpoint_lacks_is_refused_with_those_it_has(
    sentence: Path, asked: dict[str, Any], param: str
) -> None:
    model = opened(with_prompts(sentence, query="query: ", passage="b "))
    job = Job(id="j", model="m", input=EmbedInput(texts=["a"], **asked), deadline_at=1e9)
    error = refused(model, job)
    assert (error.status, error.param) == (400, param)
    assert "it has query, passage" in error.message


def test_a_prompt_that_nobody_asks_for_may_have_a_control_token(sentence: Path) -> None:
    model = opened(with_prompts(sentence, odd="[SEP] ", query="query: "))
    error = refused(
        model,
        Job(id="j", model="m", input=EmbedInput(texts=["a"], prompt_name="odd"), deadline_at=1e9),
    )
    assert "it has query" in error.message


def of_tokens(*tokens: list[int], **truncation: Any) -> Job:
    asked = EmbedInput(tokens=[*tokens], truncation=Truncation(**truncation))
    return Job(id="j", model="m", input=asked, deadline_at=1e9)


def test_token_ids_are_refused_with_the_ways_out(sentence: Path) -> None:
    error = refused(opened(sentence), of_tokens([1, 2]))
    assert (error.status, error.param) == (400, "input")
    assert "check_embedding_ctx_length=False" in error.message
    assert "token_input: cl100k" in error.message


def test_the_models_own_ids_are_taken_as_they_are(sentence: Path) -> None:
    model = opened(sentence, token_input="native")
    assert model.split(of_tokens([1, 4, 2], [7])) == [[1, 4, 2], [7]]
    assert model.split(of_tokens([1, 4, 5, 6], tokens=2, cut=True)) == [[1, 4]]
    assert model.split(of_tokens([1, 4, 5, 6], tokens=2, cut=True, side="left")) == [[5, 6]]
    assert "has the token 8, unknown to this model's" in refused(model, of_tokens([8])).message
    assert isinstance(refused(model, of_tokens([4] * 7, cut=False)), ContextTooLong)


def test_the_ids_of_openais_vocabulary_are_read_as_their_text(sentence: Path) -> None:
    model = opened(sentence, token_input="cl100k")
    assert model.split(of_tokens([64, 293])) == model.split(embed("a b"))
    assert "has the token 100261, unknown" in refused(model, of_tokens([100261])).message


def test_a_text_never_comes_to_a_control_token(sentence: Path) -> None:
    assert opened(sentence).split(embed("a [SEP] [CLS]")) == [[1, 4, 3, 3, 2]]


def test_the_prompt_goes_before_each_text(sentence: Path) -> None:
    prompts = {"prompts": {"query": "query: "}}
    write(sentence, "config_sentence_transformers.json", prompts)
    assert opened(sentence).split(embed("a")) == [[1, 4, 2]]
    assert opened(sentence, prompt_name="query").split(embed("a")) == [[1, 7, 4, 2]]
    with pytest.raises(LoadError, match=r"'passage'.*query"):
        opened(sentence, prompt_name="passage")


def test_texts_are_lowered_where_the_checkpoint_says_so(sentence: Path) -> None:
    write(sentence, "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": True})
    assert opened(sentence).split(embed("A")) == [[1, 4, 2]]


def test_a_damaged_tokenizer_is_named(sentence: Path) -> None:
    (sentence / "tokenizer.json").write_text("{")
    with pytest.raises(LoadError, match=r"tokenizer\.json"):
        opened(sentence)


def test_other_jobs_are_refused(sentence: Path) -> None:
    job = Job(id="j", model="m", input=SpeechInput(audio=Blob(b"")), deadline_at=1e9)
    assert isinstance(refused(opened(sentence), job), InvalidRequest)
    assert isinstance(refused(opened(sentence), embed()), InvalidRequest)


def test_a_batch_is_padded_on_the_right_with_the_models_own_token(sentence: Path) -> None:
    write(sentence, "config.json", {"model_type": "bert", "hidden_size": 4, "pad_token_id": 3})
    ids, mask = opened(sentence).pad([[1, 2], [1, 4, 2]])
    assert ids.tolist() == [[1, 2, 3], [1, 4, 2]]
    assert mask.tolist() == [[1, 1, 0], [1, 1, 1]]


# --- Vectors to results --------------------------------------------------------------------------

ROWS = [np.array([0.6, 0.0, 0.8, 0.0], np.float32), np.array([0.0, 0.0, 0.0, 1.0], np.float32)]
ITEMS = [[1, 4, 2], [1, 2]]


def test_a_result_is_rows_of_little_endian_floats_and_a_count_of_tokens(sentence: Path) -> None:
    found = opened(sentence).join(embed("a", ""), ITEMS, ROWS)
    assert (found.count, found.dimensions, found.usage.prompt_tokens) == (2, 4, 5)
    assert (
        np.frombuffer(found.vectors.data, "<f4").reshape(2, 4).tolist() == np.stack(ROWS).tolist()
    )


def test_a_matryoshka_vector_is_cut_and_has_length_1_again(sentence: Path) -> None:
    found = opened(sentence, matryoshka=True).join(embed("a", "", dimensions=2), ITEMS, ROWS)
    assert found.dimensions == 2
    assert np.frombuffer(found.vectors.data, "<f4").reshape(2, 2).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(
    ("options", "allowed", "named"),
    [
        ({}, {4}, "4, as it cannot be cut short"),
        ({"matryoshka": True}, {1, 2, 3, 4}, "1 to 4"),
        ({"matryoshka": "2,3"}, {2, 3, 4}, "2, 3, 4"),
    ],
)
def test_only_the_models_own_dimensions_can_be_asked_for(
    sentence: Path, options: dict[str, str | bool], allowed: set[int], named: str
) -> None:
    model = opened(sentence, **options)
    for dimensions in (0, 1, 2, 3, 4, 5, 10**9):
        if dimensions in allowed:
            assert model.split(embed("a", dimensions=dimensions))
            continue
        error = refused(model, embed("a", dimensions=dimensions))
        assert isinstance(error, InvalidRequest)
        assert error.param == "dimensions"
        assert named in error.message


@pytest.mark.parametrize("option", ["5", "0", "two"])
def test_impossible_matryoshka_sizes_are_refused(sentence: Path, option: str) -> None:
    with pytest.raises(LoadError, match="matryoshka"):
        opened(sentence, matryoshka=option)


def test_a_vector_that_is_not_finite_never_goes_out(sentence: Path) -> None:
    with pytest.raises(InternalError):
        opened(sentence).join(embed("a"), ITEMS[:1], [np.full(4, np.nan, np.float32)])
