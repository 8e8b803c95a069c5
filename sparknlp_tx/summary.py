"""What a fitted model says of its training."""


class TrainingSummary(dict):
    """`training.TrainingResult` as a dict, and `int8`; what Spark ML's summaries have goes by their names.

    Empty for a model that was not trained by this library.
    """

    @property
    def objectiveHistory(self) -> list[float]:
        """The training loss of each line that the Trainer logged."""
        return [entry["loss"] for entry in self.get("history", []) if "loss" in entry]

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on the validation rows, of the epoch that was kept; empty without validation rows."""
        return self.get("metrics", {})

    @property
    def bestEpoch(self) -> float | None:
        """The epoch that was kept, from 1."""
        return self.get("best_epoch")

    @property
    def trainSeconds(self) -> float | None:
        """Seconds that the Trainer took, evaluation included."""
        return self.get("train_seconds")

    @property
    def rowsPerSecond(self) -> float | None:
        """Training rows a second."""
        return self.get("rows_per_second")
