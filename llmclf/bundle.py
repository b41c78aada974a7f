"""A job in one archive: for a reviewer who will look into it and decide again, without the model."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile

from llmclf.errors import TableError
from llmclf.job_file import JOB_IN_BUNDLE, JobFile
from llmclf.prompts import DEFAULT_FILE
from llmclf.records import Records

_READ_ME = """\
A job of llmclf: what was asked, of which model, and every reply.

  job.sqlite        every reply, raw, with the prompt that it answers
  plans/N/          for each plan: the codebook, its prompt templates, and plan.json:
                    the model, the settings, the versions, the order of the prompt

Nothing need be unpacked:

  llmclf job status BUNDLE
  llmclf job failures BUNDLE
  llmclf job export BUNDLE --out labels.csv
"""


def write_bundle(records: Records, path: Path) -> list[str]:
    """Write a job's codebooks, prompts, replies, settings and versions to a zip archive, and give the names in it.

    Raises:
        TableError: the path cannot be written.

    """
    file = JobFile(records)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with TemporaryDirectory(prefix="llmclf-") as folder, ZipFile(temporary, "w", ZIP_DEFLATED) as bundle:
            job = Path(folder) / JOB_IN_BUNDLE
            records.copy_to(job)
            bundle.write(job, JOB_IN_BUNDLE)
            for number, plan in file.plans.items():
                content = asdict(plan)
                codebook, templates = content.pop("codebook"), content.pop("templates")
                where = f"plans/{number}"
                bundle.writestr(f"{where}/plan.json", _json(content))
                bundle.writestr(f"{where}/codebook.json", _json(codebook))
                for name, source in templates.items():
                    if name != DEFAULT_FILE:  # which llmclf has itself
                        bundle.writestr(f"{where}/{name}", source)
            bundle.writestr("README.txt", _READ_ME)
            names = bundle.namelist()
        temporary.replace(path)
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror}", "Give a path in a folder with room") from None
    finally:
        temporary.unlink(missing_ok=True)
    return names


def _json(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)
