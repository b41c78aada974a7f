"""How long `import llmclf` and `llmclf --help` take, beside Python's own start: medians of whole processes.

python -m evals.startup
"""

import statistics
import subprocess
import sys
import time

RUNS = 11
CASES = {
    "python alone": ["-c", "pass"],
    "import llmclf": ["-c", "import llmclf"],
    "llmclf --help": ["-m", "llmclf", "--help"],
}


def median_seconds(arguments: list[str]) -> float:
    """Give the median wall time of a process."""
    seconds = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main() -> None:
    """Print a line a case."""
    for name, arguments in CASES.items():
        print(f"{name:<14} {median_seconds(arguments):.3f} s")


if __name__ == "__main__":
    main()
