"""Students: small classifiers that learn a model's recorded labels, and label the rest."""
