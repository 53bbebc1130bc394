"""What chats on llama.cpp promise beyond the contract."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgspec.structs import replace

from ipc.grammar.rules import Characters, Concatenation, Reference, Repetition, Rules, Terminal
from ipc.messages.errors import ContextTooLong, InvalidRequest, UnsupportedParameter
from ipc.messages.events import ChatResult
from ipc.messages.jobs import ChatInput, Gbnf, Job
from ipc.messages.spec import Spec
from tests.contract.driver import Driver, chat, embed
from tests.contract.subjects import SMOLLM2, real_model
from worker.chat import requests
from worker.chat.parser import PlainText
from worker.engine import LoadError
from worker.engines import make
from worker.engines.llama_cpp.cores import one_a_core
from worker.engines.llama_cpp.engine import LlamaChat

STORY = "Tell me a long story about a boat on the open sea, its captain and his cat."
CONTEXT_TOKENS = 200


def loaded(path: Path, **changed: Any) -> LlamaChat:
    values: dict[str, Any] = {
        "name": "smollm2",
        "task": "chat",
        "engine": "llama.cpp",
        "path": str(path),
        "threads": 1,
        "slots": 3,
        "max_prompt_tokens": CONTEXT_TOKENS - 50,
        "max_new_tokens": 50,
        # So that lone requests repeat exactly.
        "options": {"prefix_caching": False},
    }
    engine = LlamaChat()
    engine.load(Spec(**values | changed), lambda _: None)
    return engine


def refusal(path: Path, **changed: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        loaded(path, **changed)
    return caught.value


@pytest.fixture(scope="module")
def gguf() -> Path:
    return real_model(SMOLLM2, "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def engine(gguf: Path) -> Iterator[LlamaChat]:
    engine = loaded(gguf)
    yield engine
    engine.close()


@pytest.fixture
def driver(engine: LlamaChat) -> Iterator[Driver]:
    driver = Driver(engine)
    yield driver
    driver.clear()


def answer(driver: Driver, one: Job) -> str:
    driver.run(one)
    return driver.text(one)


def result(driver: Driver, one: Job) -> ChatResult:
    found = driver.result(one)
    assert isinstance(found, ChatResult)
    return found


def test_it_listens_nowhere_and_says_nothing(gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = loaded(gguf)
    driver = Driver(engine)
    driver.run(chat(STORY, max_tokens=3))
    process = psutil.Process()
    assert not [one for one in process.net_connections("inet") if one.status == "LISTEN"]
    named = [str(one.laddr) for one in process.net_connections("unix") if one.laddr]
    assert not [name for name in named if Path(name).exists()]
    engine.close()
    assert capfd.readouterr() == ("", "")


def test_a_stop_text_ends_the_answer_and_is_not_shown(driver: Driver) -> None:
    whole = answer(driver, chat(STORY))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    one = chat(STORY, stop=["never written", stop, ""])
    assert answer(driver, one) == whole[: whole.index(stop)]
    assert result(driver, one).finish == "stop"


def test_a_seed_repeats_an_answer(driver: Driver) -> None:
    def drawn(seed: int) -> str:
        return answer(driver, chat(STORY, max_tokens=8, temperature=1.5, seed=seed))

    assert drawn(-1) == drawn(-1)
    assert len({drawn(seed) for seed in (0, 1, 2**32 - 1, 2**63)}) > 1


def test_penalties_change_an_answer(driver: Driver) -> None:
    plain = answer(driver, chat(STORY))
    for one in (chat(STORY, presence_penalty=2.0), chat(STORY, frequency_penalty=2.0)):
        assert answer(driver, one) != plain


def test_the_context_bounds_prompt_and_answer_together(driver: Driver) -> None:
    one = chat("Count on: " + "1 2 3 " * 18, max_tokens=2000, stop=[])
    driver.run(one)
    usage = result(driver, one).usage
    assert usage.prompt_tokens + usage.completion_tokens <= CONTEXT_TOKENS


def test_a_prompt_that_fits_the_context_but_not_the_limit_is_refused(driver: Driver) -> None:
    error = driver.refused(chat("one two " * 70))
    assert isinstance(error, ContextTooLong)
    assert "maximum context length is 150 tokens" in error.message


def test_what_is_no_chat_is_the_clients_mistake(driver: Driver) -> None:
    assert isinstance(driver.refused(embed("a text")), InvalidRequest)


def test_long_answers_wait_for_room_in_the_cache(gguf: Path) -> None:
    options = {"kv_cache_tokens": CONTEXT_TOKENS, "prefix_caching": True}
    engine = loaded(gguf, options=options)
    driver = Driver(engine)
    jobs = [chat(f"{STORY} {name}", max_tokens=40) for name in ("Anna", "Boris", "Carla")]
    waiting = list(jobs)
    while waiting or not all(map(driver.ended, jobs)):
        while waiting and engine.admit(waiting[0]):
            waiting.pop(0)
        driver.turn()
    assert all(result(driver, one).usage.completion_tokens <= 40 for one in jobs)
    engine.close()


def test_a_job_dropped_while_its_prompt_is_read_frees_its_place(driver: Driver) -> None:
    long = chat("one two " * 40, max_tokens=40)
    driver.admit(long)
    driver.engine.drop(long.id)
    driver.run(chat(STORY, max_tokens=2))
    driver.settle()
    assert not driver.of(long)


def test_a_library_that_falls_silent_is_broken(gguf: Path) -> None:
    engine = loaded(gguf, stall_s=0.0)
    assert engine.admit(chat(STORY))
    with pytest.raises(RuntimeError, match=r"llama\.cpp has said nothing for"):
        Driver(engine).until(lambda: False)


def test_a_file_cut_short_is_named(gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf.read_bytes()[:40_000_000])
    error = refusal(file)
    assert str(file) in error.reason
    assert "not within the file bounds" in error.reason
    assert error.permanent


def test_an_unknown_architecture_is_named(gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    key = b"general.architecture" + struct.pack("<IQ", 8, 5)
    file.write_bytes(gguf.read_bytes().replace(key + b"llama", key + b"lhama", 1))
    assert "unknown model architecture: 'lhama'" in refusal(file).reason


@pytest.mark.parametrize("content", [b"", b"GGUF", b"a pickle"])
def test_what_is_no_gguf_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    assert f"{file} cannot be loaded by llama.cpp" in refusal(file).reason


def test_options_and_devices_that_it_does_not_know_are_named(gguf: Path, tmp_path: Path) -> None:
    error = refusal(gguf, options={"precision": 1})
    assert (
        "options.precision: unknown; the options are dialect, kv_cache_tokens, "
        "kv_cache_type, mmproj" in error.reason
    )
    assert "runs on cpu, not on cuda" in refusal(gguf, device="cuda").reason
    assert "does not exist; pull the model" in refusal(tmp_path / "gone.gguf").reason


def test_it_serves_chats_only(gguf: Path) -> None:
    spec = Spec(name="a", task="embed", engine="llama.cpp", path=str(gguf))
    with pytest.raises(LoadError, match=r"'llama\.cpp' does not serve embed models"):
        make(spec)


def test_a_prompt_has_the_tokens_that_llama_cpp_reads(driver: Driver, engine: LlamaChat) -> None:
    one = chat(("system", "Be kind."), "Grüße <|im_end|> 👩🏽\u200d🚀", max_tokens=1)
    driver.run(one)
    asked = one.input
    assert isinstance(asked, ChatInput)
    laid_out = engine.prompts.lay_out(asked.messages)
    assert result(driver, one).usage.prompt_tokens == len(laid_out.tokens)
    text = engine.prompts.vocabulary.text(laid_out.tokens)
    assert "Grüße <|im_end|> 👩🏽\u200d🚀" in text


def test_a_prompt_is_counted_before_it_takes_a_place(driver: Driver) -> None:
    running = [chat(STORY, max_tokens=40) for _ in range(2)]
    driver.admit(*running)
    error = driver.refused(chat("one two " * 5000))
    assert isinstance(error, ContextTooLong)
    driver.finish(*running)


@pytest.mark.parametrize("logprobs", [0, 3])
def test_log_probabilities_have_the_bytes_of_the_text(driver: Driver, logprobs: int) -> None:
    one = chat("Say 🎉.", max_tokens=12, logprobs=logprobs)
    driver.run(one)
    told = [each for delta in driver.deltas(one) for each in delta.logprobs or []]
    assert b"".join(each.data for each in told).decode() == driver.text(one)
    for each in told:
        assert each.logprob <= 0
        assert len(each.top) == logprobs
    if logprobs:
        assert all(each.top[0].id == each.id for each in told)  # greedy


def test_a_bias_makes_a_token_likely_or_leaves_it_out(driver: Driver, engine: LlamaChat) -> None:
    ((token,),) = engine.prompts.vocabulary.encode(["cat"])
    assert answer(driver, chat(STORY, max_tokens=3, logit_bias={token: 100.0})) == "catcatcat"
    first = answer(driver, chat(STORY, max_tokens=1))
    (token,) = engine.prompts.vocabulary.encode([first])[0]
    assert answer(driver, chat(STORY, max_tokens=1, logit_bias={token: -100.0})) != first


def test_only_whole_characters_can_end_an_answer(driver: Driver, engine: LlamaChat) -> None:
    vocabulary = engine.prompts.vocabulary
    part = next(at for at in range(len(vocabulary)) if vocabulary.text_bytes(at) == b"\xf0\x9f")
    error = driver.refused(chat(STORY, stop_token_ids=[part]))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "stop_token_ids"


def test_several_answers_are_drawn_each_by_a_seed_of_its_own(driver: Driver) -> None:
    one = chat(STORY, max_tokens=8, temperature=1.5, seed=1, n=3)
    driver.run(one)
    texts = {
        at: "".join(delta.text for delta in driver.deltas(one) if delta.choice == at)
        for at in range(3)
    }
    assert len(set(texts.values())) == 3
    assert len(result(driver, one).others) == 2


def tied_threads() -> set[int]:
    """The CPUs that threads of this process are tied to."""
    tied: set[int] = set()
    for thread in psutil.Process().threads():
        with suppress(ProcessLookupError):  # it has ended since
            cpus = os.sched_getaffinity(thread.id)
            tied |= cpus if len(cpus) == 1 else set()
    return tied


def test_each_thread_has_a_core_of_its_own(gguf: Path) -> None:
    cores = one_a_core(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("there is one core")
    engine = loaded(gguf, threads=len(cores))
    driver = Driver(engine)
    assert answer(driver, chat(STORY, max_tokens=2))
    tied = tied_threads()
    engine.close()
    assert set(cores) <= tied


def test_keys_and_values_may_be_kept_in_eight_bits(driver: Driver, gguf: Path) -> None:
    plain = answer(driver, chat(STORY, max_tokens=8, temperature=0.0))
    engine = loaded(gguf, options={"prefix_caching": True, "kv_cache_type": "q8_0"})
    small = Driver(engine)
    for _ in ("read", "from the cache"):
        assert answer(small, chat(STORY, max_tokens=8, temperature=0.0)) == plain
    engine.close()


def test_what_was_read_before_is_not_read_again(gguf: Path) -> None:
    engine = loaded(gguf, options={"prefix_caching": True})
    driver = Driver(engine)
    first, again = chat(STORY, max_tokens=2), chat(STORY, max_tokens=2)
    driver.run(first)
    driver.run(again)
    used = [result(driver, one).usage for one in (first, again)]
    assert used[0].cached_tokens == 0
    assert used[1].cached_tokens == used[1].prompt_tokens - 1
    engine.close()


def gbnf(text: str, content: str = "Write.", **sampling: Any) -> Job:
    one = chat(content, **sampling)
    assert isinstance(one.input, ChatInput)
    return replace(one, input=replace(one.input, form=Gbnf(text=text)))


def test_a_grammar_binds_the_answer(driver: Driver) -> None:
    one = gbnf('root ::= ("ab" | "é🎉") [0-9]{3}', temperature=1.0, seed=4)
    text = answer(driver, one)
    assert re.fullmatch("(ab|é🎉)[0-9]{3}", text)
    assert result(driver, one).finish == "stop"


def test_a_grammar_that_the_library_does_not_read_ends_its_answer_alone(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = chat(STORY, max_tokens=16)
    driver.admit(neighbour)
    driver.until(lambda: bool(driver.deltas(neighbour)))
    loop = Rules((("root", Concatenation((Reference("root"), Terminal("a")))),))
    monkeypatch.setattr(requests, "grammar_of", lambda *_: loop)
    error = driver.refused(chat(STORY))
    assert isinstance(error, InvalidRequest)
    assert error.param == "response_format"
    driver.finish(neighbour)
    assert result(driver, neighbour).usage.completion_tokens == 16


def test_rules_are_written_for_it(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    word = Repetition(Characters(((ord("a"), ord("c")),)), 2, 4)
    rules = Rules((("root", Concatenation((Terminal('"\\\n'), word, Terminal("🎉")))),))
    monkeypatch.setattr(requests, "grammar_of", lambda *_: rules)
    assert re.fullmatch('"\\\\\n[a-c]{2,4}🎉', answer(driver, chat(STORY)))


def test_control_tokens_that_a_parser_reads_are_in_the_text(
    driver: Driver, engine: LlamaChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control token matches its text in a grammar, and is silent but where it is read."""
    control = engine.prompts.vocabulary.control["<|im_start|>"].id
    asked = gbnf('root ::= "a<|im_start|>b"', logit_bias={control: 60.0})
    assert answer(driver, asked) == "ab"

    class Marked(PlainText):
        preserved = frozenset({"<|im_start|>"})

    monkeypatch.setattr(requests, "parser_of", lambda *_: Marked())
    again = gbnf('root ::= "a<|im_start|>b"', logit_bias={control: 60.0})
    assert answer(driver, again) == "a<|im_start|>b"
    assert result(driver, again).usage.completion_tokens == 4
