"""All stages, as a user runs them: killed in the middle of RL, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from es_reasonrank.rerank.profile import load_profile
from trainer.cli import root
from trainer.manifest import Manifest, read_manifest

TRAINER = str(Path(sys.executable).with_name("trainer"))
PATIENCE = 300


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def manifest_of(folder: Path) -> Manifest:
    found = read_manifest(folder)
    assert found is not None
    return found


def test_a_killed_recipe_goes_on_to_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = ["run", "smoke", "--folder", str(folder)]
    first = subprocess.Popen(
        [TRAINER, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + PATIENCE
    while not (folder / "05-rl" / "checkpoints" / "checkpoint-1" / "trainer_state.json").is_file():
        assert first.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = {record.label: record for record in manifest_of(folder).records}
    assert [label for label, record in before.items() if record.status == "done"] == [
        "synthesize",
        "filter",
        "sft",
        "merge-1",
    ]

    second = subprocess.run([TRAINER, *command], capture_output=True, text=True, timeout=PATIENCE)
    assert second.returncode == 0, second.stderr
    assert "Warning" not in second.stderr
    after = {record.label: record for record in manifest_of(folder).records}
    assert {record.status for record in after.values()} == {"done"}
    assert all(after[label] == record for label, record in before.items() if record.status == "done")
    assert [line["step"] for line in lines(folder / "05-rl" / "metrics.jsonl") if "reward" in line] == [1, 2]

    report = (folder / "report.html").read_text()
    assert all(label in report for label in after)
    served = load_profile(folder / after["deploy"].outputs["profile"].path)
    assert Path(served.engine["model"]).is_dir()
    evaluation = json.loads((folder / after["evaluate"].outputs["evaluation"].path).read_text())
    assert [row["model"] for row in evaluation["rows"]] == ["base order", "untrained", "sft", "sft+rl"]

    third = CliRunner().invoke(root, [*command, "--dry-run", "--json"], standalone_mode=False)
    assert {stage["todo"] for stage in json.loads(third.stdout)["stages"]} == {"keep"}
