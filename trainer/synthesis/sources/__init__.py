"""Where queries come from: one file a source, chosen by its `kind`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trainer.synthesis.sources.answers import AnswersSource
from trainer.synthesis.sources.beir import BeirSource
from trainer.synthesis.sources.coding import CodingSource
from trainer.synthesis.sources.documents import DocumentsSource
from trainer.synthesis.sources.judged import JudgedSource
from trainer.synthesis.sources.math import MathSource
from trainer.synthesis.sources.released import ReleasedSource

AnySource = Annotated[
    BeirSource | AnswersSource | CodingSource | MathSource | JudgedSource | ReleasedSource | DocumentsSource,
    Field(discriminator="kind"),
]
