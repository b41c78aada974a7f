"""When a 95 % interval over items promises more than it holds."""

from typing import Final

import numpy as np

from llmclf.agreement.ratings import MISSING, Ratings, pairable

FEWEST_ITEMS: Final = 30
FEWEST_OTHERS: Final = 10
"""Of items that do not have the commonest label. Both as found by `python -m evals.coverage`."""


def interval_warning(n_items: int, prevalence: float) -> str | None:
    """Warn where intervals by jackknife and t hold the truth in less than .93 of samples; None where they do not.

    Args:
        n_items: those with two or more ratings.
        prevalence: the share of the commonest label, as `commonest_share` gives it.

    """
    others = n_items * (1 - prevalence)
    if n_items < FEWEST_ITEMS:
        few = f"{n_items} items are few"
    elif others < FEWEST_OTHERS - 1e-9:  # 100 x (1 - .9) is a little less than 10
        few = f"about {others:.0f} of {n_items:,} items have another label than the commonest, which is few"
    else:
        return None
    return (
        f"{few}: 95 % intervals of kappa and alpha are too narrow here, and held the truth in 76 to 93 % of "
        f"simulated samples with fewer than {FEWEST_ITEMS} items, or fewer than {FEWEST_OTHERS} with another label"
    )


def commonest_share(ratings: Ratings) -> float | None:
    """Give the share of the commonest label in the ratings of items with two or more; None without such items."""
    both = pairable(ratings.codes)
    counts = np.bincount(both[both != MISSING], minlength=1)
    return float(counts.max() / counts.sum()) if counts.any() else None
