"""A trained reward model's scores, and the same as a reward for RL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import DataError, MissingError
from es_reasonrank.files import json_object

FILE = "reward_model.json"
Text = str | Sequence[Mapping[str, Any]]
"""A rendered prompt or a bare reply; or the messages of a chat."""


@dataclass(frozen=True)
class Report:
    """What training gave."""

    base: str
    pairs: int
    held_out_pairs: int
    held_out_accuracy: float
    """Share of the held-out pairs whose chosen reply has the higher score; 0.5 is chance."""
    longest: int


class RewardModel:
    """A trained reward model. It is loaded at the first score."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def report(self) -> Report:
        """What its training gave.

        Raises:
            DataError: the folder holds no reward model.
        """
        path = self.folder / FILE
        try:
            return Report(**json_object(path.read_text(encoding="utf-8"), path=path, line=1))
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", path=str(path)) from error
        except TypeError as error:
            raise DataError("holds no reward model", path=str(path)) from error

    def score(self, prompts: Sequence[Text], completions: Sequence[Text], *, batch: int = 8) -> list[float]:
        """The score of each reply to its prompt; only differences between replies to one prompt mean anything.

        Args:
            batch: replies in one pass.
        """
        model, tokenizer = self._loaded
        tokens = [
            encoded(tokenizer, prompt, completion, self.report.longest)
            for prompt, completion in zip(prompts, completions, strict=True)
        ]
        return scored(model, tokens, batch)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        report = self.report
        try:
            quiet()
            import torch
            from peft import PeftModel
            from transformers import AutoModelForSequenceClassification, AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(self.folder)
            model = AutoModelForSequenceClassification.from_pretrained(
                resolve(report.base), num_labels=1, dtype="auto", pad_token_id=tokenizer.pad_token_id
            )
            device = "cuda" if torch.cuda.is_available() else "cpu"
            return PeftModel.from_pretrained(model, self.folder).to(device).eval(), tokenizer
        except ImportError as error:
            raise MissingError(f"a reward model needs {error.name}; run: pip install 'es-reasonrank[train]'") from error
        except (OSError, ValueError) as error:
            raise MissingError(f"reward model {self.folder} cannot be loaded: {error}") from error


class AuxiliaryReward:
    """A reward model as trl's GRPOTrainer calls a reward: give it a small `reward_weights` beside the verifiable one.

    Scores are put between 0 and 1 by a sigmoid, so that no reply gains more from pleasing the model than from being
    right. It can be pickled: the weights are loaded where it is called.
    """

    __name__ = "reward_model"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._model = RewardModel(folder)

    def __reduce__(self) -> tuple[type[AuxiliaryReward], tuple[Path]]:
        return AuxiliaryReward, (self.folder,)

    def __call__(self, prompts: Sequence[Text], completions: Sequence[Text], **columns: Any) -> list[float]:
        """One value a completion."""
        import torch

        values: list[float] = torch.tensor(self._model.score(prompts, completions)).sigmoid().tolist()
        return values


def encoded(tokenizer: Any, prompt: Text, completion: Text, longest: int) -> list[int]:
    """The tokens of a prompt and its reply, ended; of more than `longest`, the last ones."""
    begun = prompt
    if not isinstance(prompt, str):
        begun = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    said = completion
    if not isinstance(completion, str):
        said = "".join(message.get("content") or "" for message in completion)
    ids: list[int] = tokenizer(f"{begun}{said}", add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id][-longest:]


def scored(model: Any, tokens: Sequence[list[int]], batch: int) -> list[float]:
    """The model's score of each sequence, in one order whatever the batches are."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    by_length = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    found: dict[int, float] = {}
    for start in range(0, len(tokens), batch):
        places = by_length[start : start + batch]
        ids = pad_sequence(
            [torch.tensor(tokens[place]) for place in places], batch_first=True, padding_value=model.config.pad_token_id
        )
        lengths = torch.tensor([[len(tokens[place])] for place in places])
        mask = (torch.arange(ids.shape[1]) < lengths).long()
        with torch.no_grad():
            logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
        found.update(zip(places, logits.squeeze(-1).float().tolist(), strict=True))
    return [found[place] for place in range(len(tokens))]
