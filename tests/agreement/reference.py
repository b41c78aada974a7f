"""Values that others published or computed, each file with its source."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "reference"


def reference(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text())
