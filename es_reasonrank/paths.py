"""Where things are kept outside the project: what can be made again in a cache folder, the rest in a data folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

APP = "es-reasonrank"


def cache_dir() -> Path:
    """What can be made again: converted models, the server's jars. ES_REASONRANK_CACHE_DIR moves it."""
    return Path(os.environ.get("ES_REASONRANK_CACHE_DIR") or platformdirs.user_cache_dir(APP))


def data_dir() -> Path:
    """What cannot be made again: indices of the embedded server, logs, reports. ES_REASONRANK_DATA_DIR moves it."""
    return Path(os.environ.get("ES_REASONRANK_DATA_DIR") or platformdirs.user_data_dir(APP))


def config_file() -> Path:
    """The user's own settings."""
    return Path(platformdirs.user_config_dir(APP)) / "config.yaml"
