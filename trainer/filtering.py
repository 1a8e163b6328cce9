"""The filter: a teacher's order is kept only where it agrees with the teacher's own selection, and can be learned from.

Source: ReasonRank (2508.07050, section 4.1): a listwise label is kept where its nDCG@10 against the pointwise labels is
at least alpha, 0.4. A record has the form of ReasonRank's released data: `dataset`, `qid`, `initial_list`,
`final_list`, `relevant_docids`, and whatever else it carries along. Beyond that, a record is dropped whose chain the
serving code would not read back, whose query is nearly another's, or which is too long.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from es_reasonrank.engines.base import Completion, Finish
from es_reasonrank.errors import DataError
from es_reasonrank.evaluation.measures import by_place, measure
from es_reasonrank.files import json_lines, replacing, write_json_lines
from es_reasonrank.rerank.parse import AnswerForm, parse
from es_reasonrank.rerank.profile import Profile
from es_reasonrank.types import Outcome
from es_reasonrank.validation import Checked
from trainer.lists import TrainingList
from trainer.stages import Made, Work
from trainer.synthesis.near import LEAST, Match, Near

ALPHA = 0.4
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Among which ReasonRank chose its alpha."""
CHAIN_TOKENS, PROMPT_TOKENS = 3072, 20480
"""ReasonRank's bounds (2508.07050, section 5 and appendix B)."""
KEPT = "kept"
Record = Mapping[str, Any]


class Options(Checked):
    """What is kept. A rule about something that a record does not hold, a query's text, say, lets it pass."""

    alpha: float = Field(ALPHA, ge=0, le=1, description="Least nDCG@10 of an order against what is relevant.")
    near: float | None = Field(LEAST, gt=0, le=1, description="Similarity from which two queries are one; null: none.")
    chains: bool = Field(True, description="Whether a chain must read back as it was written.")
    chain_tokens: int | None = Field(CHAIN_TOKENS, ge=1, description="Tokens of a chain at most; null: any number.")
    prompt_tokens: int | None = Field(PROMPT_TOKENS, ge=1, description="Tokens of a prompt at most; null: any number.")


@dataclass(frozen=True)
class Lengths:
    """Counts a record's tokens by the model that is to learn from it."""

    chain: Callable[[Record], int]
    prompt: Callable[[Record], int]


@dataclass(frozen=True)
class Filtered:
    """What is kept, and what is dropped with its reason. Together they are all that came in, in its order."""

    kept: list[Record]
    dropped: list[tuple[Record, str]]
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """For each dataset, how many were kept, and how many dropped for which reason."""
    agreements: dict[str, list[float]] = field(default_factory=dict)
    """For each dataset, nDCG@10 of every record without a flaw."""

    def report(self) -> dict[str, Any]:
        """For each dataset: what became of its records, their agreement, and what other alphas would have kept."""
        return {name: {**self.counts[name], **_spread(self.agreements.get(name, []))} for name in self.counts}


def run(work: Work, options: Options) -> Made:
    """Filter the lists of an earlier stage.

    Raises:
        MissingError: there are none, or the model's tokenizer is not there.
        DataError: not one is kept.
    """
    path = work.need("lists", "synthesize")
    records = [record for _, record in json_lines(path)]
    lengths = lengths_of(work.profile, work.base) if options.chain_tokens or options.prompt_tokens else None
    result = filtered(records, options, lengths)
    if not result.kept:
        told = ", ".join(f"{count} {why}" for why, count in _total(result).most_common(3)) or "it is empty"
        raise DataError(f"the filter keeps none of {len(records)} lists: {told}", path=str(path))
    made = {name: work.folder / f"{name}.jsonl" for name in ("lists", "dropped")} | {
        "report": work.folder / "report.json"
    }
    write_json_lines(made["dropped"], ({**record, "dropped": reason} for record, reason in result.dropped))
    with replacing(made["report"]) as file:
        json.dump(result.report(), file, indent=2)
    write_json_lines(made["lists"], (dict(record) for record in result.kept))
    work.say(f"{len(result.kept)} of {len(records)} lists kept")
    numbers = {KEPT: len(result.kept), "dropped": len(result.dropped), "sources": result.report()}
    return Made(made, numbers)


def self_consistent(records: Sequence[Record], *, alpha: float = ALPHA) -> Filtered:
    """Split records by ReasonRank's own rule alone.

    Args:
        records: training lists.
        alpha: the least nDCG@10 of `final_list` against `relevant_docids`, each relevant document counting 1.
    """
    rules = Options(alpha=alpha, near=None, chains=False, chain_tokens=None, prompt_tokens=None)
    return filtered(records, rules)


def filtered(records: Sequence[Record], rules: Options, lengths: Lengths | None = None) -> Filtered:
    """Split records into those to train on and those not to; the first rule that one breaks is its reason.

    Args:
        lengths: counts tokens; without it, no record is too long.
    """
    agreement = _agreement(records)
    repeated = _Repeated(records, rules.near)
    result = Filtered([], [])
    for place, record in enumerate(records):
        dataset = str(record.get("dataset", ""))
        reason = (
            repeated.id(place)
            or _flaw(record)
            or (_malformed(record) if rules.chains else "")
            or (_too_long(record, rules, lengths) if lengths else "")
            or ("" if agreement[str(place)] >= rules.alpha else f"nDCG@10 below {rules.alpha}")
            or repeated.query(place)
        )
        result.counts.setdefault(dataset, Counter())[reason.partition(":")[0] or KEPT] += 1
        if str(place) in agreement:
            result.agreements.setdefault(dataset, []).append(agreement[str(place)])
        if reason:
            result.dropped.append((record, reason))
        else:
            result.kept.append(record)
            repeated.keep(place)
    return result


