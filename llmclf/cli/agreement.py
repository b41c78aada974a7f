"""`llmclf agreement`."""


def agreement() -> None:
    """Not yet."""
