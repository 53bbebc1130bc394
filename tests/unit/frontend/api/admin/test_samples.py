"""What an operator is told of the last hours."""

from __future__ import annotations

import pytest

from frontend.api.admin import answers
from frontend.api.admin.samples import told
from frontend.history.samples import ModelSample, Sample
from tests.unit.frontend.api.admin.desk import Desk


def test_a_sample_is_told_as_it_is_described() -> None:
    models = {"org/chat": ModelSample(written=5)}
    sample = Sample(time_s=1.0, cpu_percent=2.0, memory_used_mb=3, memory_total_mb=4, models=models)
    assert told(sample)["models"]["org/chat"]["written"] == 5
    answers.Samples.model_validate({"samples": [told(sample)]})


def test_where_nothing_is_kept_that_is_said() -> None:
    answer = Desk().get("/admin/samples")
    assert answer.status_code == 503
    assert "HISTORY_MB=0" in answer.json()["error"]["message"]


@pytest.mark.parametrize("query", ["since=x", "limit=0", "until=-1"])
def test_a_question_that_makes_no_sense_is_refused(query: str) -> None:
    answer = Desk().get(f"/admin/samples?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])
