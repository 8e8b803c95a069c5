"""What the gate's statistics do on simulated test sets: how often it refuses, and how often its intervals hold the true difference.

  python benchmarks/gates.py [--sets 300] [--rows 3000]

Candidate and champion answer 77 labels; the candidate keeps most of what the champion has right, and mends some of what it has wrong, so
that its accuracy is above or below by what the table says. Each set is drawn anew; the gates have their defaults. No model is scored.
"""

import argparse

import numpy as np

from sparknlp_tx.lifecycle.gating.settings import GateSettings
from sparknlp_tx.metrics.paired import Outcomes, holm, interval, metric_samples, worse_by_more

LABELS = 77
RIGHT = 0.92  # the champion's accuracy
KEPT = 0.97  # of what the champion has right the candidate keeps so much, at a difference of 0


def draw(rng: np.random.Generator, rows: int, difference: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, champion and candidate, int [rows]: the candidate's accuracy is the champion's plus `difference`, on average."""
    truth = rng.integers(0, LABELS, rows)
    wrong = (truth + rng.integers(1, LABELS, rows)) % LABELS
    champion_right = rng.random(rows) < RIGHT
    mended = (1 - KEPT) * RIGHT / (1 - RIGHT)  # as much as is lost
    kept = KEPT + difference / RIGHT
    candidate_right = np.where(champion_right, rng.random(rows) < kept, rng.random(rows) < mended)
    other = (truth + rng.integers(1, LABELS, rows)) % LABELS
    return truth, np.where(champion_right, truth, wrong), np.where(candidate_right, truth, other)


def grouped(truth: np.ndarray, champion: np.ndarray, candidate: np.ndarray) -> Outcomes:
    rows, counts = np.unique(np.stack([truth, champion, candidate], axis=1), axis=0, return_counts=True)
    names = tuple(map(str, range(LABELS)))
    return Outcomes("single_label_classification", names, rows[:, 0], {"champion": rows[:, 1], "candidate": rows[:, 2]}, counts)


def classes_fail(outcomes: Outcomes, bound: float, least_rows: int, corrected: bool) -> bool:
    """Whether the gate of the labels fails, with Holm's correction or without."""
    found = []
    for label in range(LABELS):
        rows = outcomes.truth == label
        counts = outcomes.counts[rows]
        if counts.sum() < least_rows:
            continue
        own, others = (outcomes.predicted[name][rows] == label for name in ("candidate", "champion"))
        found.append(worse_by_more(counts[others & ~own].sum(), counts[own & ~others].sum(), counts.sum(), bound))
    return bool((holm(found) if corrected else np.asarray(found)).min() < 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=300)
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parser.parse_args()
    settings = GateSettings()
    assert settings.metric is not None
    assert settings.classes is not None
    rng = np.random.default_rng(0)
    same = grouped(*(lambda t, c, _: (t, c, c))(*draw(rng, options.rows, 0.0)))
    passed = 0
    for seed in range(100):
        values, samples = metric_samples(same, "accuracy", 1_000, seed)
        passed += interval(0.0, samples["candidate"] - samples["champion"]).low > -settings.metric.margin
    print(f"a model against itself passes the metric's gate in {passed} of 100 seeds")
    print(
        f"{options.sets} sets of {options.rows:,} rows, margin {settings.metric.margin:g}, labels' bound {settings.classes.bound:g}\n"
    )
    print(
        f"{'true difference':>16} {'refused':>9} {'interval holds it':>18} {'mean width':>11} {'labels fail':>12} {'without Holm':>13}"
    )
    for difference in (0.01, 0.005, 0.0, -0.005, -0.01, -0.02):
        refused = held = failed = failed_plain = 0
        widths = []
        for seed in range(options.sets):
            outcomes = grouped(*draw(rng, options.rows, difference))
            values, samples = metric_samples(outcomes, "accuracy", options.resamples, seed)
            found = interval(values["candidate"] - values["champion"], samples["candidate"] - samples["champion"])
            refused += found.low <= -settings.metric.margin
            held += found.low <= difference <= found.high
            widths.append(found.high - found.low)
            failed += classes_fail(outcomes, settings.classes.bound, settings.classes.least_rows, True)
            failed_plain += classes_fail(outcomes, settings.classes.bound, settings.classes.least_rows, False)
        shares = [count / options.sets for count in (refused, held)]
        print(
            f"{difference:>+16.3f} {shares[0]:>9.1%} {shares[1]:>18.1%} {np.mean(widths):>11.4f} "
            f"{failed / options.sets:>12.1%} {failed_plain / options.sets:>13.1%}"
        )


if __name__ == "__main__":
    main()
