"""What a release may depend on: a verdict on a question."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, get_args

from llmclf.agreement.non_inferiority import Verdict
from llmclf.audit.numbers import Outcome
from llmclf.audit.report import Audit, ModelAudit
from llmclf.codebook import Codebook
from llmclf.errors import InputError, unknown

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
FAILED, UNDECIDED = 5, 4
"""Exit codes."""


@dataclass(frozen=True)
class GateOutcome:
    """A model that does not pass."""

    sentence: str
    exit_code: int


@dataclass(frozen=True)
class Gate:
    """The verdicts with which a model passes, on one question.

    All gates together are passed only if each is, so the verdicts need no adjustment for their number.
    """

    question: str
    verdicts: tuple[Verdict, ...]

    @classmethod
    def parse(cls, text: str, codebook: Codebook) -> "Gate":
        """Read `QUESTION=VERDICT,VERDICT`.

        Raises:
            InputError: there is no such question or verdict.

        """
        question, equals, verdicts = text.partition("=")
        if not equals:
            raise InputError(f"--gate {text}: no verdict", "Write QUESTION=VERDICT, as in --gate tone=non-inferior")
        codebook.get(question)
        wanted = tuple(verdict.strip() for verdict in verdicts.split(","))
        for verdict in wanted:
            if verdict not in VERDICTS:
                raise InputError(f"--gate {text}: {unknown('verdict', verdict, VERDICTS)}")
        return cls(question, wanted)  # type: ignore[arg-type]  # each is a verdict, as was checked

    def outcomes(self, audit: Audit) -> Iterator[GateOutcome]:
        """Give the models that do not pass, or one outcome where the question was not audited."""
        models = [model for one in audit.questions if one.question == self.question for model in one.models]
        if not models:
            yield GateOutcome(f"gate {self.question}: no annotations answer it", UNDECIDED)
        for model in models:
            found = model.non_inferiority
            if found.verdict not in self.verdicts:
                is_decided = found.verdict in ("worse", "non-inferior")
                yield GateOutcome(
                    f"gate {self.question}: {model.annotator} is {found.verdict}: {found.reason}",
                    FAILED if is_decided else UNDECIDED,
                )


def outcome(model: ModelAudit) -> Outcome:
    """Say what a verdict means to a gate that asks for non-inferiority."""
    match model.non_inferiority.verdict:
        case "non-inferior":
            return Outcome.PASS
        case "worse":
            return Outcome.FAIL
        case _:
            return Outcome.INCONCLUSIVE
