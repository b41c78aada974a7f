"""`llmclf audit`."""


def audit() -> None:
    """Not yet."""
