"""SFT by a loss over a whole list, for judges that read likelihoods and not replies.

first   FIRST (2406.15657): the language model's loss on the order, and weighted RankNet on the identifiers' logits
        where the answer begins
list    softmax cross-entropy over the passages' scores, each asked about by itself: the odds of yes against no as
        Rank1 (2502.18418) reads them, or the expected grade as TFRank (2508.09539) does
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from es_reasonrank.errors import SettingsError
from trainer.examples import Lesson
from trainer.losses.listnet import softmax_cross_entropy
from trainer.losses.probability import expectation, log_odds
from trainer.losses.ranknet import joint, weighted_ranknet

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import Trainer

Loss = Literal["reply", "first", "list"]
Row = dict[str, Any]

_JUDGES = {"first": ("first_token",), "list": ("relevance", "graded")}


def check(loss: Loss, judge: str) -> None:
    """Check that a judge's questions can be trained by a loss.

    Raises:
        SettingsError: they cannot.
    """
    known = _JUDGES.get(loss)
    if known is not None and judge not in known:
        raise SettingsError(f"sft.loss {loss!r} trains judge {' or '.join(known)}, not {judge!r}; use loss: reply")


def rows_of(lessons: Sequence[Lesson]) -> list[Row]:
    """A row a list: its examples' tokens, and what is to be learned of them."""
    return [
        {
            "prompts": [example.prompt for example in lesson.examples],
            "replies": [example.reply for example in lesson.examples],
            "choices": lesson.examples[0].choices,
            "grades": list(lesson.source.grades),
            "order": list(lesson.source.places),
        }
        for lesson in lessons
    ]


def list_trainer(loss: Loss, judge: str, weight: float, padding: int, **trainer: Any) -> Trainer:
    """A trainer over such rows.

    Args:
        weight: of the ranking part of `first`.
        padding: the token that fills sequences up.
        trainer: passed to transformers' Trainer.
    """
    from transformers import Trainer

    value = _first(weight) if loss == "first" else _over_passages(judge, padding)

    class ListTrainer(Trainer):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            found = sum((value(model, row) for row in inputs["rows"]), start=0.0) / len(inputs["rows"])
            return (found, None) if return_outputs else found

    return ListTrainer(data_collator=lambda rows: {"rows": rows}, **trainer)


def _first(weight: float) -> Callable[[Any, Row], Tensor]:
    """One prompt a list; its last position tells how likely each identifier is as the first token."""

    def value(model: Any, row: Row) -> Tensor:
        import torch

        prompt, reply = row["prompts"][0], row["replies"][0]
        ids = torch.tensor([prompt + reply], device=model.device)
        logits = model(input_ids=ids, logits_to_keep=len(reply) + 1).logits[0].float()
        language = torch.nn.functional.cross_entropy(logits[:-1], ids[0, len(prompt) :])
        ranks = torch.empty(len(row["order"]), device=model.device)
        ranks[row["order"]] = torch.arange(1.0, len(row["order"]) + 1, device=model.device)
        scores = logits[0, row["choices"]]
        return joint(language, weighted_ranknet(scores.unsqueeze(0), ranks.unsqueeze(0)), weight)

    return value


def _over_passages(judge: str, padding: int) -> Callable[[Any, Row], Tensor]:
    """One prompt a passage; its last position gives the passage's score."""

    def value(model: Any, row: Row) -> Tensor:
        import torch

        width = max(map(len, row["prompts"]))
        ids = [[padding] * (width - len(prompt)) + prompt for prompt in row["prompts"]]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in row["prompts"]]
        shown = torch.tensor(mask, device=model.device)
        logits = (
            model(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=shown,
                position_ids=(shown.cumsum(-1) - 1).clamp(min=0),
                logits_to_keep=1,
            )
            .logits[:, -1]
            .float()
        )
        choices = row["choices"]
        scores = log_odds(logits, *choices) if judge == "relevance" else expectation(logits, choices)
        grades = torch.tensor(row["grades"], device=model.device, dtype=scores.dtype)
        return softmax_cross_entropy(scores.unsqueeze(0), grades.unsqueeze(0))

    return value
