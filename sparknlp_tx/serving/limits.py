"""What a request may cost, checked before its body is understood: who asks, how often, how large, how slow."""

import asyncio
import hmac
import time
from collections import OrderedDict

from starlette.requests import ClientDisconnect, Request

from sparknlp_tx.serving.settings import ServerSettings

CLIENTS = 10_000  # whose rates are remembered
# A body that is too large is read and dropped for a while: a client that still sends reads no answer.
LINGER = 4  # times what a body may have
LINGER_SECONDS = 2.0


class Refused(Exception):
    """A request that is not answered as asked.

    Args:
        status: of HTTP. message: a sentence for the client, without a word of the request. headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


class Limits:
    """The limits of a server, and the clients' rates."""

    def __init__(self, settings: ServerSettings):
        self._settings = settings
        self._rates: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by client: requests left, when that was

    def check_client(self, request: Request) -> None:
        """Raise Refused where the token is another one (401), or a client asks more often than it may (429)."""
        token = self._settings.token
        if token is not None:
            given = request.headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given[2].encode("utf-8", "replace"), token.encode("utf-8"))
            if given[0].lower() != "bearer" or not same:
                message = "Expected a bearer token; found none, or another one. Send Authorization: Bearer TOKEN."
                raise Refused(401, message, {"WWW-Authenticate": "Bearer"})
        if self._settings.requests_per_second:
            self._check_rate(request.client.host if request.client else "")

    def _check_rate(self, client: str) -> None:
        """A bucket of a second's requests, of one at least, that fills as time goes by."""
        rate, now = self._settings.requests_per_second, time.monotonic()
        left, then = self._rates.pop(client, (max(1.0, rate), now))
        left = min(max(1.0, rate), left + (now - then) * rate)
        self._rates[client] = (left - 1 if left >= 1 else left, now)
        while len(self._rates) > CLIENTS:
            self._rates.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / rate + 0.5))
            message = f"Expected at most {rate:g} requests a second; found more. Wait {wait} s."
            raise Refused(429, message, {"Retry-After": str(wait)})

    async def read_body(self, request: Request) -> bytes:
        """A request's body.

        Raises:
            Refused: it is too large (413), too slow (408), or compressed (415).
        """
        if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise Refused(415, "Expected a body that is not compressed; found another Content-Encoding. Send it plain.")
        most = self._settings.max_body
        try:
            return await asyncio.wait_for(self._read(request, most), self._settings.body_timeout)
        except (TimeoutError, asyncio.TimeoutError):
            seconds = f"{self._settings.body_timeout:g} s"
            raise Refused(408, f"Expected a body within {seconds}; found a slower one.", {"Connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(499, "The client has gone.") from None

    async def _read(self, request: Request, most: int) -> bytes:
        parts, size = [], 0
        length = request.headers.get("content-length", "")
        fits = not length.isdigit() or int(length) <= most
        begin = time.monotonic()
        async for part in request.stream():
            size += len(part)
            fits = fits and size <= most
            if fits:
                parts.append(part)
                continue
            parts.clear()
            if size > LINGER * most or time.monotonic() - begin > LINGER_SECONDS:
                break
        if fits:
            return b"".join(parts)
        message = f"Expected a body of at most {most:,} bytes; found a larger one. Send fewer rows."
        raise Refused(413, message, {"Connection": "close"})

    def check_rows(self, columns: list[list[str | None]]) -> None:
        """Raise Refused where a request has too many rows or characters (413)."""
        rows, characters = len(columns[0]), sum(len(text or "") for column in columns for text in column)
        for name, most, found in (
            ("rows", self._settings.max_rows, rows),
            ("characters", self._settings.max_characters, characters),
        ):
            if found > most:
                raise Refused(413, f"Expected at most {most:,} {name} in a request; found {found:,}. Send several requests.")
