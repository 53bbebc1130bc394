"""What every chat engine promises."""

from __future__ import annotations

import msgspec
import pytest

from ipc.messages.errors import ContextTooLong, UnsupportedParameter
from ipc.messages.events import ChatResult, Delta, Done
from ipc.messages.jobs import ChatInput, Job, Message, Sampling, ToolCall
from tests.contract.driver import Driver, chat, job
from tests.contract.subjects import CHAT_MODELS, SLOTS, Bench
from worker.chat.engine import TokenChat

MODELS = CHAT_MODELS

# Long, since echo needs words to repeat.
STORY = """Please write a long story about a small boat on the open sea. On board are an old captain
who has lost his compass, his clever daughter who reads the stars, and a cat that is afraid of
water. One night a storm comes up from the west, and the three of them have to find their way home
before the morning. Tell it slowly, and describe the waves and the sky."""
QUESTION = "What is the capital of France, and which river does it lie on?"
UNICODE = "Grüße 👩‍🚀🇫🇷 – 世界 \u202eabc\u202c q\u0308 ок?"  # noqa: RUF001


def result(driver: Driver, one: Job) -> ChatResult:
    found = driver.result(one)
    assert isinstance(found, ChatResult)
    return found


def answer(driver: Driver, one: Job) -> str:
    """The text of ``one``; raises its error if it failed."""
    driver.run(one)
    result(driver, one)
    return driver.text(one)


def test_loading_tells_the_stages_and_the_device(bench: Bench) -> None:
    assert bench.stages
    assert bench.loaded.device.lower().startswith((bench.spec.device, "remote"))
    assert bench.loaded.context_tokens or bench.spec.engine == "command"


def test_a_job_gets_deltas_and_then_exactly_one_terminal(driver: Driver) -> None:
    one = chat(QUESTION)
    driver.run(one)
    *deltas, last = driver.of(one)
    assert deltas
    assert all(isinstance(event, Delta) for event in deltas)
    assert isinstance(last, Done)


def test_no_delta_is_empty_and_each_says_how_many_tokens_it_took(driver: Driver) -> None:
    one = chat(STORY, max_tokens=20)
    driver.run(one)
    assert all(delta.text and delta.tokens > 0 for delta in driver.deltas(one))
    sent = sum(delta.tokens for delta in driver.deltas(one))
    assert sent == result(driver, one).usage.completion_tokens


def test_greedy_answers_are_the_same_each_time(driver: Driver) -> None:
    assert answer(driver, chat(QUESTION)) == answer(driver, chat(QUESTION))


@pytest.mark.parametrize("max_tokens", [1, 7])
def test_max_tokens_ends_an_answer_with_length(driver: Driver, max_tokens: int) -> None:
    one = chat(STORY, max_tokens=max_tokens)
    driver.run(one)
    assert result(driver, one).finish == "length"
    assert result(driver, one).usage.completion_tokens == max_tokens


def test_usage_counts_the_prompt(driver: Driver) -> None:
    short, long = chat(QUESTION), chat(STORY)
    driver.run(short, long)
    used = [result(driver, one).usage.prompt_tokens for one in (short, long)]
    assert 0 < used[0] < used[1]


def test_answers_interleave(driver: Driver) -> None:
    long, late = chat(STORY, max_tokens=48), chat(STORY, max_tokens=4)
    driver.admit(long)
    driver.until(lambda: bool(driver.deltas(long)))
    driver.admit(late)
    driver.finish(long, late)
    order = [event.job for event in driver.events]
    assert order.index(late.id) < len(order) - 1 - order[::-1].index(long.id)
    assert driver.events.index(driver.terminals(late)[0]) < driver.events.index(
        driver.terminals(long)[0]
    )


@pytest.mark.exact
def test_answers_in_company_are_those_given_alone(driver: Driver) -> None:
    prompts = [QUESTION, STORY, "Say hello to Anna.", "Name three fruits: apple"]
    alone = [answer(driver, chat(prompt, max_tokens=12)) for prompt in prompts]
    together = [chat(prompt, max_tokens=12) for prompt in prompts]
    driver.run(*together)
    assert [driver.text(one) for one in together] == alone


