"""What is settled when a job begins, and kept to when it goes on."""

import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llmclf.backends.base import Identity, Json
from llmclf.codebook import Codebook
from llmclf.errors import InputError
from llmclf.prompts import Order
from llmclf.record_json import canonical_json, digest
from llmclf.variants import PLAIN, Variant


@dataclass(frozen=True, slots=True)
class Plan:
    """What is settled when a job begins."""

    codebook: Mapping[str, Json]
    templates: Mapping[str, str]
    """The prompts' jinja2 sources, by name."""
    uri: str
    """Nothing where the backend was opened in Python."""
    annotator: str
    """The backend's name in tables."""
    order: Order
    """What comes first in the prompts."""
    identity: Mapping[str, Mapping[str, Json]]
    """Who answers: the model's resolved identity, and the settings that change an answer."""
    settings: Mapping[str, Json]
    """The backend's, as they were resolved."""
    measured: Mapping[str, Json] = field(default_factory=dict)
    """What they were chosen by: of a local model, the speed and the noise of each layout of its weights."""
    samples: int = 1
    """How often each question is asked."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of llmclf, Python and the packages that ask the model."""
    text_key: str = ""
    """What tells the key of the texts' hashes from another, where no texts are kept."""
    phone_regions: Sequence[str] | None = None
    """Where personal data is redacted: the countries whose phone numbers are found without a country code."""
    variants: Sequence[Mapping[str, Json]] = ()
    """The ways in which each question is asked; without any, the plain one."""
    texts: Sequence[str] = ()
    """Texts that say nothing, where it is about these and no table's."""
    random_texts: Sequence[str] = ()
    """The same, of random words; they come after the others."""
    channel_templates: Mapping[str, str] = field(default_factory=dict)
    """Those of the noisy channel, where it is asked."""
    texts_plan: int = 0
    """That about texts that say nothing by which labels were decided on at last, if there is one."""
    policy: Mapping[str, Json] = field(default_factory=dict)
    """By which labels were decided on at last; without one, raw."""
    for_stability: bool = False
    """Whether its answers are for a stability audit alone, beside the plan about the same table."""

    @property
    def ways(self) -> tuple[Variant, ...]:
        """The ways in which each question is asked."""
        return tuple(map(Variant.of_json, self.variants)) or (PLAIN,)

    @property
    def is_about_texts(self) -> bool:
        """Whether it is about texts that say nothing, and no table's."""
        return bool(self.texts or self.random_texts)

    def asks_with(self, other: "Plan") -> bool:
        """Say whether another asks the same of the same model, in other ways or about other texts."""
        mine, others = (
            (one.codebook, one.templates, one.uri, one.annotator, one.order, one.identity, one.phone_regions)
            for one in (self, other)
        )
        return mine == others


def tokens_per_second(measured: Mapping[str, Json], settings: Mapping[str, Json]) -> float | None:
    """Give the speed that was measured for the layout of a local model's weights, if it was."""
    found = measured.get(str(settings.get("layout")))
    speed = found.get("tokens_per_second") if isinstance(found, dict) else None
    return speed if isinstance(speed, float) and speed > 0 else None


def plan_key(
    codebook: Codebook,
    templates: Mapping[str, str],
    backend: str,
    variants: Sequence[Variant] = (PLAIN,),
    texts: Sequence[str] = (),
    channel_templates: Mapping[str, str] | None = None,
    *,
    for_stability: bool = False,
) -> str:
    """Give what tells the plans in one file apart: what is asked, in which ways, by which prompts, and of whom."""
    asked: list[Any] = [codebook.hash, templates]
    if texts or tuple(variants) != (PLAIN,):
        asked += [[asdict(variant) for variant in variants], list(texts), channel_templates]
    if for_stability:
        asked.append("stability")
    return f"{digest(canonical_json(asked)).hex()} {backend}"


def find_plan(
    plans: Mapping[str, tuple[int, dict[str, Any]]],
    codebook: Codebook,
    templates: Mapping[str, str],
    backend: str,
    number: int | None,
) -> tuple[str, Plan | None]:
    """Give the key and the plan of a number, or of one that asks the same questions of the same model in any way."""
    asked = codebook.model_dump(mode="json"), templates, backend
    for key, (known, content) in plans.items():
        plan = Plan(**content)
        is_alike = (plan.codebook, plan.templates, plan.uri or plan.annotator) == asked
        if known == number or (number is None and is_alike):
            return key, plan
    return "", None


class Terms:
    """What a job was begun with, if it was, against which all that is given now is held."""

    def __init__(self, path: Path, plan: Plan | None) -> None:
        self._path = path
        self._plan = plan

    def settle(self, what: str, given: Any, begun: Any) -> Any:  # noqa: ANN401 - any setting
        """Give what the job was begun with, or else what is given.

        Raises:
            InputError: they differ.

        """
        if None not in (given, begun) and given != begun:
            raise self._differs(what, begun, given)
        return given if begun is None else begun

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Give the backend's settings, of which those that the job was begun with need not be given.

        Raises:
            InputError: one differs.

        """
        begun = self._plan.settings if self._plan else {}
        for name in given.keys() & begun.keys():  # here None says something, too
            if given[name] != begun[name]:
                raise self._differs(f"setting {name}", begun[name], given[name])
        return {**given, **begun}

    def check_model(self, identity: Identity) -> None:
        """Check that the model is the same.

        Raises:
            InputError: it is another.

        """
        for name, value in (self._plan.identity["model"] if self._plan else {}).items():
            self.settle(f"model's {name}", identity.model.get(name), value)

    def check_privacy(self, text_key: str, phone_regions: Sequence[str] | None) -> None:
        """Check that no more of the texts is kept, or leaves this machine, than was settled.

        Raises:
            InputError: something differs.

        """
        plan = self._plan
        if plan and plan.text_key != text_key:
            differs = "without texts" if plan.text_key else "with texts"
            if plan.text_key and text_key:
                differs = "under another key"
            hint = "Give --no-texts and the same key as then, or another --job"
            raise InputError(f"the job {self._path} was begun {differs}", hint)
        if plan and plan.phone_regions != phone_regions:
            differs = "without" if plan.phone_regions is None else "with"
            raise InputError(
                f"the job {self._path} was begun {differs} redaction, or with other --phone-regions",
                "Keep to it, or give another --job",
            )

    def _differs(self, what: str, begun: object, given: object) -> InputError:
        return InputError(
            f"the job {self._path} was begun with the {what} {begun!r}, and now it is {given!r}",
            "Keep to it, or give another --job",
        )


def versions() -> dict[str, str]:
    """Give the versions of llmclf, of Python and of the packages that ask a model, as far as they are installed."""
    found = {"python": platform.python_version()}
    for package in ("llmclf", "openai", "llama_cpp_python", "jinja2", "pydantic"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
