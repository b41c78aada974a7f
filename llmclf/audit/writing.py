"""The report's files."""

import json
from dataclasses import replace
from pathlib import Path

from llmclf.audit.markdown import markdown
from llmclf.audit.page import html
from llmclf.audit.report import Audit
from llmclf.audit.report_page import report_page
from llmclf.errors import TableError


def write_report(folder: Path, audit: Audit) -> None:
    """Write report.html, report.json with its schema, and report.md.

    Raises:
        TableError: the folder cannot be written.

    """
    page = report_page(audit)
    files = {
        "report.html": html(page),
        "report.json": audit.model_dump_json(),
        "report.schema.json": json.dumps(Audit.model_json_schema(mode="serialization")),
        "report.md": markdown(replace(page, sections=page.sections[-1:])),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise TableError(f"cannot write {folder}: {error.strerror}", "Give --out another folder") from None
