"""trl's GRPOTrainer with our prompts as they are served, and with our choice of roll-outs.

Sources: Shuffle-R1 (2508.05612) for pairwise trajectory sampling and the batch shuffle; RARL (2601.20585) for the
mutation of groups whose rewards do not vary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from pydantic import Field

from es_reasonrank.validation import Checked
from trainer.mutation import Mutated, MutationOptions, mutate, token_weights
from trainer.rewards.reading import Reader
from trainer.rewards.trl_reward import TrlReward
from trainer.sampling import Pair, pairwise, reshuffled, silent

if TYPE_CHECKING:
    from trl import GRPOTrainer

Batch = dict[str, Any]


class Choosing(Checked):
    """Which roll-outs are trained on: all of them by default."""

    pairwise: float | None = Field(None, ge=0, lt=1, description="Share of a group's pairs that is left out.")
    shuffle: int | None = Field(None, ge=1, description="Draws of which the batch is made, by the pairs' weights.")
    power: float = Field(1.0, gt=0, description="How much weights count in a draw.")

    def chosen(self, advantages: Sequence[float], size: int, random: Random) -> list[int]:
        """The roll-outs to train on, by their numbers; some may come twice.

        Args:
            size: roll-outs of a group.
        """
        if self.pairwise is None and self.shuffle is None:
            return list(range(len(advantages)))
        pairs: list[Pair] = pairwise(advantages, size, ratio=self.pairwise or 0.0)
        if self.shuffle is not None:
            pairs = reshuffled(pairs, replay_times=self.shuffle, random=random, power=self.power)
        return [number for pair in pairs for number in pair.rollouts]


class Mutator:
    """Replaces some roll-outs of groups whose rewards do not vary.

    Args:
        rows: what is known of each prompt.
        reader: reads replies, and writes those that are inserted.
    """

    def __init__(
        self,
        options: MutationOptions,
        reward: TrlReward,
        rows: Sequence[Mapping[str, Any]],
        reader: Reader,
        tokenizer: Any,
        seed: int,
    ) -> None:
        self.options = options
        self._reward = reward
        self._known = {row["prompt"]: row for row in rows}
        self._reader = reader
        self._tokenizer = tokenizer
        self._random = Random(seed)

    def __call__(
        self, prompts: Sequence[str], ids: Sequence[list[int]], texts: Sequence[str], size: int
    ) -> tuple[list[list[int]], list[str], tuple[int, ...]]:
        """Tokens and texts of all roll-outs, and the places of those that were inserted.

        Args:
            size: roll-outs of a group.
        """
        tokens, said, inserted = list(ids), list(texts), []
        for start in range(0, len(prompts), size):
            group = slice(start, start + size)
            found = self._group(self._known[prompts[start]], said[group], tokens[group])
            for place in found.inserted:
                said[start + place] = found.completions[place]
                written = self._tokenizer(found.completions[place], add_special_tokens=False)["input_ids"]
                tokens[start + place] = [*written, self._tokenizer.eos_token_id]
                inserted.append(start + place)
        return tokens, said, tuple(inserted)

    def _group(self, row: Mapping[str, Any], texts: Sequence[str], ids: Sequence[list[int]]) -> Mutated:
        columns: dict[str, Any] = {name: [row[name]] * len(texts) for name in ("qid", "grades", "order")}
        return mutate(
            texts,
            self._reward([row["prompt"]] * len(texts), texts, ids, **columns),
            order=row["order"],
            reasoning=row["reasoning"],
            reader=self._reader,
            options=self.options,
            random=self._random,
        )


def grpo(
    *,
    model: Any,
    rewards: Mapping[Callable[..., list[float]], float],
    arguments: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    tokenizer: Any,
    callbacks: Sequence[Any],
    choosing: Choosing,
    mutator: Mutator | None,
    seed: int,
) -> GRPOTrainer:
    """A trainer over windows.

    Args:
        rewards: each with its weight in their sum.
        rows: `prompt`, the text as the engine sees it, with the columns that the reward takes.
        seed: of what is chosen.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    random = Random(seed)

    class Grpo(GRPOTrainer):  # type: ignore[misc]
        _inserted: tuple[int, ...] = ()

        def _tokenize_prompts(self, prompts: list[str]) -> Any:
            return self.processing_class(text=prompts, add_special_tokens=False)["input_ids"], None, {}

        def _generate(self, prompts: list[str]) -> Any:
            found = list(super()._generate(prompts))
            if mutator is not None and self.model.training:
                size = self.num_generations
                found[_IDS], found[_TEXTS], self._inserted = mutator(prompts, found[_IDS], found[_TEXTS], size)
            return tuple(found)

        def _generate_and_score_completions(self, inputs: list[Any]) -> Batch:
            self._inserted = ()
            batch: Batch = super()._generate_and_score_completions(inputs)
            if not self.model.training:
                return batch
            advantages = batch["advantages"].tolist()
            if self._inserted:
                batch["advantages"] = self._weighted(batch)
            numbers = choosing.chosen(advantages, self.num_generations, random)
            metrics = self._metrics["train"]
            metrics["silent/drawn"].append(silent(advantages))
            metrics["silent/trained"].append(silent([advantages[number] for number in numbers]))
            metrics["inserted"].append(len(self._inserted) / len(advantages))
            return _picked(batch, numbers)

        def _weighted(self, batch: Batch) -> Any:
            """Advantages a token, those of inserted roll-outs by how likely each token is."""
            import torch

            mask = batch["completion_mask"]
            spread = batch["advantages"].unsqueeze(1) * mask
            with torch.no_grad():
                logps = self._get_per_token_logps_and_entropies(
                    self.model,
                    torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1),
                    torch.cat([batch["prompt_mask"], mask], dim=1),
                    mask.size(1),
                    batch_size=self.args.per_device_train_batch_size,
                )[0]
            for row in self._inserted:
                advantage = float(batch["advantages"][row])
                spread[row] *= torch.tensor(token_weights(logps[row].tolist(), advantage), device=spread.device)
            return spread

    return Grpo(
        model=model,
        reward_funcs=list(rewards),
        args=GRPOConfig(**arguments, reward_weights=list(rewards.values())),
        train_dataset=Dataset.from_list([dict(row) for row in rows]),
        processing_class=tokenizer,
        callbacks=list(callbacks),
    )


_IDS, _TEXTS = 1, 3
"""Where trl's `_generate` (1.16) gives the completions' tokens and texts."""


def _picked(batch: Batch, numbers: Sequence[int]) -> Batch:
    """The roll-outs of those numbers, and how many tokens they have to be learned."""
    import torch

    size = batch["advantages"].size(0)
    if list(numbers) == list(range(size)):
        return batch
    rows = torch.tensor(list(numbers), device=batch["advantages"].device)
    picked = {
        name: value[rows] if isinstance(value, torch.Tensor) and value.dim() and value.size(0) == size else value
        for name, value in batch.items()
    }
    return picked | {"num_items_in_batch": picked["completion_mask"].sum()}
