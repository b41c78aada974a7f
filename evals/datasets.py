"""Where the public datasets lie: each in a folder of its own under the environment variable LLMCLF_DATA."""

import os
from pathlib import Path
from typing import Final

from llmclf.errors import InputError, unknown

ROOT_VARIABLE: Final = "LLMCLF_DATA"

SOURCES: Final = {
    "alttest": "nitaytech/AltTest @ 18428b1",
    "banking77": "PolyAI-LDN/task-specific-datasets @ 57ec275",
    "clickbait": "bhargaviparanjape/clickbait @ 203d979",
    "convabuse": "amandacurry/convabuse @ c0a9469",
    "crowdtruth_medical": "CrowdTruth/Medical-Relation-Extraction @ 585c158",
    "davidson": "t-davidson/hate-speech-and-offensive-language @ cb50f7e",
    "empathy": "aakriti1kumar/replication-data-and-code-when-LLMs-reliable-empathic-communication @ 7134581",
    "multipico": "Le-Wi-Di/le-wi-di.github.io @ 45d7b06",
    "vader": "cjhutto/vaderSentiment @ 44fc044",
}
"""GitHub repository and commit of each dataset."""


def find(name: str) -> Path:
    """Give the folder of a dataset.

    Raises:
        InputError: there is no such dataset, or it has not been fetched.

    """
    if name not in SOURCES:
        raise InputError(unknown("dataset", name, SOURCES))
    root = os.environ.get(ROOT_VARIABLE)
    folder = Path(root) / name if root else None
    if folder is None or not folder.is_dir():
        place = f"in {root}" if root else f"because {ROOT_VARIABLE} is not set"
        hint = (
            f"Put the files of github.com/{SOURCES[name]} into a folder {name!r}, and set {ROOT_VARIABLE} to its parent"
        )
        raise InputError(f"dataset {name!r} not found {place}", hint)
    return folder
