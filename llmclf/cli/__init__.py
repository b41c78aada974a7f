"""The command line: one module a command; what a command needs is imported when it runs."""

import sys

import typer

from llmclf.cli.agreement import agreement
from llmclf.cli.annotate import annotate
from llmclf.cli.audit import audit
from llmclf.cli.cascade import cascade
from llmclf.cli.classify import classify
from llmclf.cli.common import show_log
from llmclf.cli.decide import decide
from llmclf.cli.distil import distil
from llmclf.cli.ensemble import ensemble
from llmclf.cli.estimate import estimate
from llmclf.cli.job import job
from llmclf.cli.models import models
from llmclf.cli.plan import plan
from llmclf.cli.stability import stability
from llmclf.errors import LlmclfError

app = typer.Typer(
    name="llmclf",
    help="Label texts with a language model, and measure how far the labels agree with people's.",
    epilog="Exit codes: 0 done, 1 internal error, 2 bad input, 3 some rows have no label, 4 inconclusive, "
    "5 a gate failed, 6 stopped at a limit, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    classify,
    estimate,
    annotate,
    decide,
    stability,
    ensemble,
    cascade,
    distil,
    agreement,
    audit,
    plan,
    models,
):
    app.command()(command)
app.add_typer(job, name="job")


def main() -> None:
    """Run a command; an error of ours is one line and its exit code, never a traceback."""
    show_log()
    try:
        app()
    except LlmclfError as error:
        print(f"llmclf: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