def test_there_is_room_for_so_many_jobs_and_no_more(driver: Driver) -> None:
    jobs = [chat(STORY) for _ in range(SLOTS)]
    driver.admit(*jobs)
    extra = chat(STORY)
    assert not driver.engine.admit(extra)
    driver.finish(*jobs)
    driver.run(extra)
    assert driver.ended(extra)


def test_a_dropped_job_gets_nothing_more_and_frees_its_place(driver: Driver) -> None:
    jobs = [chat(STORY, max_tokens=40) for _ in range(SLOTS)]
    driver.admit(*jobs)
    gone, *others = jobs
    driver.until(lambda: bool(driver.deltas(gone)))
    seen = len(driver.of(gone))
    driver.engine.drop(gone.id)
    driver.run(chat(QUESTION))
    driver.finish(*others)
    assert len(driver.of(gone)) == seen
    assert not driver.ended(gone)


def test_a_job_can_be_dropped_before_its_first_step(driver: Driver) -> None:
    one = chat(STORY)
    driver.admit(one)
    driver.engine.drop(one.id)
    driver.settle()
    assert driver.events == []


def test_dropping_an_unknown_job_is_fine(driver: Driver) -> None:
    driver.engine.drop("never-heard-of")


def test_an_idle_engine_has_nothing_to_wait_for(driver: Driver) -> None:
    assert driver.engine.wait_s() is None
    driver.run(chat(QUESTION, max_tokens=2))
    assert driver.engine.wait_s() is None


def test_any_text_can_be_sent(driver: Driver) -> None:
    one = chat(("system", "Антон"), UNICODE, ("assistant", "👍"), UNICODE, max_tokens=6)
    driver.run(one)
    assert result(driver, one).usage.prompt_tokens > 0


def test_a_history_of_calls_is_read(driver: Driver) -> None:
    call = ToolCall(id="c1", name="weather", arguments='{"city": "Rome"}')
    turns = [
        Message("user", QUESTION),
        Message("assistant", "", tool_calls=[call]),
        Message("tool", "18 degrees and sunny", tool_call_id="c1", name="weather"),
        Message("user", QUESTION),
    ]

    def asked(messages: list[Message]) -> Job:
        sampling = Sampling(max_tokens=4, temperature=0.0)
        return job(ChatInput(messages=messages, sampling=sampling))

    whole, plain = asked(turns), asked([turns[0], turns[3]])
    driver.run(whole, plain)
    counts = [result(driver, one).usage.prompt_tokens for one in (whole, plain)]
    assert counts[0] >= counts[1] > 0


@pytest.mark.model
def test_a_nul_can_be_sent(driver: Driver) -> None:
    one = chat("a\x00b", max_tokens=2)
    driver.run(one)
    assert result(driver, one).usage.prompt_tokens > 0


def test_one_conversation_does_not_show_up_in_another(driver: Driver) -> None:
    secret, other = chat("Repeat: zanzibar-4711 zanzibar-4711"), chat("Repeat: apples and pears")
    driver.run(secret, other)
    assert "4711" not in driver.text(other)
    again = chat("Repeat: apples and pears")
    driver.run(again)
    assert "4711" not in driver.text(again)


@pytest.mark.exact
def test_company_does_not_change_an_answer(driver: Driver) -> None:
    one, other = chat("Repeat: zanzibar-4711 zanzibar-4711"), chat("Repeat: apples and pears")
    driver.run(one, other)
    alone = chat("Repeat: apples and pears")
    driver.run(alone)
    assert driver.text(alone) == driver.text(other)


@pytest.mark.exact
@pytest.mark.model
def test_a_stop_text_ends_the_answer_and_is_not_shown(driver: Driver) -> None:
    whole = answer(driver, chat(STORY, max_tokens=32))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    one = chat(STORY, max_tokens=32, stop=["never written", stop])
    driver.run(one)
    assert driver.text(one) == whole[: whole.index(stop)]
    assert result(driver, one).finish == "stop"


