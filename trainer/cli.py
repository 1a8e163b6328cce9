"""The trainer's command line."""

from __future__ import annotations

import sys

from es_reasonrank.cli.group import LazyGroup, run

COMMANDS = {
    "run": ("commands.run", "Run a recipe, stage by stage; what is finished and unchanged is kept."),
    "retrain": ("commands.retrain", "Make and deploy a new model where there are new judgments."),
    "synthesize": ("commands.synthesize", "Make training lists from sources, searches and a teacher."),
    "filter": ("commands.filter", "Keep the training lists that their own judgments agree with."),
    "sft": ("commands.alone:sft", "Train on lists: the model learns to say what the teacher said."),
    "reward": ("commands.alone:reward", "Train a reward model on the model's own replies, by what they are worth."),
    "rl": ("commands.alone:rl", "Train on lists: the model is rewarded for how well what it says ranks."),
    "merge": ("commands.alone:merge", "Merge an adapter into its model."),
    "encoder": ("commands.alone:encoder", "Train the small ranker, a bi-encoder, on lists."),
    "adjuster": ("commands.alone:adjuster", "Learn in which order a large ranker reads the head of a list best."),
    "evaluate": ("commands.alone:evaluate", "Compare models on sets with judgments."),
    "deploy": ("commands.alone:deploy", "Write the profile that serves a model, where it is better."),
}

root = LazyGroup("trainer", package="trainer", table=COMMANDS, help="Make the model that the bridge deploys.")


def main() -> None:
    """Entry point of `trainer`."""
    sys.exit(run(root, "trainer"))
