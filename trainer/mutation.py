"""Mutation of groups that teach nothing: some of their roll-outs make room for the answer, and for spoilt copies of it.

Source: the response mutation of RARL (Hao et al., 2601.20585): where the rewards of a group do not vary, responses are
mutated by the reference answer. How the paper accounts for text that the model did not write could not be verified.

The rule here, after LUFFY (Yan et al., 2504.14945), with the clipped weights of CISPO (2506.13585): an inserted
completion is off-policy. It is scored by the same reward and counts in its group's mean and deviation, so that the
group teaches again. But a plain policy gradient, whose ratio is 1 at the first update, would treat it as if the model
had drawn it. So each of its tokens counts by the ratio of its probability now to that by which it came about, which is
1, since it was put there:

    loss of a token = -weight * advantage * log p,    weight = clip(p / 1, lowest, 1), without a gradient

That is a supervised term. `lowest` lets the reference answer teach where the model gives it next to no probability;
it does not hold for a negative advantage, where it would push for ever against what the model no longer says. In trl,
advantages may have the shape (roll-outs, tokens): multiply these weights into the rows of `inserted`, and leave the
other rows as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from pydantic import Field

from es_reasonrank.errors import InputError
from es_reasonrank.validation import Checked
from trainer.rewards.reading import Reader
from trainer.sampling import still

_OVERFLOW = 50.0
"""Logarithm of a ratio that is beyond any clip."""


class MutationOptions(Checked):
    """What a group gets that does not vary. The numbers are ours: together they make any such group vary."""

    references: int = Field(1, ge=0, description="Completions replaced by the reference answer.")
    spoilt: int = Field(1, ge=0, description="Completions replaced by a copy of it with places exchanged.")
    swaps: int = Field(1, ge=1, description="Exchanges in such a copy, each of two places; at most half the window.")


@dataclass(frozen=True, slots=True)
class Mutated:
    """A group of completions, and which of them the model did not write."""

    completions: tuple[str, ...]
    inserted: tuple[int, ...] = ()
    """Their places in the group, ascending: off-policy."""


def mutate(
    completions: Sequence[str],
    rewards: Sequence[float],
    *,
    order: Sequence[int],
    reasoning: str,
    reader: Reader,
    options: MutationOptions,
    random: Random,
) -> Mutated:
    """A group as it came where its rewards vary, else with some completions replaced.

    Args:
        order: the reference answer, as places of the window.
        reasoning: the chain that leads to it. Without one, an inserted answer stands behind the chain of the completion
            that it replaces, where that one has its tags right.
        reader: reads and writes replies to the window's question.

    Raises:
        InputError: the window is shorter than 2, or no completion would be left that the model wrote.
        SettingsError: the template's replies cannot be written.
    """
    if not still(rewards):
        return Mutated(tuple(completions))
    count = options.references + options.spoilt
    if count >= len(completions) or len(order) < 2:
        raise InputError(
            f"{count} of {len(completions)} completions over {len(order)} passages cannot be replaced; "
            "one at least must stay the model's own, and an order needs 2 passages"
        )
    places = random.sample(range(len(completions)), count)
    result = list(completions)
    for number, place in enumerate(places):
        answer = order if number < options.references else spoilt(order, options.swaps, random)
        reply = reader.order(completions[place], len(order))
        result[place] = reader.reply(answer, reasoning or (reply.verdict.reasoning if reply.tagged else ""))
    return Mutated(tuple(result), tuple(sorted(places)))


def spoilt(order: Sequence[int], swaps: int, random: Random) -> list[int]:
    """The order with pairs of its places exchanged, no place twice, so that it is never the same."""
    result = list(order)
    places = random.sample(range(len(result)), 2 * min(swaps, len(result) // 2))
    for first, second in zip(places[::2], places[1::2], strict=True):
        result[first], result[second] = result[second], result[first]
    return result


def token_weights(
    current: Sequence[float],
    advantage: float,
    behaviour: Sequence[float] | None = None,
    *,
    lowest: float = 0.1,
    highest: float = 1.0,
) -> list[float]:
    """How much each token of an off-policy completion counts: the ratio of its probabilities, clipped.

    Args:
        current: the tokens' log-probabilities now.
        advantage: the completion's; where it is negative, there is no lowest weight.
        behaviour: the log-probabilities by which they came about; without them, all were put there, with probability 1.
        lowest: the least that a token counts.
        highest: the most.

    Raises:
        InputError: the two do not fit, or lowest is above highest.
    """
    before = [0.0] * len(current) if behaviour is None else behaviour
    if len(before) != len(current) or lowest > highest:
        raise InputError(f"{len(current)} tokens, {len(before)} before, weights from {lowest} to {highest} do not fit")
    least = lowest if advantage > 0 else 0.0
    ratios = (math.exp(min(now - then, _OVERFLOW)) for now, then in zip(current, before, strict=True))
    return [min(max(ratio, least), highest) for ratio in ratios]
