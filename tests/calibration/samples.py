"""Scores of a model whose faults are known."""

import numpy as np

from llmclf.agreement.counts import Floats, Ints


def answers(seed: int, n: int, q: int, temperature: float = 1.0, bias: Floats | float = 0.0) -> tuple[Floats, Ints]:
    """Draw labels evenly and log-scores that are temperature x (log-likelihoods + bias)."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, q, n)
    shown = random.normal(size=(n, q))
    shown[np.arange(n), labels] += 2
    return temperature * (2 * shown + bias), labels  # 2 x is the log-likelihood ratio of normals 2 apart


def log_loss(probabilities: Floats, labels: Ints) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())