@pytest.mark.exact
@pytest.mark.model
def test_the_start_of_a_stop_text_that_does_not_come_is_shown(driver: Driver) -> None:
    whole = answer(driver, chat(STORY, max_tokens=16))
    assert answer(driver, chat(STORY, max_tokens=16, stop=[whole[-2:] + "\x00"])) == whole


@pytest.mark.exact
@pytest.mark.model
def test_a_seed_repeats_an_answer(driver: Driver) -> None:
    def drawn(seed: int) -> str:
        return answer(driver, chat(STORY, max_tokens=16, temperature=1.0, seed=seed))

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(4)}) > 1


@pytest.mark.model
def test_without_a_seed_answers_differ(driver: Driver) -> None:
    jobs = [chat(STORY, max_tokens=16, temperature=1.0) for _ in range(SLOTS)]
    driver.run(*jobs)
    assert len({driver.text(one) for one in jobs}) > 1


@pytest.mark.model
def test_a_vanishing_nucleus_is_greedy(driver: Driver) -> None:
    greedy = answer(driver, chat(QUESTION, max_tokens=12))
    assert answer(driver, chat(QUESTION, max_tokens=12, temperature=1.0, top_p=1e-6)) == greedy


@pytest.mark.model
@pytest.mark.parametrize("only", [{"top_k": 1}, {"min_p": 0.999}], ids=str)
def test_samplers_that_leave_one_token_are_greedy(driver: Driver, only: dict[str, float]) -> None:
    greedy = answer(driver, chat(QUESTION, max_tokens=12))
    assert answer(driver, chat(QUESTION, max_tokens=12, temperature=1.0, seed=1, **only)) == greedy


@pytest.mark.model
def test_a_repetition_penalty_makes_what_was_said_less_likely(driver: Driver) -> None:
    def share(penalty: float) -> float:
        question = "Repeat: one two three one two three one two three"
        one = chat(question, max_tokens=32, ignore_eos=True, repetition_penalty=penalty)
        return distinct(answer(driver, one))

    assert share(1.3) > share(1.0)


def distinct(text: str) -> float:
    """The share of pairs of characters that come once only."""
    pairs = [text[at : at + 2] for at in range(len(text) - 1)]
    return len({*pairs}) / max(1, len(pairs))


@pytest.mark.model
def test_no_answer_is_shorter_than_asked_for(bench: Bench, driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=60, min_tokens=60)
    if "min_tokens" in bench.subject.refuses:
        assert refused_by_name(driver, one, "min_tokens")
        return
    driver.run(one)
    assert result(driver, one).finish == "length"
    assert result(driver, one).usage.completion_tokens == 60


@pytest.mark.model
def test_an_answer_can_go_on_past_the_models_end(driver: Driver) -> None:
    one = chat(QUESTION, max_tokens=60, ignore_eos=True)
    driver.run(one)
    assert result(driver, one).finish == "length"
    assert result(driver, one).usage.completion_tokens == 60


@pytest.mark.model
def test_tokens_that_end_an_answer_are_not_in_it(bench: Bench, driver: Driver) -> None:
    every = whole_tokens(bench)
    one = chat(QUESTION, max_tokens=12, stop_token_ids=every)
    if "stop_token_ids" in bench.subject.refuses:
        assert refused_by_name(driver, one, "stop_token_ids")
        return
    driver.run(one)
    assert (driver.text(one), result(driver, one).finish) == ("", "stop")


def whole_tokens(bench: Bench) -> list[int]:
    """Whatever may come first: neither control tokens nor parts of characters, which not every
    library tells."""
    if not isinstance(bench.engine, TokenChat):
        return [3]
    vocabulary = bench.engine.prompts.vocabulary
    pieces = ((at, vocabulary.text_bytes(at)) for at in range(len(vocabulary)))
    return [at for at, data in pieces if data and data.decode(errors="ignore").encode() == data]


