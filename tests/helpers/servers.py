"""The HTTP server in a process of its own, as its users start it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START = "import sys; from sparknlp_tx.cli.main import main; sys.exit(main(sys.argv[1:]))"


@dataclass
class Running:
    """A server that runs: its address, its process, the lines it has written."""

    url: str
    process: subprocess.Popen
    lines: list[str]

    def end(self, timeout: float = 30) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


@contextlib.contextmanager
def served(model: str, *flags: str, folder: Path | None = None, **environment: str) -> Iterator[Running]:
    """`sparknlp-tx serve` on a free port."""
    command = [sys.executable, "-c", START, "serve", "--model", model, "--port", "0", *flags]
    with started(command, folder, os.environ | {"PYTHONPATH": str(ROOT)} | environment) as running:
        yield running


@contextlib.contextmanager
def started(command: list[str], folder: Path | None, environment: dict[str, str]) -> Iterator[Running]:
    """A server that a command starts."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "bufsize": 1}
    process = subprocess.Popen(command, env=environment, cwd=folder, **pipes)
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line.startswith("serving "):
                break
        else:
            raise AssertionError("".join(lines))
        reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
        reader.start()
        yield Running(lines[-1].split(" at ")[1].split(",")[0], process, lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
