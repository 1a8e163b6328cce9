"""A circuit breaker: a model that fails again and again is left alone, so that searches do not wait for it.

closed  --failures in a row-->  open  --pause-->  half open: one trial  --success--> closed, --failure--> open
"""

from __future__ import annotations

import time
from collections.abc import Callable

_ROUNDING = 1e-9
"""Weights are summed up: five times a fifth may be a little less than one."""


class Call:
    """One call to the model that was let through."""


class Breaker:
    """Counts failures in a row. A failure that says less than another has a smaller weight.

    Args:
        failures: how many open the circuit.
        pause: seconds until one trial is let through.
        clock: gives seconds.
    """

    def __init__(self, failures: int, pause: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = failures
        self._pause = pause
        self._clock = clock
        self._failed = 0.0
        self._opened: float | None = None
        self._trial: Call | None = None
        self.why = ""
        """What the last failure said."""

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a trial."""
        return self._opened is not None

    @property
    def refuses(self) -> bool:
        """Whether a call would be refused now."""
        return self._opened is not None and (
            self._trial is not None or self._clock() - self._opened < self._pause - _ROUNDING
        )

    def enter(self) -> Call | None:
        """Begin a call, or None where it is refused. One of the three below must follow, with this very call."""
        if self.refuses:
            return None
        call = Call()
        if self._opened is not None:
            self._trial = call
        return call

    def succeeded(self, call: Call) -> None:
        """The model answered; one that was called before the circuit opened is a sign of life, too."""
        self._failed, self._opened, self._trial = 0.0, None, None

    def failed(self, call: Call, why: str = "", weight: float = 1.0) -> None:
        """The model did not answer."""
        trial = call is self._trial
        if self._opened is not None and not trial:
            return  # it began before the circuit opened, and says nothing new
        self._trial = None
        self._failed += weight
        self.why = why
        if self._failed >= (1 if trial else self._most) - _ROUNDING:
            self._failed, self._opened = 0.0, self._clock()

    def gave_up(self, call: Call) -> None:
        """The call ended without telling anything of the model: its caller left."""
        if call is self._trial:
            self._trial = None
