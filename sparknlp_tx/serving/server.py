"""The server's process: uvicorn in this process, and an end that loses no request."""

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from sparknlp_tx.errors import InputError
from sparknlp_tx.progress import say
from sparknlp_tx.serving.app import Server
from sparknlp_tx.serving.models import Models
from sparknlp_tx.serving.settings import ServerSettings

log = logging.getLogger(__name__)


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
        own = _Uvicorn(uvicorn.Config(server.app(), log_config=None, access_log=False, server_header=False), server)
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
    listener = socket.socket(family, socket.SOCK_STREAM)
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

    def __init__(self, config: uvicorn.Config, server: Server):
        super().__init__(config)
        self._server = server
        self._drain: asyncio.Task | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            versions = ", ".join(sorted(set(self._server.models.versions.values())))
            say(f"serving {versions} at {address}, its pages at {address}/docs")

    @contextmanager
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

    async def _end(self) -> Any:
        await asyncio.sleep(self._server.settings.drain_seconds)
        while self._server.batcher.waiting:
            await asyncio.sleep(0.05)
        self.should_exit = True
