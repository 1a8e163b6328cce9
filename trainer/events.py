"""TensorBoard's event files: a stage's metrics once more, for whoever watches them grow.

They lie beside the metrics in the stage's folder, so that `tensorboard --logdir` with a run's folder shows its stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Events:
    """Where a stage's values go while its event file is open; at any other time, nowhere."""

    def __init__(self) -> None:
        self._writer: SummaryWriter | None = None

    @contextmanager
    def opened(self, folder: Path, last: int) -> Iterator[None]:
        """A new event file in a folder.

        Args:
            last: the step that was saved last. What older files tell of later ones counts no more: they come again.
        """
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=last + 1)
        try:
            yield
        finally:
            self._writer.close()
            self._writer = None

    def add(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Write the values of a step; they are on disk when it returns, for a checkpoint may rest on them.

        Args:
            time: seconds since 1970.
        """
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=time)
        self._writer.flush()
