"""A run's report: one HTML file that needs nothing else, with a plot and a table of everything that was measured."""

from __future__ import annotations

from pathlib import Path

from es_reasonrank.files import replacing
from trainer.manifest import Manifest
from trainer.report.page import page

FILE = "report.html"


def write(folder: Path, manifest: Manifest) -> Path:
    """Write the report of the run in `folder`.

    Raises:
        DataError: it cannot be written, or what it tells of cannot be read.
    """
    path = folder / FILE
    with replacing(path) as file:
        file.write(page(folder, manifest))
    return path
