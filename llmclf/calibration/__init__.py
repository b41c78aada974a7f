"""What labelled examples teach about a model's scores: probabilities that mean what they say, and where to cut them.

All of it takes arrays: log-scores or probabilities, shape (n, q), one row an item and one column a label, NaN where
the item has no answer; and labels, shape (n,), positions of labels, -1 where the item has none.
"""

from llmclf.calibration.base import Calibration
from llmclf.calibration.cross_fit import CrossFitted, cross_fit
from llmclf.calibration.methods import NAMES, fit, from_dict

__all__ = ["NAMES", "Calibration", "CrossFitted", "cross_fit", "fit", "from_dict"]
