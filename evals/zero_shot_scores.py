"""What llmclf's engine says about a task's items, recorded in a job file, and what each policy makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats
from llmclf.backends.base import Backend
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records
from llmclf.policy import Policy


@dataclass(frozen=True, eq=False)
class Recorded:
    """The records of one task, and the probabilities that policies make of them."""

    task: LabelTask
    path: Path
    _probabilities: dict[str, Floats] = field(default_factory=dict)

    def probabilities(self, policy: Policy) -> Floats:
        """Give the probabilities of all labels, shape (n, q), NaN where an item has no answer; asks nothing."""
        if policy.name not in self._probabilities:
            codes = self.task.question.codes
            with open_records(self.path) as records:
                file = JobFile(records)
                found = [
                    [annotation.probabilities.get(code, np.nan) for code in codes]
                    for annotation in file.annotations(file.choose(None), policy=policy)
                ]
            self._probabilities[policy.name] = np.array(found)
        return self._probabilities[policy.name]


def record(task: LabelTask, backend: Backend, folder: Path, policy: Policy) -> Recorded:
    """Ask a task's question about all its items and about what the policy takes beside, but for what is on record."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task.name}.sqlite"
    job = Job(path, task.codebook, backend, order="codebook", policy=policy)
    try:
        for _ in job.run(task.items):
            pass
    finally:
        job.close()
    return Recorded(task, path)
