"""Which words decided: words are left out of texts, through the engine that scores. Imports what inference is made of; no Spark, no torch.

`explain_words` explains texts with the settings they are scored with; `weigh_words` with an engine.
"""

from sparknlp_tx.inference.word_weights.results import Word, WordWeights
from sparknlp_tx.inference.word_weights.weights import EXACT_WORDS, check_exact_words, explain_words, label_index, weigh_words

__all__ = ["EXACT_WORDS", "Word", "WordWeights", "check_exact_words", "explain_words", "label_index", "weigh_words"]
