"""Thresholds that give each label its best F1 on validation rows."""

import numpy as np


def tune_thresholds(truth: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """For each label the threshold with the best F1 on some rows: bool [n, k] and float [n, k] to k numbers from 0 to 1.

    It lies halfway between two neighbouring probabilities; 0.5 for a label that no row has. (Fan and Lin 2007, "A Study on
    Threshold Selection for Multi-label Classification", their optimisation of F for each label.)
    """
    thresholds = []
    for right, values in zip(truth.T, probabilities.T, strict=True):
        if not right.any():
            thresholds.append(0.5)
            continue
        order = np.argsort(-values, kind="stable")
        hits, sizes = np.cumsum(right[order]), np.arange(1, len(order) + 1)
        f1 = 2 * hits / (sizes + right.sum())
        following = np.append(values[order][1:], 0.0)
        f1[values[order] == following] = -1  # no threshold parts equal probabilities
        best = int(f1.argmax())
        thresholds.append(float((values[order][best] + following[best]) / 2))
    return thresholds
