"""The seconds that a package for agreement takes for a table of codes: its coefficients, and bootstrap replicates.

python -m evals.peers.agreement {krippendorff,irrCAC,evalaudit} CODES.npy REPLICATES

Runs in the peers' environment, as a process of its own: two of the packages are under the GPL. Prints JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int8]
Measured = tuple[float, float]
"""The seconds of the coefficients and of one replicate."""


def seconds(work: Callable[[], object]) -> float:
    """Give the wall time of a piece of work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def krippendorff(codes: Codes, replicates: int) -> Measured:
    """Alpha from counts, and the loop over resampled counts that its users write."""
    import krippendorff as package  # type: ignore[import-not-found]  # installed for the peers alone

    def counted() -> npt.NDArray[np.int64]:
        return np.stack([(codes == code).sum(axis=1) for code in range(codes.max() + 1)], axis=1)

    def alpha(counts: npt.NDArray[np.int64]) -> float:
        return float(package.alpha(value_counts=counts, level_of_measurement="nominal"))

    counts, rng = counted(), np.random.default_rng(0)
    point = seconds(lambda: alpha(counted()))
    loop = seconds(lambda: [alpha(counts[rng.integers(0, len(counts), len(counts))]) for _ in range(replicates)])
    return point, loop / replicates


def irr_cac(codes: Codes, replicates: int) -> Measured:
    """AC1, Fleiss, alpha and Brennan-Prediger with closed-form errors, and anew for each resample."""
    import pandas as pd
    from irrCAC.raw import CAC  # type: ignore[import-not-found]  # installed for the peers alone

    def coefficients(table: Any) -> list[Any]:  # noqa: ANN401  # a DataFrame
        found = CAC(table)
        return [coefficient() for coefficient in (found.gwet, found.fleiss, found.krippendorff, found.bp)]

    table, rng = pd.DataFrame(codes), np.random.default_rng(0)
    draws = [rng.integers(0, len(table), len(table)) for _ in range(replicates)]
    point = seconds(lambda: coefficients(table))
    loop = seconds(lambda: [coefficients(table.iloc[drawn]) for drawn in draws])
    return point, loop / replicates


def evalaudit(codes: Codes, replicates: int) -> Measured:
    """Alpha from the long table, and its own bootstrap."""
    import evalaudit as package  # type: ignore[import-not-found]  # installed for the peers alone
    import pandas as pd

    n, annotators = codes.shape
    item, annotator = np.repeat(np.arange(n), annotators), np.tile(np.arange(annotators), n)
    table = pd.DataFrame({"item_id": item, "rater_id": annotator, "rating": codes.ravel()})
    point = seconds(lambda: package.rater_agreement(table, "nominal", bootstrap_ci=False))
    whole = seconds(lambda: package.rater_agreement(table, "nominal", n_boot=replicates, seed=0))
    return point, max(whole - point, 0.0) / replicates


PEERS = {"krippendorff": krippendorff, "irrCAC": irr_cac, "evalaudit": evalaudit}


def main() -> None:
    """Print what one peer takes."""
    name, path, replicates = sys.argv[1:]
    point, replicate = PEERS[name](np.load(path), int(replicates))
    print(json.dumps({"version": version(name), "point": point, "replicate": replicate}))


if __name__ == "__main__":
    main()
