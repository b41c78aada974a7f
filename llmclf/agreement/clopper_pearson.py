"""Clopper and Pearson's one-sided bounds of a share, which are exact whatever the number of items."""


def lower_bound(count: int, n: int, error: float) -> float:
    """Give the end below which the share lies with at most the probability `error` (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv  # type: ignore[import-untyped]  # scipy has no types

    return float(betaincinv(count, n - count + 1, error)) if count else 0.0


def upper_bound(count: int, n: int, error: float) -> float:
    """Give the end above which the share lies with at most the probability `error`; see `lower_bound`."""
    from scipy.special import betaincinv

    return float(betaincinv(count + 1, n - count, 1 - error)) if count < n else 1.0
