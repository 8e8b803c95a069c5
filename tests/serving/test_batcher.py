"""The batcher: what is gathered, in which order it comes back, who fails, who is refused."""

import asyncio
import threading

import numpy as np
import pytest

from sparknlp_tx.serving.batcher import Batcher, FullQueue, UnscorableText


class Lengths:
    """Scores a text by its length; holds each batch until it may go; fails on a text that says so."""

    budget = 40

    def __init__(self):
        self.batches, self.go = [], threading.Event()
        self.go.set()

    def logits(self, texts):
        self.go.wait(10)
        self.batches.append(list(texts))
        if any("bad" in text for text in texts):
            raise RuntimeError("a bad text")
        return np.array([[len(text)] for text in texts], np.float32)


@pytest.fixture
def batcher():
    batcher = Batcher(max_texts=100)
    yield batcher
    batcher.close()


def run(*scorings):
    async def all_of_them():
        return await asyncio.gather(*scorings, return_exceptions=True)

    return asyncio.run(all_of_them())


def test_what_waits_is_gathered_and_comes_back_in_order(batcher):
    scorer = Lengths()
    scorer.go.clear()
    threading.Timer(0.3, scorer.go.set).start()
    found = run(*[batcher.score(scorer, ["x" * n, "y" * (n + 1)], 10) for n in range(1, 9)])
    assert [answer[:, 0].tolist() for answer in found] == [[n, n + 1] for n in range(1, 9)]
    assert len(scorer.batches) == 2  # the first at once, the others together
    assert batcher.waiting == 0


def test_a_large_request_goes_in_parts_and_lets_others_through(batcher):
    scorer = Lengths()
    large, small = run(batcher.score(scorer, ["x" * 60] * 30, 10), batcher.score(scorer, ["small"], 10))
    assert large.shape == (30, 1)
    assert small[0, 0] == 5
    assert max(map(len, scorer.batches)) <= 3
    place = next(number for number, batch in enumerate(scorer.batches) if "small" in batch)
    assert place < len(scorer.batches) // 2 + 1


def test_a_bad_text_fails_its_own_request_alone(batcher):
    scorer = Lengths()
    scorer.go.clear()
    threading.Timer(0.3, scorer.go.set).start()
    texts = (["first"], ["good"], ["fine", "bad"], ["also"])
    first, good, bad, also = run(*[batcher.score(scorer, each, 10) for each in texts])
    assert (first[0, 0], good[0, 0], also[0, 0]) == (5, 4, 4)
    assert isinstance(bad, UnscorableText)
    assert bad.row == 1


def test_who_leaves_is_not_scored_and_a_full_queue_refuses(batcher):
    scorer = Lengths()
    scorer.go.clear()

    async def leave():
        first = asyncio.ensure_future(batcher.score(scorer, ["first"], 10))
        await asyncio.sleep(0.1)
        left = asyncio.ensure_future(batcher.score(scorer, ["left"] * 60, 10))
        await asyncio.sleep(0)
        with pytest.raises(FullQueue):
            await batcher.score(scorer, ["one"] * 60, 10)
        with pytest.raises(TimeoutError if hasattr(asyncio, "timeout") else asyncio.TimeoutError):
            await batcher.score(scorer, ["late"], 0.1)
        left.cancel()
        await asyncio.sleep(0)
        scorer.go.set()
        return await first

    assert asyncio.run(leave())[0, 0] == 5
    assert run(batcher.score(scorer, ["next"], 10))[0][0, 0] == 4
    assert not {"left", "late"} & {text for batch in scorer.batches for text in batch}
    assert batcher.waiting == 0
