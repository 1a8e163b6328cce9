"""What SFT and RL share: how a model is loaded for training, LoRA, checkpoints, and metrics on their way out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import InputError, MissingError, SettingsError
from es_reasonrank.validation import Checked
from trainer.stages import Work

if TYPE_CHECKING:
    from transformers import TrainerCallback

_ADAPTER = "adapter_config.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class Lora(Checked):
    """Low-rank adapters on a frozen model."""

    rank: int = Field(32, ge=1, description="Rank of the update.")
    alpha: int = Field(32, ge=1, description="Its scale is alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of its inputs that are left out.")
    target: str | tuple[str, ...] = Field("all-linear", description="Layers that get one.")


class Training(Checked):
    """Options of a training stage, whatever it trains by."""

    lora: Lora | None = Field(Lora(), description="Adapters; null trains all weights.")
    learning_rate: float = Field(1e-5, gt=0, description="Highest learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field("cosine", description="How it falls.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which it rises.")
    batch: int = Field(1, ge=1, description="Sequences, or lists, in one pass.")
    accumulate: int = Field(8, ge=1, description="Passes in one step of the optimizer.")
    steps: int | None = Field(None, ge=1, description="Steps at most.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's.")
    dtype: Literal["auto", "bfloat16", "float32"] = Field("auto", description="auto: bfloat16 on a GPU that has it.")
    checkpointing: bool = Field(False, description="Whether activations are computed again to save memory.")
    save_every: int = Field(50, ge=1, description="Steps between checkpoints: what a kill can cost.")

    def arguments(self, work: Work) -> dict[str, Any]:
        """The same as transformers' training arguments."""
        bf16 = self.precision == "bfloat16"
        return {
            "output_dir": str(work.folder / "checkpoints"),
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup,
            "per_device_train_batch_size": self.batch,
            "gradient_accumulation_steps": self.accumulate,
            "max_steps": self.steps or -1,
            "weight_decay": self.weight_decay,
            "bf16": bf16,
            "gradient_checkpointing": self.checkpointing,
            "save_steps": self.save_every,
            "save_total_limit": 2,
            "logging_steps": 1,
            "logging_first_step": True,
            "report_to": [],
            "disable_tqdm": True,
            "seed": work.seed,
            "data_seed": work.seed,
            "use_cpu": not _has_gpu(),
        }

    @property
    def precision(self) -> str:
        """The data type that the model is loaded in."""
        if self.dtype != "auto":
            return self.dtype
        import torch

        return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def base_of(work: Work) -> str:
    """The folder or name of the model to train: what an earlier stage merged, else the recipe's base."""
    return str(work.artifacts["model"]) if "model" in work.artifacts else resolve(work.base)


def trainable(work: Work, options: Training) -> Any:
    """The model, with new adapters, or with those that an earlier stage trained.

    Raises:
        MissingError: it cannot be loaded.
        SettingsError: its adapters belong to another model.
    """
    quiet()
    try:
        from peft import LoraConfig, PeftModel, get_peft_model
        from transformers import AutoModelForCausalLM
    except ImportError as error:
        raise MissingError(
            f"training needs the package {error.name}; run: pip install 'es-reasonrank[train]'"
        ) from error
    path = base_of(work)
    try:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=options.precision)
    except (OSError, ValueError) as error:
        raise MissingError(f"model {path} cannot be loaded: {str(error).splitlines()[0]}") from error
    if options.lora is None:
        return model
    adapter = work.artifacts.get("adapter")
    if adapter is not None:
        check_adapter(adapter, path)
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    target = options.lora.target
    config = LoraConfig(
        r=options.lora.rank,
        lora_alpha=options.lora.alpha,
        lora_dropout=options.lora.dropout,
        target_modules=target if isinstance(target, str) else list(target),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def check_adapter(folder: Path, base: str) -> None:
    """Check that adapters belong to a model.

    Raises:
        SettingsError: they belong to another one, or the folder holds none.
    """
    try:
        config = json.loads((folder / _ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{folder} holds no adapter: {error}") from error
    if config.get("base_model_name_or_path") != base:
        raise SettingsError(
            f"the adapter in {folder} belongs to {config.get('base_model_name_or_path')}, and {base} is to be trained; "
            "name its own base, or start without it"
        )


def last_checkpoint(work: Work, base: str) -> str | None:
    """The newest checkpoint of a stage that was ended early; None where it starts from the beginning.

    Raises:
        SettingsError: it belongs to another model.
    """
    folder = work.folder / "checkpoints"
    found = [
        (int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _CHECKPOINT.fullmatch(path.name))
    ]
    whole = [(step, path) for step, path in found if (path / "trainer_state.json").is_file()]
    if not whole:
        return None
    path = max(whole)[1]
    if (path / _ADAPTER).is_file():
        check_adapter(path, base)
    return str(path)


def teller(work: Work) -> TrainerCallback:
    """A callback that writes a step's metrics to the stage's file, and says how far it is.

    What stands there behind the checkpoint that training goes on from was never saved, and is written anew.
    """
    from transformers import TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
            values = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
            if values:
                work.log(state.global_step, **values)
            if "loss" in values:
                work.say(f"step {state.global_step} of {state.max_steps}: loss {values['loss']:.4f}")

    return Teller()


def need_lists(count: int, what: str) -> None:
    """Check that there is anything to train on.

    Raises:
        InputError: there is not.
    """
    if not count:
        raise InputError(f"there are no {what} to train on")


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
