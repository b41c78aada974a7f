"""The items that every annotator rated, for coefficients that know no missing rating."""

import numpy as np

from llmclf.agreement.estimate import NO_PAIRS, ONE_LABEL, Undefined
from llmclf.agreement.ratings import MISSING, Codes, Ratings


def complete_items(ratings: Ratings, what: str) -> Codes | Undefined:
    """Keep the items that all annotators rated, or say why what is asked for is undefined."""
    r = len(ratings.annotators)
    if r < 2:
        return Undefined(NO_PAIRS)
    complete: Codes = ratings.codes[(ratings.codes != MISSING).all(axis=1)]
    if len(complete) == 0:
        return Undefined(f"no item was rated by all {r} annotators; {what} takes complete items only")
    return Undefined(ONE_LABEL) if complete.min() == complete.max() else complete


def items_left_out(ratings: Ratings, n: int) -> str:
    """Tell, for `method`, how many items with a rating were left out because not all annotators rated them."""
    left_out = int(np.count_nonzero((ratings.codes != MISSING).any(axis=1))) - n
    return f"; {left_out} incomplete item{'' if left_out == 1 else 's'} left out" if left_out else ""
