"""The running service: its socket, its processes, and its end.

One worker      this process answers requests; another holds the models
Several         this process only keeps them: workers that share one socket, and the one process with the models
No model here   where every model is behind a server, workers ask it themselves
"""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

import uvicorn

from es_reasonrank.rerank.profile import Profile
from es_reasonrank.service import logs
from es_reasonrank.service.app import create_app
from es_reasonrank.service.children import Child
from es_reasonrank.service.listening import BACKLOG, address_of, check_certificate, listening
from es_reasonrank.service.metrics import share_among_workers
from es_reasonrank.service.model_process import Holding, hold
from es_reasonrank.service.rankers import LocalRankers
from es_reasonrank.service.state import State
from es_reasonrank.settings import Settings

_MARGIN = 0.5
"""Seconds of the grace time that are kept for sending base orders."""
_AFTER = 3.0
"""Seconds behind the grace time in which a worker closes what it has open."""
_IDLE = 3600
"""Seconds until an idle connection is closed: clients of Elasticsearch, which closes none, count on them."""
_FREEING = 8.0
"""Seconds that the models have to be freed."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Serving:
    """What a worker is started with."""

    settings: Settings
    profiles: tuple[Profile, ...]
    models: str | None
    """Socket of the process that holds the models; without it, they are behind servers."""


class Server(uvicorn.Server):
    """uvicorn, whose signals are handled elsewhere, and whose rankings get their base order before time is up."""

    def __init__(self, serving: Serving, control: Connection | None = None) -> None:
        service = serving.settings.service
        self._control = control
        self._grace = service.grace
        self._app = create_app(serving.settings, serving.profiles, serving.models)
        super().__init__(
            uvicorn.Config(
                self._app,
                lifespan="on",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                date_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=_IDLE,
                timeout_graceful_shutdown=service.grace,  # type: ignore[arg-type] # seconds, whole ones or not
                ssl_certfile=service.tls_cert,
                ssl_keyfile=service.tls_key,
            )
        )

    @property
    def parts(self) -> State:
        """What the routes share, once it has started."""
        parts: State = self._app.state.parts
        return parts

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs this."""
        yield

    def end(self) -> None:
        """Begin to stop; the second time, stop at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        if self._control is not None:
            asyncio.get_running_loop().add_reader(self._control.fileno(), self._told)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests finish; near the end of the grace time, rankings under way get their base order."""
        seconds = max(0.0, self._grace - min(_MARGIN, self._grace / 2))
        timer = asyncio.get_running_loop().call_later(seconds, self.parts.ranking.stop)
        try:
            await super().shutdown(sockets)
        finally:
            timer.cancel()

    def leave(self) -> None:
        """Begin to stop, however often it is said."""
        self.should_exit = True

    def _told(self) -> None:
        assert self._control is not None
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self.leave()


def serve(settings: Settings, profiles: Sequence[Profile], tell: Callable[[str], None]) -> None:
    """Serve until a signal says stop.

    Args:
        profiles: what is served, the default first.
        tell: told of the address as soon as clients can connect to it.

    Raises:
        SettingsError: the address cannot be listened on, the certificate is none, or a profile or a key is wrong.
        KeyboardInterrupt: a second signal cut requests off.
    """
    default, *others = profiles
    remote = LocalRankers(default, others).remote
    create_app(settings, profiles)  # what is wrong is said now, and not by every worker
    check_certificate(settings.service)
    with listening(settings.service) as listener, ExitStack() as stack:
        tell(address_of(settings.service, listener))
        logs.configure()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="es-reasonrank-")))
        serving = Serving(settings, tuple(profiles), None if remote else str(folder / "models"))
        if serving.models is not None:
            model = Child("the process that holds the model", hold, Holding(serving.models, serving.profiles, settings))
            stack.callback(model.stop, _FREEING)
        if settings.service.workers == 1:
            whole = _here(serving, listener)
        else:
            share_among_workers(folder / "metrics")
            whole = asyncio.run(_beside(serving, listener))
        if not whole:
            raise KeyboardInterrupt


def work(serving: Serving, listener: socket.socket, control: Connection) -> None:
    """Be one of several workers, until `control` says something or is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure()
    server = Server(serving, control)
    signal.signal(signal.SIGTERM, lambda *_: server.leave())
    server.run(sockets=[listener])


def _here(serving: Serving, listener: socket.socket) -> bool:
    """Answer in this process. Returns whether every request had its time to end."""
    server = Server(serving)
    with _heeding(lambda *_: server.end()):
        server.run(sockets=[listener])
    return not server.force_exit


async def _beside(serving: Serving, listener: socket.socket) -> bool:
    """Let workers answer, and keep them alive. Returns whether every request had its time to end."""
    loop = asyncio.get_running_loop()
    told = asyncio.Queue[None]()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.put_nowait, None)
    share = _share(serving)
    workers = [Child(f"worker {number}", work, share, listener) for number in range(share.settings.service.workers)]
    try:
        await told.get()
        listener.close()
        grace = serving.settings.service.grace + _AFTER
        stops = [asyncio.create_task(asyncio.to_thread(worker.stop, grace)) for worker in workers]
        again = asyncio.create_task(told.get())
        while not all(stop.done() for stop in stops) and not again.done():
            await asyncio.wait({again, *stops}, return_when=asyncio.FIRST_COMPLETED)
        return not again.done()
    finally:
        for worker in workers:
            worker.kill()


def _share(serving: Serving) -> Serving:
    """What one of several workers takes on."""
    service = serving.settings.service
    share = {"at_once": -(-service.at_once // service.workers), "queue": -(-service.queue // service.workers)}
    settings = serving.settings.model_copy(update={"service": service.model_copy(update=share)})
    return replace(serving, settings=settings)


@contextmanager
def _heeding(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Signals that ask to stop go to `handler`."""
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
