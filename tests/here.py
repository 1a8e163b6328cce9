"""The command line typed in this process: what it prints and how it ends, without a start of Python a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from es_reasonrank.cli import main


class Ended(NamedTuple):
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str


class Here:
    """Where a command is typed: a folder and an environment, until the test ends."""

    def __init__(self, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._captured = captured

    def in_folder(self, folder: Path, environment: Mapping[str, str]) -> None:
        """Go there, and have no other variables than these."""
        self._patch.chdir(folder)
        for name in os.environ.keys() - environment.keys():
            self._patch.delenv(name)
        self.knowing(**environment)

    def knowing(self, **variables: str) -> None:
        """Have these variables as well."""
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def typed(self, *arguments: str) -> Ended:
        """`es-reasonrank ARGUMENTS`, from its first word to its end."""
        self._patch.setattr(sys, "argv", ["es-reasonrank", *arguments])
        self._captured.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = self._captured.readouterr()
        return Ended(int(ended.value.code or 0), told.out, told.err)
