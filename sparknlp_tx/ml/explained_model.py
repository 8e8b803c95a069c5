"""Which words decided: the methods of a fitted model that say so, for a list and for a table."""

from collections.abc import Sequence

from pyspark.sql import DataFrame

from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.word_weights import EXACT_WORDS, WordWeights, check_exact_words, explain_words, label_index
from sparknlp_tx.ml.fitted_model import FittedModel
from sparknlp_tx.ml.schema_checks import check_texts
from sparknlp_tx.scoring.word_table import words_by_label


class ExplainedModel(FittedModel):
    """What `TransformerClassificationModel` has to explain its decisions."""

    def explain_words(
        self, texts: Sequence[str | tuple[str, str] | None], label: str | None = None, exact_words: int = EXACT_WORDS
    ) -> list[WordWeights]:
        """Which words of each text decided, found by leaving words out; on this machine, without Spark, with the engine that scores.

        A word's weight is by how much the predicted label's logit, less the best other one's, falls where the word is left out: positive,
        it speaks for the label. Of several labels a row each predicted one is compared with its threshold, of a number it is the change.
        Weights do not add up to the margin: what a text says twice, it says without either of the two. Words beyond `maxLength` tokens weigh nothing and are marked (`read`).

        Args:
            texts: texts, or (text, pair) tuples with `textPairCol`. None and empty texts are handled as `handleInvalid` says.
            label: explain this label instead of the predicted one.
            exact_words: in a text of up to so many words each one is left out: as many scorings as it has words, and two. A longer one
                takes about 18: words are left out of pieces of it, and those that told most there, of all of it; the weights of the
                others are estimates, and marked (`exact`).

        Returns:
            An item a text: `label`, `runner_up`, `margin`, and `words` with their places and weights; it shows itself in colour in a notebook.

        Raises:
            InputError: no list of texts; a label that there is not.
        """
        self.ensure_export()
        scoring = self.scoring_settings(ModelLocation(str(self.directory), self._files))
        return explain_words(texts, scoring, label, exact_words)

    def words_by_label(self, dataset: DataFrame, label: str | None = None, exact_words: int = EXACT_WORDS) -> DataFrame:
        """Which words decide for each label over a table: `explain_words` of each row on the executors, added up by Spark.

        Explaining takes as many scorings of a row as it has words, and at most about 18 of one of more than `exact_words`: a sample of
        some thousand rows says what the whole table does. No job is started here, and nothing is kept: save what is looked at twice.

        Args:
            dataset: a table with the text columns; rows without a text count for nothing, or fail, as `handleInvalid` says.
            label, exact_words: as in `explain_words`; without `label` each row counts for the labels that are predicted for it.

        Returns:
            `label` (null for a number), `word` in lower case, `rows` (that have it), `weight` (the sum), `mean_weight` (of those
            rows); what weighs most, for the label or against it, first.

        Raises:
            InputError: a text column is missing or is no text; a label that there is not.
        """
        check_texts(self, dataset)
        check_exact_words(exact_words)
        index = label_index(self.decision, label)
        return words_by_label(dataset, self.distributed_scoring(dataset.sparkSession), index, exact_words)
