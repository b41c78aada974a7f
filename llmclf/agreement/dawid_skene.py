"""The labels that a crowd's ratings make most likely, when each annotator errs in ways of their own."""

from dataclasses import dataclass, replace

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Undefined
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.ratings import MISSING

TOLERANCE = 1e-12
"""EM ends when a step adds less than this part of the log-likelihood."""


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """A maximum of the likelihood of Dawid & Skene (1979), for n items, A annotators and q labels."""

    prevalence: Floats
    """p_j, the share of items with true label j: shape (q,)."""
    error_matrices: Floats
    """pi_ajl, how likely annotator a says l where j is true: shape (A, q, q).

    Row j is all zeros where nothing that the annotator rated can be j, so that nothing is known of it.
    """
    posterior: Floats
    """T_ij, how likely item i has true label j: shape (n, q); the prevalence where the item has no rating."""
    rated: Ints
    """Positions of the items with a rating: shape (n_rated,)."""
    log_likelihood: float
    iterations: int
    converged: bool
    start: str
    """Where EM began: `majority`, or `random` where one of the random starts came higher."""

    @property
    def codes(self) -> Ints:
        """The most likely label of each item, -1 where it has no rating: shape (n,)."""
        codes = np.full(len(self.posterior), MISSING)
        codes[self.rated] = self.posterior[self.rated].argmax(axis=1)
        return codes

    def to_dict(self) -> dict[str, object]:
        """Give what describes the crowd as a whole; posteriors and error matrices grow with it."""
        return {
            "prevalence": self.prevalence.tolist(),
            "log_likelihood": self.log_likelihood,
            "iterations": self.iterations,
            "converged": self.converged,
            "start": self.start,
            "n_items": len(self.rated),
            "n_annotators": len(self.error_matrices),
        }


def dawid_skene(
    ratings: LongForm, random_starts: int = 0, seed: int = 0, max_iterations: int = 5_000
) -> DawidSkene | Undefined:
    """Estimate labels, prevalence and every annotator's errors by EM (Dawid & Skene 1979, equations 2.3 to 2.5).

    EM climbs to a maximum of the likelihood, which may be a local one. It starts from each item's shares of votes,
    and from as many random points beside it as asked for; the highest end counts. Undefined where no item
    has two ratings, only one label occurs, or the ratings are fewer than the parameters, which would fit anything.
    """
    if ratings.n_ratings.max(initial=0) < 2:
        return Undefined(NO_PAIRS)
    if ratings.label.min() == ratings.label.max():
        return Undefined(ONE_LABEL)
    if refusal := _too_few(ratings):
        return refusal
    rated, item = np.unique(ratings.item, return_inverse=True)
    compact = replace(ratings, item=item, n_items=len(rated))
    votes = compact.counts() / compact.n_ratings[:, np.newaxis]
    best = _climb(compact, votes, "majority", max_iterations)
    random = np.random.default_rng(seed)
    for _ in range(random_starts):
        drawn = random.dirichlet(np.ones(ratings.n_labels), len(rated))
        found = _named_by_votes(_climb(compact, drawn, "random", max_iterations), votes)
        if found.log_likelihood > best.log_likelihood + 1e-6:  # less is the same maximum
            best = found
    posterior = np.tile(best.prevalence, (ratings.n_items, 1))
    posterior[rated] = best.posterior
    return replace(best, posterior=posterior, rated=rated)


def _too_few(ratings: LongForm) -> Undefined | None:
    n, q, n_annotators = len(ratings.label), len(np.unique(ratings.label)), len(np.unique(ratings.annotator))
    parameters = q - 1 + n_annotators * q * (q - 1)
    if n >= parameters:
        return None
    return Undefined(f"{n} ratings are fewer than {parameters} parameters: {n_annotators} annotators' errors")


def _climb(ratings: LongForm, posterior: Floats, start: str, max_iterations: int) -> DawidSkene:
    before, converged = -np.inf, False
    for iteration in range(1, max_iterations + 1):  # noqa: B007  # the last one is reported
        prevalence, error_matrices = _maximise(ratings, posterior)
        posterior, log_likelihood = _expect(ratings, prevalence, error_matrices)
        converged = log_likelihood - before <= TOLERANCE * abs(log_likelihood)
        if converged:
            break
        before = log_likelihood
    everyone = np.arange(ratings.n_items)
    return DawidSkene(prevalence, error_matrices, posterior, everyone, log_likelihood, iteration, converged, start)


def _maximise(ratings: LongForm, posterior: Floats) -> tuple[Floats, Floats]:
    """Equations 2.3 and 2.4: pi_ajl = sum_i T_ij n_ial / sum_l sum_i T_ij n_ial, and p_j = mean of T_ij."""
    q, n_annotators = ratings.n_labels, ratings.n_annotators
    given = ratings.annotator * q + ratings.label
    sums = [np.bincount(given, column[ratings.item], n_annotators * q) for column in posterior.T]
    counts = np.stack([total.reshape(n_annotators, q) for total in sums], axis=1).astype(np.float64, copy=False)
    return posterior.mean(axis=0), _shares(counts)


def _expect(ratings: LongForm, prevalence: Floats, error_matrices: Floats) -> tuple[Floats, float]:
    """Equation 2.5: T_ij proportional to p_j prod_a prod_l pi_ajl ^ n_ial; with the log of their sum over j."""
    with np.errstate(divide="ignore"):  # what cannot be has log-probability -inf
        log_prevalence, log_errors = np.log(prevalence), np.log(error_matrices)
    joint = np.stack(
        [
            log_prior + np.bincount(ratings.item, log_errors[ratings.annotator, j, ratings.label], ratings.n_items)
            for j, log_prior in enumerate(log_prevalence)
        ],
        axis=1,
    )
    highest = joint.max(axis=1, keepdims=True)
    scaled = np.exp(joint - highest)
    log_likelihood = float((highest[:, 0] + np.log(scaled.sum(axis=1))).sum())
    return _shares(scaled), log_likelihood


def _shares(x: Floats) -> Floats:
    """Divide by the sum over the last axis; zeros stay zeros."""
    total = x.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(x, total, out=np.zeros_like(x), where=total > 0))


def _named_by_votes(found: DawidSkene, votes: Floats) -> DawidSkene:
    """Order the labels that a random start found so that they match the votes: their likelihood has no names."""
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]  # scipy has no types

    _, order = linear_sum_assignment(votes.T @ found.posterior, maximize=True)
    return replace(
        found,
        prevalence=found.prevalence[order],
        error_matrices=found.error_matrices[:, order],
        posterior=found.posterior[:, order],
    )
