"""What a server may be told."""

import re
from dataclasses import dataclass, field

from sparknlp_tx.errors import InputError


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server.

    Attributes:
        host, port: where it listens.
        max_body: bytes of a request's body; max_rows, max_characters: of a request; a text may have all of the characters.
        max_waiting: texts that may wait in the queue; more are answered with 429.
        timeout: seconds for an answer, then 504; body_timeout: seconds for a body to arrive, then 408.
        requests_per_second: of a client, by its address; 0: any number.
        poll_seconds: between two looks at an alias; 0: never.
        drain_seconds: after SIGTERM, in which requests are still answered while `/ready` says 503.
        traffic: percent by alias or version; empty: all to the model. shadow: an alias that is scored beside, never answered.
        threads: of the engine; None: all cores. device, precision: in place of the model's own.
        telemetry: folder of Parquet files of what was answered; telemetry_texts: with the texts.
        token: that clients have to send as `Authorization: Bearer TOKEN`; None: none.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    max_body: int = 16 * 2**20
    max_rows: int = 10_000
    max_characters: int = 10_000_000
    max_waiting: int = 20_000
    timeout: float = 60.0
    body_timeout: float = 30.0
    requests_per_second: float = 0.0
    poll_seconds: float = 30.0
    drain_seconds: float = 2.0
    traffic: dict[str, int] = field(default_factory=dict)
    shadow: str | None = None
    threads: int | None = None
    device: str | None = None
    precision: str | None = None
    telemetry: str | None = None
    telemetry_texts: bool = False
    token: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raise InputError where a number makes no server."""
        for name in ("max_body", "max_rows", "max_characters", "max_waiting"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} of 1 or more", str(getattr(self, name)), "Change it.")
        for name in ("timeout", "body_timeout"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{name.replace('_', '-')} above 0", str(getattr(self, name)), "Change it.")
        for name in ("requests_per_second", "poll_seconds", "drain_seconds"):
            if not getattr(self, name) >= 0:
                raise InputError(f"--{name.replace('_', '-')} of 0 or more", str(getattr(self, name)), "Change it.")
        if not 0 <= self.port < 65_536:
            raise InputError("--port from 0 to 65535", str(self.port), "Change it.")


def read_traffic(text: str | None) -> dict[str, int]:
    """`champion=90,challenger=10` as percents by alias.

    Raises:
        InputError: it is something else, or does not sum to 100.
    """
    if not text:
        return {}
    found: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^=,\s]+)\s*=\s*(\d+)\s*%?\s*", part)
        if match is None or match[1] in found:
            raise InputError("--traffic ALIAS=PERCENT,ALIAS=PERCENT", repr(text), "As in champion=90,challenger=10.")
        found[match[1]] = int(match[2])
    if sum(found.values()) != 100:
        raise InputError("percents of --traffic that sum to 100", str(sum(found.values())), "Change them.")
    return found
