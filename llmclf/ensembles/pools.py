"""Answers of several models pooled item by item: by votes, by probabilities, or by what each model's answers are worth.

R answers of A models about n items, with q labels; an item is pooled from those that answer it.
"""

from dataclasses import dataclass

import numpy as np

from llmclf.agreement.counts import Floats, Ints
from llmclf.agreement.dawid_skene import dawid_skene
from llmclf.agreement.estimate import Undefined
from llmclf.agreement.long_form import LongForm
from llmclf.agreement.majority import majority
from llmclf.agreement.ratings import MISSING
from llmclf.ensembles.opinions import Opinions
from llmclf.levels import Level

_EQUAL = 1e-12
"""Sums that differ by less differ by rounding only."""


@dataclass(frozen=True, eq=False)
class Pooled:
    """One label an item, and its probabilities."""

    codes: Ints
    """Shape (n,): -1 where no label is above all others, or nothing was pooled."""
    probabilities: Floats
    """Shape (n, q): NaN where there are none."""
    n_answers: Ints
    """Of those that were pooled, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often each of A models is right."""

    accuracy: Floats
    weight: Floats


def by_votes(opinions: Opinions) -> Pooled:
    """Take the label with the most votes or, on an ordered scale, the median vote.

    A tie goes to the one of its labels with the greatest sum of probabilities, if all who voted gave them; otherwise,
    or where these tie too, there is no label. Probabilities are shares of the votes.
    """
    votes = opinions.votes
    counts, n_votes = votes.counts(), votes.n_ratings[:, np.newaxis]
    if votes.level is Level.NOMINAL:
        favoured = (counts == counts.max(axis=1, keepdims=True)) & (n_votes > 0)
    else:
        middle, label = majority(votes), np.arange(votes.n_labels)
        favoured = (label >= middle.low[:, np.newaxis]) & (label <= middle.high[:, np.newaxis]) & (n_votes > 0)
    sums = np.nan_to_num(_sums(votes, opinions.probabilities), nan=0.0)
    return Pooled(_highest(np.where(favoured, sums, -np.inf)), _divided(counts, n_votes), n_votes[:, 0])


def linear_pool(opinions: Opinions) -> Pooled:
    """Average the probabilities: p_j = mean over the models m of p_mj (Stone 1961)."""
    given = opinions.with_probabilities()
    n_answers = given.votes.n_ratings
    pooled = _divided(_sums(given.votes, given.probabilities), n_answers[:, np.newaxis])
    return Pooled(_highest(pooled), pooled, n_answers)


def logarithmic_pool(opinions: Opinions, weight: Floats | None = None) -> Pooled:
    """Average the log-probabilities: p_j proportional to prod_m p_mj ^ (w_m / sum of w) (Genest & Zidek 1986).

    The sum is over the models that answer the item. Where each label is impossible to one of them, or all of them
    have no weight, nothing can be said: probabilities are NaN, and the item is a tie.

    Args:
        opinions: of the models.
        weight: w, shape (A,), not negative; all the same if not given.

    """
    given = opinions.with_probabilities()
    n_answers = given.votes.n_ratings
    w = np.ones(given.votes.n_annotators) if weight is None else weight
    heard = given.taken(w[given.votes.annotator] > 0)
    of_answer = w[heard.votes.annotator][:, np.newaxis]
    total = _sums(heard.votes, of_answer)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is impossible has log-probability -inf
        logs = _divided(_sums(heard.votes, of_answer * np.log(heard.probabilities)), total)
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    pooled = shares / shares.sum(axis=1, keepdims=True)
    return Pooled(_highest(pooled), pooled, n_answers)


def by_dawid_skene(opinions: Opinions) -> Pooled | Undefined:
    """Take the label that Dawid & Skene's (1979) model of the votes makes most likely, by its posterior.

    Where all votes are for one label, its likelihood is greatest when that is certain.
    """
    votes = opinions.votes
    n_votes = votes.n_ratings
    if len(votes.label) and votes.label.min() == votes.label.max():
        posterior = np.eye(votes.n_labels)[np.full(votes.n_items, votes.label[0])]
    else:
        found = dawid_skene(votes)
        if isinstance(found, Undefined):
            return found
        posterior = found.posterior
    posterior = np.where(n_votes[:, np.newaxis] > 0, posterior, np.nan)
    return Pooled(_highest(posterior), posterior, n_votes)


def reliability(votes: LongForm, posterior: Floats) -> Reliability:
    """Give each model's accuracy and the weight that it earns.

    With c of a model's N votes right, a = (c + 1) / (N + q), Laplace's rule of succession, and
    w = max(0, ln((q - 1) a / (1 - a))): the weight of independent voters (Nitzan & Paroush 1982) of q labels that are
    mistaken for each other alike. It is 0 for a model that is right as often as chance, and for one without votes.

    Args:
        votes: of A models.
        posterior: how likely each item has each label, by Dawid & Skene or, as 0 and 1, by people. Shape (n, q), NaN
            where it is not known.

    """
    q = votes.n_labels
    right = posterior[votes.item, votes.label]
    known = ~np.isnan(right)
    of_model = votes.annotator[known]
    c = np.bincount(of_model, right[known], votes.n_annotators)
    accuracy = (c + 1) / (np.bincount(of_model, minlength=votes.n_annotators) + q)
    return Reliability(accuracy, np.maximum(0, np.log((q - 1) * accuracy / (1 - accuracy))))


def _sums(votes: LongForm, values: Floats) -> Floats:
    """Add up the rows of each item: from shape (R, k) to (n, k)."""
    return np.stack([np.bincount(votes.item, column, votes.n_items) for column in values.T], axis=1)


def _divided(x: Floats | Ints, by: Floats | Ints) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    return np.asarray(np.divide(x, by, out=np.full(x.shape, np.nan), where=by > 0))


def _highest(x: Floats) -> Ints:
    """Give the place of each row's highest value, -1 where several are as high or all are NaN."""
    filled = np.where(np.isnan(x), -np.inf, x)
    top = filled.max(axis=1, keepdims=True)
    is_alone = np.count_nonzero((filled >= top - _EQUAL) & (top > -np.inf), axis=1) == 1
    return np.where(is_alone, filled.argmax(axis=1), MISSING)
