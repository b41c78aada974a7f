"""`llmclf models`."""


def models() -> None:
    """Not yet."""
