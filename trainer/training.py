"""What SFT and RL share: how a model is loaded for training, LoRA, checkpoints, and metrics on their way out."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from es_reasonrank.engines.embedded import resolve
from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.files import json_lines, write_json_lines
from es_reasonrank.validation import Checked
from trainer import memory
from trainer.dev import Dev, as_language_model, measurer
from trainer.stages import METRICS, Work

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import TrainerCallback

_ADAPTER = "adapter_config.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class Lora(Checked):
    """Low-rank adapters on a frozen model."""

    rank: int = Field(32, ge=1, description="Rank of the update.")
    alpha: int = Field(32, ge=1, description="Its scale is alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of its inputs that are left out.")
    target: str | tuple[str, ...] = Field("all-linear", description="Layers that get one.")

    def config(self, task: str) -> LoraConfig:
        """The same as peft has it.

        Args:
            task: what the model does, as peft calls it.
        """
        from peft import LoraConfig

        return LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self.target if isinstance(self.target, str) else list(self.target),
            task_type=task,
        )


class Training(Checked):
    """Options of a training stage, whatever it trains by."""

    lora: Lora | None = Field(Lora(), description="Adapters; null trains all weights.")
    learning_rate: float = Field(1e-5, gt=0, description="Highest learning rate.")
    schedule: Literal["constant", "linear", "cosine"] = Field("cosine", description="How it falls.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps in which it rises.")
    batch: int = Field(1, ge=1, description="Sequences, or lists, in one pass.")
    steps: int | None = Field(None, ge=1, description="Steps at most.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's.")
    dtype: Literal["auto", "bfloat16", "float32", "mixed"] = Field(
        "auto",
        description="What weights are loaded as and computed in. auto: bfloat16 on a GPU that has it, else float32; "
        "mixed: float32 weights multiplied in bfloat16, faster on processors with AMX.",
    )
    compile: bool = Field(False, description="Whether the model is compiled: minutes at first, then faster steps.")
    checkpointing: bool = Field(False, description="Whether activations are computed again to save memory.")
    save_every: int = Field(50, ge=1, description="Steps between checkpoints: what a kill can cost.")
    dev: Dev | None = Field(None, description="Sets that are ranked while it trains; null: none.")

    def arguments(self, work: Work) -> dict[str, Any]:
        """The same as transformers' training arguments, but for how many passes make a step."""
        return {
            **bookkeeping(work, self.save_every),
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.schedule,
            "warmup_steps": self.warmup,
            "per_device_train_batch_size": self.batch,
            "max_steps": self.steps or -1,
            "weight_decay": self.weight_decay,
            "bf16": self._compute == "bfloat16",
            "torch_compile": self.compile,
            "gradient_checkpointing": self.checkpointing,
            "logging_first_step": True,
        }

    def held(self, tokens: int) -> memory.Training:
        """What training holds in memory.

        Args:
            tokens: of the longest sequence.
        """
        return memory.Training(
            tokens=self.batch * tokens,
            rank=self.lora.rank if self.lora else None,
            weights=self.precision,
            compute=self._compute,
            checkpointing=self.checkpointing,
        )

    @property
    def precision(self) -> memory.Kind:
        """The data type that the model is loaded in."""
        if self.dtype == "mixed":
            return "float32"
        if self.dtype != "auto":
            return self.dtype
        import torch

        return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"

    @property
    def _compute(self) -> memory.Kind:
        return "bfloat16" if self.dtype == "mixed" else self.precision


def bookkeeping(work: Work, save_every: int) -> dict[str, Any]:
    """The training arguments of every stage that trains: checkpoints, metrics of each step, and the seed."""
    return {
        "output_dir": str(work.folder / "checkpoints"),
        "save_steps": save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": [],
        "disable_tqdm": True,
        "seed": work.seed,
        "data_seed": work.seed,
        "use_cpu": not _has_gpu(),
    }


def base_of(work: Work) -> str:
    """The folder or name of the model to train: what an earlier stage merged, else the recipe's base."""
    return str(work.artifacts["model"]) if "model" in work.artifacts else resolve(work.base)


def silence() -> None:
    """No bars and notices of the libraries that train: a stage tells its own progress.

    Raises:
        MissingError: one of them is not installed.
    """
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")  # said of versions that work as well
    try:
        quiet()
        import peft  # noqa: F401
        import torch.utils.tensorboard  # noqa: F401
        import trl  # noqa: F401
        from datasets import disable_progress_bars
    except ImportError as error:
        raise MissingError(
            f"training needs the package {error.name}; run: pip install 'es-reasonrank[train]'"
        ) from error
    disable_progress_bars()


def trainable(work: Work, options: Training) -> Any:
    """The model, with new adapters, or with those that an earlier stage trained.

    Raises:
        MissingError: it cannot be loaded.
        SettingsError: its adapters belong to another model.
    """
    from peft import PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    path = base_of(work)
    set_seed(work.seed)  # new adapters are drawn
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
    return get_peft_model(model, options.lora.config("CAUSAL_LM"))


def tokenizer_of(work: Work) -> Any:
    """The tokenizer of the model to train, with a token to fill up with."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base_of(work))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


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


def resumed(work: Work, base: str) -> int:
    """The step of the newest checkpoint of a stage that was ended early; 0 where it starts from the beginning.

    What the stage's metrics hold of later steps was lost with them, and is taken out.

    Raises:
        SettingsError: the checkpoint belongs to another model.
    """
    paths = (work.folder / "checkpoints").glob("*")
    steps = [int(match[1]) for path in paths if (match := _CHECKPOINT.fullmatch(path.name))]
    whole = [step for step in steps if (_checkpoint(work, step) / "trainer_state.json").is_file()]
    last = max(whole, default=0)
    _forget(work.folder / METRICS, last)
    if last:
        if (_checkpoint(work, last) / _ADAPTER).is_file():
            check_adapter(_checkpoint(work, last), base)
        work.say(f"going on from step {last}")
    return last


def _checkpoint(work: Work, step: int) -> Path:
    return work.folder / "checkpoints" / f"checkpoint-{step}"


def _forget(metrics: Path, last: int) -> None:
    """Take out the metrics of steps behind the last one that was saved."""
    if metrics.is_file():
        lines = [line for _, line in json_lines(metrics) if line["step"] <= last]
        write_json_lines(metrics, lines)


def train(trainer: Any, work: Work, base: str) -> None:
    """Train, from the last checkpoint on; nothing is printed, for metrics go to the stage's files.

    Raises:
        SettingsError: the checkpoint belongs to another model.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    last = resumed(work, base)
    with work.events.opened(work.folder, last):
        trainer.train(resume_from_checkpoint=str(_checkpoint(work, last)) if last else None)


def callbacks(work: Work, options: Training) -> list[TrainerCallback]:
    """What attends the training of a language model: its metrics are handed on, and it ranks dev sets.

    Raises:
        DataError: a set's file is wrong.
    """
    found = [teller(work)]
    if options.dev is not None:
        served = as_language_model(work.profile, base_of(work), autocast=options.dtype == "mixed")
        found.append(measurer(work, options.dev, served))
    return found


def teller(work: Work) -> TrainerCallback:
    """A callback that hands each step's metrics on."""
    from transformers import TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
            values = {key: value for key, value in (logs or {}).items() if isinstance(value, int | float)}
            if values:
                work.log(state.global_step, state.max_steps, **values)

    return Teller()


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
