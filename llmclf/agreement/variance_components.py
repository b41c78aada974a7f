"""What makes a model's answers vary: the items, the wordings of the prompt, or chance from run to run."""

from dataclasses import asdict, dataclass
from itertools import compress, product
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from llmclf.agreement.counts import Floats
from llmclf.agreement.estimate import Estimate, Undefined
from llmclf.agreement.intervals import jackknife
from llmclf.agreement.ratings import MISSING, Codes
from llmclf.errors import InputError

Method = Literal["anova", "reml"]
Facet = Literal["prompt", "run", "order", "paraphrase", "codes"]

ITEM, FACET, INTERACTION, RESIDUAL = range(4)


@dataclass(frozen=True)
class Component:
    """One source of variance, and the mean square of its row in the analysis of variance."""

    name: str
    variance: Estimate
    share: float
    """Of the sum of all components."""
    mean_square: float
    degrees_of_freedom: int


@dataclass(frozen=True)
class VarianceComponents:
    """The parts of the variance of one answer about one item."""

    components: tuple[Component, ...]
    n_items: int
    n_left_out: int
    """Items with a missing answer."""
    method: Method

    def to_dict(self) -> dict[str, object]:
        """Give the fields by name."""
        return asdict(self)


def variance_components(
    answers: Floats, method: Method = "anova", facet: Facet = "prompt"
) -> VarianceComponents | Undefined:
    """Estimate the components of a fully crossed random-effects design (Searle, Casella & McCulloch 1992, chapter 4).

    By ANOVA, observed mean squares are set equal to expected ones, and negative components to 0. By REML, mean squares
    are first made to follow the order of the expected ones, by isotonic regression weighted by degrees of freedom.
    Intervals are over items, with these prompts and as many runs. Undefined with fewer than three items or two prompts,
    or where all answers are the same.

    Args:
        answers: shape (items, prompts) or (items, runs), or by another facet, with the item-by-facet interaction in
            the residual; or (items, prompts, runs), where the runs of a prompt about an item are replicates. NaN is
            missing.
        method: `anova`, or `reml` for restricted maximum likelihood.
        facet: what the columns are where there are two axes.

    Raises:
        InputError: there are not two or three axes.

    """
    if answers.ndim not in (2, 3):
        raise InputError(f"answers have {answers.ndim} axes", "Give items x prompts, items x runs, or all three")
    return _components(answers[..., np.newaxis], ~np.isnan(answers), method, facet)


def variance_components_of_labels(codes: Codes, facet: Facet = "prompt") -> VarianceComponents | Undefined:
    """Add up the components of each nominal label's indicator, 1 where it was given and 0 elsewhere, by ANOVA.

    The sum is the chance that two answers differ, as in Light & Margolin (1971), split by source.

    Args:
        codes: of the shapes that `variance_components` takes; -1 is missing.
        facet: what the columns are where there are two axes.

    Raises:
        InputError: there are not two or three axes.

    """
    if codes.ndim not in (2, 3):
        raise InputError(f"answers have {codes.ndim} axes", "Give items x prompts, items x runs, or all three")
    indicators = (codes[..., np.newaxis] == np.unique(codes[codes != MISSING])).astype(np.float64)
    return _components(indicators, codes != MISSING, "anova", facet)


class _MeanSquares(NamedTuple):
    """Rows: of all items, then without each one. Columns: item, facet, and interaction and residual or these as one."""

    mean_squares: Floats
    degrees_of_freedom: Floats
    n_items: Floats
    """Shape (rows,)."""


