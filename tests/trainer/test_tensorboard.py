"""What TensorBoard shows of a stage is what its metrics say, however often it was killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.test_sft import Killed, options, work_in
from trainer import sft
from trainer.events import Events
from trainer.stages import METRICS

Shown = dict[str, list[tuple[int, float]]]
"""Steps and values by name."""


def shown(folder: Path) -> Shown:
    """What TensorBoard reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {name: [(each.step, each.value) for each in found.Scalars(name)] for name in found.Tags()["scalars"]}


def told(folder: Path) -> Shown:
    """What the stage's metrics say."""
    found: Shown = {}
    for text in (folder / METRICS).read_text().splitlines():
        line = json.loads(text)
        for name in line.keys() - {"step", "time"}:
            found.setdefault(name, []).append((line["step"], line[name]))
    return found


def test_a_stage_that_goes_on_after_a_kill_shows_every_step_once(tmp_path: Path, small: str) -> None:
    def killer(done: int, total: int | None, metrics: Mapping[str, float]) -> None:
        if done == 3:
            raise Killed

    with pytest.raises(Killed):
        sft.run(work_in(tmp_path, base=small, progress=killer), options())
    assert [step for step, _ in shown(tmp_path)["loss"]] == [1, 2, 3]
    sft.run(work_in(tmp_path, base=small), options())
    found, wanted = shown(tmp_path), told(tmp_path)
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4]
    assert found.keys() == wanted.keys()
    for name, points in wanted.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points]
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in points], rel=1e-6)


def test_steps_behind_the_saved_one_are_replaced(tmp_path: Path) -> None:
    events = Events()
    with events.opened(tmp_path, 0):
        for step in (1, 2, 3):
            events.add(step, float(step), {"loss": 1.0, "kl": 0.5})
    with events.opened(tmp_path, 1):
        events.add(2, 4.0, {"loss": 2.0})
    assert shown(tmp_path) == {"loss": [(1, 1.0), (2, 2.0)], "kl": [(1, 0.5)]}


def test_a_steps_values_are_on_disk_at_once(tmp_path: Path) -> None:
    events = Events()
    with events.opened(tmp_path, 0):
        events.add(1, 1.0, {"dev_ndcg@10": 0.25})
        assert shown(tmp_path) == {"dev_ndcg@10": [(1, 0.25)]}


def test_a_stage_that_trains_nothing_writes_none(tmp_path: Path) -> None:
    work_in(tmp_path).log(1, loss=1.0)
    assert not list(tmp_path.glob("*tfevents*"))
    assert told(tmp_path) == {"loss": [(1, 1.0)]}
