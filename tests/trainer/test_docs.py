"""The recipe that the docs show can be run as it stands, and what they name is there."""

from __future__ import annotations

import re
from pathlib import Path

from trainer.recipe import load_recipe, recipe_names, steps
from trainer.rewards import REWARDS
from trainer.stages import stage

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "train.md"


def test_the_recipe_of_the_docs_has_only_options_that_there_are(tmp_path: Path) -> None:
    text = next(block for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if "stages:" in block)
    (tmp_path / "mine.yaml").write_text(text)
    found = steps(load_recipe(tmp_path / "mine.yaml"), stage)
    assert [step.name for step in found][:3] == ["synthesize", "filter", "sft"]
    assert found[-1].name == "deploy"


def test_every_recipe_and_reward_is_named() -> None:
    text = PAGE.read_text()
    assert [name for name in (*recipe_names(), *REWARDS) if f"`{name}`" not in text] == []