def agreement(order: Sequence[str], relevant: Mapping[str, int]) -> float:
    """nDCG@10 of an order, each relevant document counting 1; 0 where none is relevant."""
    if not relevant:
        return 0.0
    qrels = {"q": dict.fromkeys(relevant, 1)}
    return measure(qrels, by_place({"q": list(order)}), ["nDCG@10"]).by_query["nDCG@10"]["q"]


def lengths_of(profile: Profile, model: str) -> Lengths:
    """Tokens as a model counts them, in the prompts of a profile.

    Raises:
        MissingError: its tokenizer is not there.
    """
    import asyncio

    from trainer.asking import Questions

    questions = Questions(profile, model, context=1 << 30)

    def chain(record: Record) -> int:
        return len(questions.tokenizer.inner(_chain(record), add_special_tokens=False)["input_ids"])

    def prompt(record: Record) -> int:
        one = TrainingList.of(record, path=Path("lists"), line=0)
        asked = asyncio.run(questions.about(one.query, [passage.candidate for passage in one.passages]))
        return max(len(questions.tokenizer.encode(each.request)) for each in asked)

    return Lengths(chain, prompt)


class _Repeated:
    """Tells which records repeat another one's query."""

    def __init__(self, records: Sequence[Record], near: float | None) -> None:
        self._keys = [(str(record.get("dataset", "")), str(record.get("qid", n))) for n, record in enumerate(records)]
        self._seen: set[tuple[str, str]] = set()
        texts = {str(place): str(record.get("query") or "") for place, record in enumerate(records)}
        self._texts = texts
        self._near = Near(texts, least=near) if near else None
        self._kept: set[str] = set()

    def id(self, place: int) -> str:
        """Why a record's id makes it one too many, or nothing."""
        repeated = self._keys[place] in self._seen
        self._seen.add(self._keys[place])
        return "a second record of the query" if repeated else ""

    def query(self, place: int) -> str:
        """Why a record's query makes it one too many, or nothing."""
        names = (match.id for match in self._matches(place) if match.id in self._kept)
        other = next(names, None)
        return f"the query is nearly another's: {'/'.join(self._keys[int(other)])}" if other else ""

    def keep(self, place: int) -> None:
        """The record is kept: others may repeat it. Of equal texts, the first one stands for all."""
        self._kept.update(match.id for match in self._matches(place)[:1])

    def _matches(self, place: int) -> list[Match]:
        return self._near.matches(self._texts[str(place)]) if self._near else []


def _flaw(record: Record) -> str:
    """Why a record is none to train on, or nothing."""
    lists = [record.get(name) for name in ("initial_list", "final_list", "relevant_docids")]
    if not all(isinstance(entry, list) for entry in lists):
        return "a list is missing"
    initial, final, relevant = ([str(name) for name in entry] for entry in lists if entry is not None)
    if len(initial) < 2:
        return "the list has fewer than 2 passages"
    if len(set(final)) != len(final) or set(final) != set(initial):
        return "the order is no permutation of the list"
    return "" if set(relevant) & set(final) else "nothing relevant in the list"


def _malformed(record: Record) -> str:
    """Why a chain would be read back as something else, or nothing.

    The reply that it is to be trained as is written out, and read by the parser of serving.
    """
    chain = _chain(record).strip()
    if not chain:
        return ""
    shown, final = ([str(name) for name in record[key]] for key in ("initial_list", "final_list"))
    names = tuple(str(number) for number in range(1, len(shown) + 1))
    places = tuple(shown.index(name) for name in final)
    answer = " > ".join(f"[{names[place]}]" for place in places)
    reply = Completion(f"<think>\n{chain}\n</think>\n<answer>{answer}</answer>", Finish.STOP)
    verdict = parse(reply, AnswerForm(names), thinking=True)
    same = verdict.outcome is Outcome.OK and verdict.order == places and verdict.reasoning == chain
    return "" if same else f"malformed chain: {verdict.detail or 'it does not read back as it was written'}"


def _chain(record: Record) -> str:
    """The reasoning: a text, or a list of one."""
    reasoning = record.get("reasoning") or ""
    return str(reasoning[0]) if isinstance(reasoning, list) else str(reasoning)


def _too_long(record: Record, rules: Options, lengths: Lengths) -> str:
    chain, most = rules.chain_tokens, rules.prompt_tokens
    if chain and _chain(record) and lengths.chain(record) > chain:
        return f"chain of more than {chain} tokens"
    if most and "passages" in record and lengths.prompt(record) > most:
        return f"prompt of more than {most} tokens"
    return ""


def _agreement(records: Sequence[Record]) -> dict[str, float]:
    """nDCG@10 of each record without a flaw, by its place."""
    sound = {str(place): record for place, record in enumerate(records) if not _flaw(record)}
    if not sound:
        return {}
    qrels = {place: {str(name): 1 for name in record["relevant_docids"]} for place, record in sound.items()}
    orders = {place: [str(name) for name in record["final_list"]] for place, record in sound.items()}
    return measure(qrels, by_place(orders), ["nDCG@10"]).by_query["nDCG@10"]


def _spread(agreements: Sequence[float]) -> dict[str, Any]:
    """The mean agreement, and the share that each of ReasonRank's alphas would keep."""
    if not agreements:
        return {}
    size = len(agreements)
    shares = {str(alpha): round(sum(value >= alpha for value in agreements) / size, 4) for alpha in ALPHAS}
    return {"mean nDCG@10": round(sum(agreements) / size, 4), "share at alpha": shares}


def _total(result: Filtered) -> Counter[str]:
    return sum(result.counts.values(), Counter())