def refused_by_name(driver: Driver, one: Job, param: str) -> bool:
    error = driver.refused(one)
    return isinstance(error, UnsupportedParameter) and error.param == param


@pytest.mark.model
def test_a_prompt_that_is_too_long_is_refused(driver: Driver) -> None:
    error = driver.refused(chat("word " * 5000))
    assert isinstance(error, ContextTooLong)
    assert "tokens" in error.message
    driver.run(chat(QUESTION, max_tokens=2))


# --- an answer that another worker has begun ---

WHOLE_TOKENS = 40


@pytest.fixture
def goes_on(bench: Bench) -> None:
    if not bench.loaded.goes_on:
        pytest.skip("its tokens have no names")


def ids(driver: Driver, one: Job) -> list[list[int]]:
    """The tokens of each piece; each names its own."""
    deltas = driver.deltas(one)
    assert all(len(delta.ids) == delta.tokens for delta in deltas)
    return [delta.ids for delta in deltas]


def rest(driver: Driver, one: Job, written: list[int]) -> str:
    """What the same request says behind ``written``."""
    again = msgspec.structs.replace(chat(), input=one.input, written={0: written})
    driver.run(again)
    result = driver.result(again)
    assert isinstance(result, ChatResult)
    assert result.usage.completion_tokens <= WHOLE_TOKENS
    return driver.text(again)


@pytest.mark.exact
@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize("text", [STORY, f"Repeat this: {UNICODE}"])
def test_an_answer_goes_on_behind_whatever_a_client_has(driver: Driver, text: str) -> None:
    """Greedily, by engines that round a prompt as they do an answer. Others may take the other one
    of two tokens that are about as likely."""
    whole = chat(text, max_tokens=WHOLE_TOKENS)
    driver.run(whole)
    pieces = ids(driver, whole)
    cuts = [1, 2, len(pieces) // 3, len(pieces) // 2, len(pieces) - 1]
    for cut in cuts:
        before = "".join(delta.text for delta in driver.deltas(whole)[:cut])
        written = [token for piece in pieces[:cut] for token in piece]
        assert before + rest(driver, whole, written) == driver.text(whole)


@pytest.mark.usefixtures("goes_on")
def test_its_usage_is_that_of_the_whole_answer(driver: Driver) -> None:
    whole = chat(STORY, max_tokens=WHOLE_TOKENS)
    driver.run(whole)
    found = driver.result(whole)
    written = [token for piece in ids(driver, whole)[:9] for token in piece]
    again = msgspec.structs.replace(chat(), input=whole.input, written={0: written})
    driver.run(again)
    told = driver.result(again)
    assert isinstance(found, ChatResult)
    assert isinstance(told, ChatResult)
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.finish) == (
        found.usage.prompt_tokens,
        found.usage.completion_tokens,
        found.finish,
    )


@pytest.mark.usefixtures("goes_on")
def test_a_stop_text_is_found_where_it_lies_over_the_joint(bench: Bench, driver: Driver) -> None:
    """Made of the end of what was written and the beginning of the rest."""
    if bench.spec.engine in ("echo", "remote"):
        pytest.skip("echo, which remote asks here, knows no stop texts")
    whole = chat(STORY, max_tokens=WHOLE_TOKENS)
    driver.run(whole)
    deltas, cut = driver.deltas(whole), 6
    before = "".join(delta.text for delta in deltas[:cut])
    stop = "".join(delta.text for delta in deltas[cut - 1 : cut + 1])
    if driver.text(whole).find(stop) != len(before) - len(deltas[cut - 1].text):
        pytest.skip("it stands in the answer before")
    bound = chat(STORY, max_tokens=WHOLE_TOKENS, stop=[stop])
    driver.run(bound)
    held = [token for piece in ids(driver, bound) for token in piece]
    assert rest(driver, bound, held[: cut - 1]) == ""
