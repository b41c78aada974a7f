"""A key, and what may be shown of a text in which a server repeats it."""

LEAST_PART = 8
"""Characters of a key that give away something of it."""


def cover_key(text: str, key: str | None, least: int = LEAST_PART) -> str:
    """Give a text with *** for each part of the key in it that has at least so many characters."""
    if not key or not any(key[start : start + least] in text for start in range(len(key) - least + 1)):
        return text
    pieces, start = [], 0
    while start < len(text):
        end = start + least
        if text[start:end] not in key or end > len(text):
            pieces.append(text[start])
            start += 1
            continue
        while end < len(text) and text[start : end + 1] in key:
            end += 1
        pieces.append("***")
        start = end
    return "".join(pieces)
