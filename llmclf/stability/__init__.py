"""How far a model's answers change when it is asked again, or in another way."""
