"""Texts that tell by a word what they are about, and what a teacher says of them."""

import random
from collections.abc import Iterator

WORDS = {
    "sport": ("team", "match", "goal", "coach", "league"),
    "money": ("shares", "bank", "profit", "market", "loan"),
    "weather": ("rain", "storm", "sun", "wind", "snow"),
}
_OTHERS = [f"{a}{b}" for a in ("old", "red", "far", "big", "new") for b in ("town", "house", "day", "road", "friend")]


def texts(number: int, seed: int = 0, labels: tuple[str, ...] = ("sport", "money")) -> Iterator[tuple[str, str]]:
    """Give texts that are all different, each with what it is about."""
    drawn = random.Random(seed)
    for place in range(number):
        label = drawn.choice(labels)
        words = [*drawn.sample(WORDS[label], 2), *drawn.choices(_OTHERS, k=5), f"no{seed}x{place}"]
        drawn.shuffle(words)
        yield " ".join(words), label
