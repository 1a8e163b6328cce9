"""What a teacher will cost is known before it is asked, and somebody must agree to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from es_reasonrank.errors import SettingsError
from es_reasonrank.validation import checked
from trainer.synthesis.cost import Call, Estimate, Prices, check_agreed, estimated, is_local
from trainer.synthesis.teachers import ModelTeacher


async def calls() -> AsyncIterator[Call]:
    yield Call(1_000, 200)
    yield Call(3_000, 200, guessed=True)


async def test_an_estimate_is_the_sum_of_its_calls() -> None:
    """4,000 prompt tokens at 2.50 and 400 answer tokens at 10 a million: 0.01 + 0.004."""
    estimate = await estimated(calls(), Prices(prompt=2.5, generated=10))
    assert estimate == Estimate(calls=2, prompt_tokens=4_000, answer_tokens=400, guessed=1, money=pytest.approx(0.014))
    assert str(estimate) == (
        "2 calls (1 of them guessed), 4,000 prompt tokens and at most 400 answer tokens, at most 0.01 in money"
    )
    assert (await estimated(calls(), None)).money is None


@pytest.mark.parametrize(
    ("engine", "local"),
    [
        ({"name": "transformers"}, True),
        ({"name": "replay"}, True),
        ({"name": "openai", "base_url": "http://127.0.0.1:8000/v1"}, True),
        ({"name": "openai", "base_url": ["http://localhost:1", "https://models.example.com"]}, False),
        ({"name": "openai", "base_url": "https://models.example.com/v1"}, False),
    ],
)
def test_which_engines_are_local(engine: dict[str, object], local: bool) -> None:
    assert is_local(engine) is local


ESTIMATE = Estimate(3, 30, 6, 0, money=5.0)


@pytest.mark.parametrize(
    ("local", "limit", "yes", "refused"),
    [
        (True, None, False, ""),
        (True, 6.0, False, ""),
        (True, 4.0, False, "more than the limit of 4.00"),
        (False, None, False, "by a server that is not on this machine"),
        (False, 6.0, False, "by a server that is not on this machine"),
        (False, 4.0, True, ""),
    ],
)
def test_who_must_agree(local: bool, limit: float | None, yes: bool, refused: str) -> None:
    def check() -> None:
        check_agreed(ESTIMATE, model="large", local=local, limit=limit, yes=yes)

    if not refused:
        check()
        return
    with pytest.raises(
        SettingsError, match=rf"teacher large: 3 calls.*{refused}; nothing was asked yet: agree with --yes"
    ):
        check()


def test_nothing_to_ask_needs_no_agreement() -> None:
    check_agreed(Estimate(0, 0, 0, 0, 0.0), model="large", local=False, limit=None, yes=False)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"limit": 3}, "a limit needs prices"),
        ({"profile": "encoder"}, "profile encoder has judge 'encoder'; a teacher orders whole lists"),
        ({"samples": 3}, "3 samples at temperature 0 are the same; set its temperature"),
    ],
)
def test_a_teacher_that_cannot_teach(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        checked(ModelTeacher, {"kind": "model", "profile": "rankgpt", **values}, where="teacher").profiled()


def test_a_key_of_the_settings_goes_to_a_server_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ES_REASONRANK_ENGINE_API_KEY", "secret")
    teacher = ModelTeacher(kind="model", profile="rankgpt")
    assert teacher.profiled().engine["api_key"].get_secret_value() == "secret"
    assert "api_key" not in ModelTeacher(kind="model", profile="embedded").profiled().engine
