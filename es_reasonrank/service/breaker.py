"""A circuit breaker: a model that fails again and again is left alone, so that searches do not wait for it.

closed  --failures in a row-->  open  --pause-->  half open: one trial  --success--> closed, --failure--> open
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Counts failures in a row.

    Args:
        failures: how many open the circuit.
        pause: seconds until one trial is let through.
        clock: gives seconds.
    """

    def __init__(self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0
        self._opened: float | None = None
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial."""
        return self._opened is not None

    def allows(self) -> bool:
        """Whether the model may be called now. Where it is true, `succeeded`, `failed` or `gave_up` must follow."""
        if self._opened is None:
            return True
        if self._trying or self._clock() - self._opened < self._pause:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The model answered."""
        self._failed, self._opened, self._trying = 0, None, False

    def failed(self) -> None:
        """The model did not answer."""
        self._failed += 1
        if self._trying or self._failed >= self._most:
            self._opened = self._clock()
        self._trying = False

    def gave_up(self) -> None:
        """The call ended without telling anything of the model: its caller left."""
        self._trying = False
