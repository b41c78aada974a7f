"""What llmclf's engine says about a task's items, recorded in a job file, and what each policy makes of it."""

from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from evals.zero_shot_tasks import LabelTask
from llmclf.agreement.counts import Floats
from llmclf.annotations import Annotation
from llmclf.backends.base import Backend
from llmclf.job import Job
from llmclf.job_file import JobFile, open_records
from llmclf.policy import Policy


@dataclass(frozen=True, eq=False)
class Recorded:
    """The records of one task, and the annotations that policies make of them; asks nothing."""

    task: LabelTask
    path: Path
    _annotations: dict[str, tuple[Annotation, ...]] = field(default_factory=dict)

    def annotations(self, policy: Policy) -> tuple[Annotation, ...]:
        """Give the items' annotations, in their order."""
        if policy.name not in self._annotations:
            with open_records(self.path) as records:
                file = JobFile(records)
                found = file.annotations(file.choose(None), policy=policy)
                self._annotations[policy.name] = tuple(islice(found, len(self.task.items)))
        return self._annotations[policy.name]

    def probabilities(self, policy: Policy) -> Floats:
        """Give the probabilities of all labels, shape (n, q), NaN where an item has no answer."""
        codes = self.task.question.codes
        rows = [[one.probabilities.get(code, np.nan) for code in codes] for one in self.annotations(policy)]
        return np.array(rows)


def cached(task: LabelTask, folder: Path) -> Recorded | None:
    """Give what is on record of a task's first items; None where that is nothing."""
    path = folder / f"{task.name}.sqlite"
    if not path.is_file():
        return None
    with open_records(path) as records:
        last = records.last_row(JobFile(records).choose(None))
    count = last[0] + 1 if last else 0
    return Recorded(replace(task, items=task.items[:count], truth=task.truth[:count]), path)


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
