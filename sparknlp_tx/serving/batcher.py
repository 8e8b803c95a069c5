"""Requests gathered into batches: at once where the engine is idle, up to a token budget while it is busy. One thread scores.

A large request goes through in parts, and after some of them others have their turn. Answers go back to their requests in order.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from sparknlp_tx.inference.tokenization import Text

CHARACTERS_PER_TOKEN, TOKENS_OF_A_TEXT = 4, 2  # to tell the tokens of a text before it is tokenised
TURN = 4  # batches that a large request fills before the next one has its turn


class Scorer(Protocol):
    """What scores: a served model."""

    budget: int

    def logits(self, texts: Sequence[Text | None]) -> np.ndarray: ...


class FullQueue(Exception):
    """The queue holds as many texts as it may."""


class ClientGone(Exception):
    """Nobody waits for the answer any more."""


class UnscorableText(Exception):
    """The engine fails on a text, even where it is scored alone.

    Args:
        row: of the request.
    """

    def __init__(self, row: int):
        super().__init__(row)
        self.row = row


class Job:
    """The texts of a request on their way.

    Args:
        scorer: scores all of them.
        texts: to score, None for those that are not.
        done: called in the scoring thread when all are, or the first has failed, with this job.
    """

    def __init__(self, scorer: Scorer, texts: Sequence[Text | None], done: "Callable[[Job], None]"):
        self.scorer, self.texts, self.done = scorer, texts, done
        self.parts: list[np.ndarray] = []
        self.position = 0  # of the first text that was not taken
        self.turn = 0  # batches that it did not fit into
        self.error: Exception | None = None
        self.cancelled = False

    @property
    def taken(self) -> bool:
        return self.position >= len(self.texts)


class Batcher:
    """A bounded queue, and the thread that scores what is in it.

    Args:
        max_texts: that may wait; more are refused.
        scored: called with the rows and requests of each batch, and the scorer.
    """

    def __init__(self, max_texts: int, scored: Callable[[Scorer, int, int], None] | None = None):
        self.max_texts, self._scored = max_texts, scored
        self._waiting: deque[Job] = deque()
        self._texts = 0
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return self._texts

    def submit(self, job: Job) -> None:
        """Put a job in the queue.

        Raises:
            FullQueue: it does not fit.
        """
        with self._condition:
            if self._closed or (self._texts and self._texts + len(job.texts) > self.max_texts):
                raise FullQueue
            self._texts += len(job.texts)
            self._waiting.append(job)
            self._condition.notify()

    async def score(
        self,
        scorer: Scorer,
        texts: Sequence[Text | None],
        timeout: float,
        gone: "asyncio.Future[Any] | None" = None,
    ) -> np.ndarray:
        """The logits of texts, float32 [n, num_labels], from an event loop. Nothing is scored any more once it is cancelled.

        Args:
            timeout: seconds.
            gone: is done when nobody waits any more.

        Raises:
            FullQueue: they do not fit into the queue. TimeoutError: not all are scored in time. ClientGone: `gone` was done before.
            UnscorableText: the engine fails on one of them.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        job = Job(scorer, texts, lambda job: _call(loop, _finish, future))
        self.submit(job)
        try:
            waited = (future,) if gone is None else (future, gone)
            await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                raise ClientGone if gone is not None and gone.done() else TimeoutError
        finally:
            job.cancelled = not future.done()
        if job.error is not None:
            raise job.error
        return job.parts[0] if len(job.parts) == 1 else np.concatenate(job.parts)

    def close(self) -> None:
        """Take no more; end when all that waits is scored."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._closed:
                    self._condition.wait()
                if not self._waiting:
                    return
                batch = self._gather()
            if batch:
                self._score(batch)

    def _gather(self) -> list[tuple[Job, int, int]]:
        """Parts of the jobs that wait, of one scorer, up to its budget: job, first text, end. At least one text."""
        batch: list[tuple[Job, int, int]] = []
        others: deque[Job] = deque()
        scorer, tokens = None, 0
        while self._waiting:
            job = self._waiting.popleft()
            if job.cancelled or job.error is not None:
                self._texts -= len(job.texts) - job.position
                continue
            if scorer is None:
                scorer = job.scorer
            if job.scorer is not scorer:
                others.append(job)
                continue
            begin = end = job.position
            while end < len(job.texts) and (tokens == 0 or tokens + _tokens(job.texts[end]) <= scorer.budget):
                tokens += _tokens(job.texts[end])
                end += 1
            if end > begin:
                batch.append((job, begin, end))
                job.position = end
                self._texts -= end - begin
            if not job.taken:  # the budget is spent
                job.turn += 1
                if (
                    job.turn % TURN
                ):  # it is gone on with, so that requests of about one size end one after another, not all at the end
                    self._waiting.appendleft(job)
                else:
                    self._waiting.append(job)
                break
        others.extend(self._waiting)
        self._waiting = others
        return batch

    def _score(self, batch: list[tuple[Job, int, int]]) -> None:
        scorer = batch[0][0].scorer
        try:
            logits = scorer.logits([text for job, begin, end in batch for text in job.texts[begin:end]])
        except Exception:
            for job, begin, end in batch:
                self._score_alone(job, begin, end)
        else:
            start = 0
            for job, begin, end in batch:
                job.parts.append(logits[start : start + end - begin])
                start += end - begin
        for job, _, end in batch:
            if job.error is not None or end == len(job.texts):
                job.done(job)
        if self._scored is not None:  # while the answers are on their way
            self._scored(scorer, sum(end - begin for _, begin, end in batch), len(batch))

    @staticmethod
    def _score_alone(job: Job, begin: int, end: int) -> None:
        """Score a part text by text, so that a text that fails fails no request but its own."""
        for row in range(begin, end):
            try:
                job.parts.append(job.scorer.logits([job.texts[row]]))
            except Exception as error:
                job.error = UnscorableText(row)
                job.error.__cause__ = error
                return


def _tokens(text: Text | None) -> int:
    """About as many tokens as a text has."""
    characters = 0 if text is None else len(text) if isinstance(text, str) else sum(map(len, text))
    return TOKENS_OF_A_TEXT + characters // CHARACTERS_PER_TOKEN


def _finish(future: "asyncio.Future[Any]") -> None:
    if not future.done():
        future.set_result(None)


def _call(loop: asyncio.AbstractEventLoop, what: Callable[..., None], *args: Any) -> None:
    """Have an event loop call something; nothing where it has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(what, *args)
