"""Merge: adapters become part of the weights, so that any engine serves the model; a card says how it was made."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import Field

from es_reasonrank import __version__
from es_reasonrank.files import replacing_folder
from es_reasonrank.validation import Checked
from trainer.lists import read_lists
from trainer.stages import Made, Work
from trainer.training import base_of, check_adapter, silence


class Options(Checked):
    """What the merged model is called."""

    name: str = Field("trained", pattern=r"[a-z0-9][a-z0-9._+-]*", description="Name in reports: sft, sft+rl.")
    licence: str = Field("", description="For the model card; the base model's.")


def run(work: Work, options: Options) -> Made:
    """Merge the adapter into its base, as safetensors with tokenizer and model card.

    A model that was trained in all its weights has no adapter: it gets its name, and its card stands beside.

    Raises:
        MissingError: nothing was trained.
        SettingsError: the adapter belongs to another model.
    """
    named = f"model.{options.name}"
    if "adapter" not in work.artifacts and "model" in work.artifacts:
        path = work.folder / "README.md"
        path.write_text(card(work, options), encoding="utf-8")
        return Made({named: work.artifacts["model"], "card": path}, {"name": options.name})
    adapter, base = work.need("adapter", "sft"), base_of(work)
    check_adapter(adapter, base)
    work.say(f"merging {adapter.name} into {work.base}")
    folder = _merged(base, adapter, work.folder / "model", card(work, options))
    return Made({"model": folder, named: folder}, {"name": options.name}, gone=("adapter",))


def _merged(base: str, adapter: Path, folder: Path, told: str) -> Path:
    """The whole model in its folder, which is there when it is whole."""
    silence()
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).merge_and_unload()
    with replacing_folder(folder) as draft:
        model.save_pretrained(draft)
        AutoTokenizer.from_pretrained(base).save_pretrained(draft)
        (draft / "README.md").write_text(told, encoding="utf-8")
    return folder


def card(work: Work, options: Options) -> str:
    """The model card: what it is for, what it was trained on, and how it wants to be asked."""
    lines = [
        "---",
        f"base_model: {work.base}",
        "library_name: transformers",
        *([f"license: {options.licence}"] if options.licence else []),
        "tags: [reranking, information-retrieval, es-reasonrank]",
        "---",
        f"# {options.name}",
        "",
        f"A reranker: {work.base}, trained with es-reasonrank {__version__}, seed {work.seed}.",
        "It orders the hits of a search. It is asked by the judge below, and by no other prompt.",
        "",
        "## Trained on",
        "",
        *_trained_on(work),
        "",
        "## Asked by",
        "",
        f"Profile `{work.profile.name}`: strategy `{work.profile.strategy['name']}`, judge:",
        "",
        *[f"    {key}: {value}" for key, value in _flat(work.profile.judge)],
    ]
    return "\n".join(lines) + "\n"


def _trained_on(work: Work) -> list[str]:
    lists: Path | None = work.artifacts.get("lists")
    if lists is None:
        return ["Lists that were not made by this run."]
    sizes = Counter(one.dataset for one in read_lists(lists))
    return [f"- {count} lists of {name or 'an unnamed source'}" for name, count in sorted(sizes.items())]


def _flat(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in values.items() if key != "template" or isinstance(value, str)]
