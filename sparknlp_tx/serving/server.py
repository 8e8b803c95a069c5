"""The server's process: uvicorn in this process, and an end that loses no request."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say
from sparknlp_tx.serving.app import Server
from sparknlp_tx.serving.models import Models
from sparknlp_tx.serving.settings import ServerSettings

log = logging.getLogger(__name__)
QUIET_SECONDS = 1.0  # for which a connection may be silent before it is closed at the end


def serve(uri: str, settings: ServerSettings) -> dict[str, Any]:
    """Serve a model until SIGTERM or SIGINT.

    Args:
        uri: a saved model's folder or an MLflow URI; with an alias, as `models:/NAME@champion`, its version is looked for from time to time.

    Returns:
        The versions that served last, by role, as `versions`.

    Raises:
        InputError: the port is taken, or there is no such model, or it cannot be loaded. Nothing listens then.
    """
    settings.check()
    listener = _bound(settings)
    try:
        server = Server(Models(uri, settings), settings)
        own = _Uvicorn(uvicorn.Config(server.app(), log_config=None, access_log=False, server_header=False), server, listener)
        own.run(sockets=[listener])
        return {"versions": server.models.versions}
    finally:
        listener.close()


def _bound(settings: ServerSettings) -> socket.socket:
    """A socket that has the port, so that nobody else takes it while the model loads; it does not listen yet.

    Raises:
        InputError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio sets no TCP_NODELAY
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        found = "it in use" if error.errno == errno.EADDRINUSE else str(error)
        remedy = "Give another --port (0 for any), or end what has it."
        raise InputError(f"port {settings.port} of {settings.host} free", found, remedy) from None
    return listener


class _Uvicorn(uvicorn.Server):
    """uvicorn that drains before it shuts down.

    While it drains, it still accepts and answers, with `Connection: close`, so that clients leave between two requests, and `/ready`
    answers 503, so that balancers send no others. Closing connections at once would lose the requests that are on their way.
    """

    def __init__(self, config: uvicorn.Config, server: Server, listener: socket.socket):
        super().__init__(config)
        self._server, self._listener = server, listener
        self._drain: asyncio.Task | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            versions = ", ".join(sorted(set(self._server.models.versions.values())))
            say(f"serving {versions} at {address}, its pages at {address}/docs")

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        yield

    def _asked_to_end(self) -> None:
        if self._drain is not None:  # asked twice: at once
            self.should_exit = True
            return
        self._server.draining = True
        self._drain = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        await asyncio.sleep(self._server.settings.drain_seconds)
        await self._stop_listening()
        await self._wait(QUIET_SECONDS, lambda: not self.server_state.connections)  # each closes with its answer
        self.should_exit = True

    async def _stop_listening(self) -> None:
        """Close the port. Connections that the system has made and nobody has accepted yet are taken first: closing would reset them."""
        pending = []
        with contextlib.suppress(OSError):
            while True:
                pending.append(self._listener.accept()[0])
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in pending:
            await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg, operator]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _wait(self, seconds: float, done: Callable[[], bool]) -> None:
        """Wait until something is done; at most so long after the last request, or as long as texts wait."""
        loop, texts = asyncio.get_running_loop(), self._server.batcher
        until = loop.time() + seconds
        while not done() and loop.time() < until:
            if texts.waiting or self.server_state.tasks:
                until = loop.time() + seconds
            await asyncio.sleep(0.02)
