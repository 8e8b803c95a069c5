"""Texts of three topics that a tiny model learns in seconds."""

import random

TOPICS = {
    "card": "card lost stolen blocked pin plastic wallet atm contactless",
    "rate": "exchange rate currency euro dollar convert fee abroad",
    "transfer": "transfer money account pending recipient bank iban sent",
}
FILLER = ["please", "help", "me", "with", "my", "today", "why", "is", "the", "what", "can", "i", "do", "about", "now"]


def texts_of_topics(rows_per_topic: int, seed: int = 0) -> list[tuple[str, str]]:
    """(text, topic) rows that a small model learns in a few steps; no two texts alike."""
    draw = random.Random(seed)
    rows = {}
    for topic, words in TOPICS.items():
        while sum(label == topic for label in rows.values()) < rows_per_topic:
            words_of_text = draw.choices(FILLER, k=draw.randint(1, 12)) + draw.choices(words.split(), k=draw.randint(2, 4))
            draw.shuffle(words_of_text)
            rows.setdefault(" ".join(words_of_text), topic)
    rows = list(rows.items())
    draw.shuffle(rows)
    return rows