def _components(
    answers: Floats, given: npt.NDArray[np.bool_], method: Method, facet: Facet
) -> VarianceComponents | Undefined:
    complete = given.reshape(len(given), -1).all(axis=1)
    answers = answers[complete]
    n, n_prompts = answers.shape[:2]
    n_runs = answers.shape[2] if answers.ndim == 4 else 1
    if n < 3:
        return Undefined(f"{n} item{'' if n == 1 else 's'} without a missing answer; variance and its error need three")
    if n_prompts < 2:
        return Undefined(f"one {facet} only; its variance needs two")
    if (answers == answers.flat[: answers.shape[-1]]).all():
        return Undefined("all answers are the same")
    found = _analysis_of_variance(answers.reshape(n, n_prompts, n_runs, -1))
    expected = found.mean_squares if method == "anova" else _isotonic(found)
    base = expected[:, INTERACTION]
    variances = {
        "item": (expected[:, ITEM] - base) / (n_prompts * n_runs),
        facet: (expected[:, FACET] - base) / (found.n_items * n_runs),
    }
    if n_runs > 1:
        variances[f"item:{facet}"] = (base - expected[:, RESIDUAL]) / n_runs
    variances["residual"] = expected[:, -1]
    whole = np.maximum(np.stack(list(variances.values()), axis=1), 0)
    total = whole[0].sum()
    components = [
        Component(
            name,
            jackknife(float(column[0]), column[1:], bounds=(0.0, np.inf)),
            float(column[0] / total),
            float(mean_square),
            int(df),
        )
        for name, column, mean_square, df in zip(
            variances, whole.T, found.mean_squares[0], found.degrees_of_freedom[0], strict=True
        )
    ]
    return VarianceComponents(tuple(components), n, int((~complete).sum()), method)


def _analysis_of_variance(answers: Floats) -> _MeanSquares:
    """Compute mean squares of answers (items, prompts, runs, measures), summed over measures."""
    n, n_prompts, n_runs = answers.shape[:3]
    cell = answers.mean(axis=2)
    item = cell.mean(axis=1)
    of_item = item - item.mean(axis=0)
    effect = cell - item[:, np.newaxis]
    of_prompt = effect.mean(axis=0)
    of_prompt_without = (n * of_prompt - effect) / (n - 1)

    def about_mean(per_item: Floats) -> Floats:
        return np.concatenate([[per_item.sum()], per_item.sum() - n / (n - 1) * per_item])

    def added(per_item: Floats) -> Floats:
        return np.concatenate([[per_item.sum()], per_item.sum() - per_item])

    left = np.full(n + 1, n - 1.0)
    left[0] = n
    squares = [
        n_prompts * n_runs * about_mean((of_item**2).sum(axis=1)),
        left * n_runs * np.concatenate([[(of_prompt**2).sum()], (of_prompt_without**2).sum(axis=(1, 2))]),
        n_runs * about_mean(((effect - of_prompt) ** 2).sum(axis=(1, 2))),
    ]
    df = [left - 1, np.full(n + 1, n_prompts - 1.0), (left - 1) * (n_prompts - 1)]
    if n_runs > 1:
        squares.append(added(((answers - cell[:, :, np.newaxis]) ** 2).sum(axis=(1, 2, 3))))
        df.append(left * n_prompts * (n_runs - 1))
    sums, degrees = np.stack(squares, axis=1), np.stack(df, axis=1)
    return _MeanSquares(sums / np.maximum(degrees, 1), degrees, left)


def _isotonic(found: _MeanSquares) -> Floats:
    """Fit residual <= interaction <= item and facet: of all ways to pool them with the interaction, the closest.

    Minimising sum df (log theta + MS / theta), as REML does for balanced data, and sum df (MS - theta)^2
    under an order have the same solution (Robertson, Wright & Dykstra 1988, section 1.5).
    """
    squares, df, _ = found
    others = [column for column in range(squares.shape[1]) if column != INTERACTION]
    best = np.full(squares.shape, np.nan)
    smallest = np.full(len(squares), np.inf)
    for pooled in product((False, True), repeat=len(others)):
        group = [INTERACTION, *compress(others, pooled)]
        theta = squares.copy()
        theta[:, group] = ((df * squares)[:, group].sum(axis=1) / df[:, group].sum(axis=1))[:, np.newaxis]
        base = theta[:, [INTERACTION]]
        ordered = (theta[:, :INTERACTION] >= base).all(axis=1) & (theta[:, RESIDUAL:] <= base).all(axis=1)
        distance = np.where(ordered, (df * (squares - theta) ** 2).sum(axis=1), np.inf)
        closer = distance < smallest
        best[closer], smallest[closer] = theta[closer], distance[closer]
    return best
