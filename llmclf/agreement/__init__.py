"""How far annotators agree: people with each other, and a model with each of them.

A coefficient takes `Ratings` and gives an `Estimate`, or says with `Undefined` why it has no value.
Nothing here knows how labels were made: no backend is imported.
"""

from llmclf.agreement.coefficients import coefficients
from llmclf.agreement.estimate import Coefficient, Estimate, Undefined
from llmclf.agreement.ratings import Rating, Ratings

__all__ = ["Coefficient", "Estimate", "Rating", "Ratings", "Undefined", "coefficients"]
