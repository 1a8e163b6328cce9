"""The trainer's command line."""

from __future__ import annotations

import sys

from es_reasonrank.cli.group import LazyGroup, run

COMMANDS = {"filter": ("commands.filter", "Keep the training lists that their own judgments agree with.")}

root = LazyGroup("trainer", package="trainer", table=COMMANDS, help="Make the model that the bridge deploys.")


def main() -> None:
    """Entry point of `trainer`."""
    sys.exit(run(root, "trainer"))
