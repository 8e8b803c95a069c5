"""What scoring did, seen from outside: counters that travel with the rows and are summed by `DataFrame.observe`.

Accumulators would be simpler, but Spark Connect has none.

Spark does not give them in two cases. A table that is created, or replaced, as a select has none (Spark 4.1 and later: `get` fails, or is
empty on Connect), and before Spark 4.1 an empty DataFrame that is saved never answers. A warning is logged; nothing fails.
"""

import logging
import threading
import time
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from sparknlp_tx.spark.compat import can_observe

log = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that Spark has, after an action, to tell what it counted


class ScoringObservation:
    """The counters of one scored DataFrame; `TransformerClassificationModel.observe` makes it."""

    def __init__(self) -> None:
        self._observation = Observation()
        self._begin = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._observed = True

    def on(self, scored: DataFrame, struct: str) -> DataFrame:
        """The DataFrame with the counters in its column `struct` observed; the clock starts."""
        from sparknlp_tx.inference.scoring_settings import STAT_TYPES, STATS

        self._observed = can_observe(scored)
        if not self._observed:
            log.warning("Spark 3.5 has no counters on Connect: metrics will be empty")
            return scored
        sums = (F.sum(F.col(f"`{struct}`.{STATS}.{name}")).alias(name) for name in STAT_TYPES)
        self._begin = time.monotonic()
        return scored.observe(self._observation, *sums)

    @property
    def metrics(self) -> dict[str, float]:
        """What the first action on the DataFrame did. Read it after that action: Spark gets 20 seconds to tell.

        Returns:
            `rows`, `seconds` (by the clock, from `observe` to the first reading of this), `rows_per_second`,
            `tokens_per_second`, `padding` (share of the tokens run, 0 to 1), `duplicates`, `invalid` and `second_looks` (rows),
            `tasks`, `model_loads`, `cache_hits` (tasks that found the model loaded); and summed over all tasks
            `load_seconds`, `tokenise_seconds`, `run_seconds`. Empty, with a warning, where Spark has none, see the head of this module.
        """
        if self._observed and not self._metrics:
            sums = self._sums()
            if not sums:
                log.warning(
                    "Spark has no counters for this action: it has none for a table that is created or replaced as a select. "
                    "Write to a folder, or into a table that is there (writeTo(...).append(), .overwrite(...))"
                )
                self._observed = False
                return {}
            counts = {name: value or 0 for name, value in sums.items()}  # null where there was no row
            self._metrics = _figures(counts, time.monotonic() - self._begin)
        return self._metrics

    def _sums(self) -> dict[str, Any]:
        """What Spark has counted; nothing where it fails to tell, or does not answer: `Observation.get` may wait for ever."""
        found: list[dict[str, Any]] = []

        def get() -> None:
            try:
                found.append(dict(self._observation.get))
            except Exception as error:  # a Java AssertionError, after Delta's create- and replace-table-as-select
                log.debug("no counters: %s", error)

        waiting = threading.Thread(target=get, daemon=True)
        waiting.start()
        waiting.join(PATIENCE)
        return found[0] if found else {}


def _figures(sums: dict[str, Any], seconds: float) -> dict[str, float]:
    return {
        "rows": sums["rows"],
        "seconds": round(seconds, 2),
        "rows_per_second": round(sums["rows"] / seconds, 1),
        "tokens_per_second": round(sums["tokens"] / seconds, 1),
        "padding": round(1 - sums["tokens"] / max(1, sums["padded_tokens"]), 4),
        "duplicates": sums["rows"] - sums["invalid"] - sums["texts"],
        "invalid": sums["invalid"],
        "second_looks": sums["second_looks"],
        "tasks": sums["tasks"],
        "model_loads": sums["loads"],
        "cache_hits": sums["tasks"] - sums["loads"],
        **{name: round(sums[name], 3) for name in ("load_seconds", "tokenise_seconds", "run_seconds")},
    }
