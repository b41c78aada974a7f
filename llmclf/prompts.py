"""A codebook and an item -> the messages of a request, through a jinja2 template.

A template has the blocks `system`, `user` and `reply` (how the model's reply begins); an empty one is left out.
In them are `codebook`, `question`, `item`, `label` (the one asked about, in a `set` question asked label by label),
`reply_schema` (where the reply is to be JSON), `order` (what comes first: "codebook" or "text") and `typed` (whether
the question goes to a service beside the messages: these then say no more than the item and the instructions, and
begin no reply).
A codebook's folder may hold its own `prompt.jinja`, which may extend `default.jinja`.

What the noisy channel asks, to write a text that has a `label`, is another template, in which `applies` says whether
the label is to apply; the folder may hold its own `channel.jinja`, which may extend `default_channel.jinja`.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Literal, Self

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.debug import rewrite_traceback_stack
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmclf.backends.base import Message, Role
from llmclf.codebook import Codebook, Label, Question
from llmclf.errors import PromptError
from llmclf.items import Item, Turn
from llmclf.verbatim import puts_text_in_verbatim, template_sources

PROMPT_FILE = "prompt.jinja"
DEFAULT_FILE = "default.jinja"
CHANNEL_FILE = "channel.jinja"
DEFAULT_CHANNEL_FILE = "default_channel.jinja"
Order = Literal["codebook", "text"]
"""What comes first in a prompt: what is asked, or the text that it is asked about."""
ORDERS: tuple[Order, ...] = ("codebook", "text")
_ROLES: dict[str, Role] = {"system": "system", "user": "user", "reply": "assistant"}


@dataclass(frozen=True)
class _Frame:
    """A message about any text."""

    message: Message
    text_at: tuple[int, ...]
    """Which of its parts are the text."""

    @classmethod
    def of(cls, message: Message, text: str) -> Self:
        return cls(message, tuple(place for place, part in enumerate(message.parts) if part == text))

    def filled(self, text: str) -> Message:
        if not self.text_at:
            return self.message
        parts = list(self.message.parts)
        for place in self.text_at:
            parts[place] = text
        return Message(self.message.role, tuple(parts))


class Prompt:
    """The prompt of one codebook, in one order.

    Raises:
        PromptError: the template cannot be read, or names something that is not there.

    """

    def __init__(self, codebook: Codebook, order: Order = "codebook") -> None:
        self._codebook = codebook
        self._order = order
        # What an item says is rendered between two marks that nobody can write, and the message cut at them.
        self._mark = f"\x02{secrets.randbits(64):020d}\x03"  # which no filter writes in capitals
        self._template = self._load(PROMPT_FILE, DEFAULT_FILE)
        self._is_verbatim = puts_text_in_verbatim(self._template.environment, str(self._template.name))
        self._frames: dict[tuple[Question, str, str | None, bool], list[_Frame]] = {}

    @property
    def sources(self) -> dict[str, str]:
        """The sources of its templates, by name.

        Raises:
            PromptError: one that it extends or includes is not there.

        """
        return _sources(self._template)

    @property
    def channel_sources(self) -> dict[str, str]:
        """The sources of the templates of its noisy channel, by name; see `sources`."""
        return _sources(self._channel)

    def channel(self, question: Question, label: Label, *, applies: bool = True) -> tuple[Message, ...]:
        """Render the messages that ask for a text to which a label applies, or does not: the item is to be the reply.

        Min et al. 2022. Noisy Channel Language Model Prompting for Few-Shot Text Classification. ACL.
        """
        texts = _render(self._channel, codebook=self._codebook, question=question, label=label, applies=applies)
        return tuple(Message(_ROLES[block], (text,)) for block, text in texts.items() if text)

    def messages(
        self,
        question: Question,
        item: Item,
        *,
        label: Label | None = None,
        reply_schema: str | None = None,
        typed: bool = False,
    ) -> tuple[Message, ...]:
        """Render the messages that ask one question about one item."""
        if item.turns or not self._is_verbatim:
            return self._rendered(question, item, label, reply_schema, typed=typed)
        key = question, label.code if label else "", reply_schema, typed
        if key not in self._frames:  # the messages about a text that nobody can write, to be put in its place
            nobodys = Item("", text=self._mark[1:-1])
            rendered = self._rendered(question, nobodys, label, reply_schema, typed=typed)
            self._frames[key] = [_Frame.of(message, nobodys.text) for message in rendered]
        return tuple([frame.filled(item.text) for frame in self._frames[key]])

    def _rendered(
        self, question: Question, item: Item, label: Label | None, reply_schema: str | None, *, typed: bool
    ) -> tuple[Message, ...]:
        texts = _render(
            self._template,
            codebook=self._codebook,
            question=question,
            item=_with_words(item),
            label=label,
            reply_schema=reply_schema,
            order=self._order,
            typed=typed,
        )
        if typed:
            texts.pop("reply", None)
        return tuple(Message(_ROLES[block], self._cut(text)) for block, text in texts.items() if text)

    def check(self) -> None:
        """Render every question once, about an item made up for it.

        Raises:
            PromptError: one does not render.

        """
        item = (
            Item("check", text="text") if self._codebook.unit == "text" else Item("check", turns=(Turn("A", "text"),))
        )
        for question in self._codebook.questions:
            labels = [None, question.labels[0]] if question.kind == "set" else [None]
            for label, schema in product(labels, [None, "{}"]):
                self.messages(question, item, label=label, reply_schema=schema)
            self.messages(question, item, typed=True)

    def _cut(self, text: str) -> tuple[str, ...]:
        """Cut a message into what stands before, in and after its item."""
        first, last = text.find(self._mark), text.rfind(self._mark)
        if first < 0:
            return (text,)
        pieces = text[:first], text[first:last].replace(self._mark, ""), text[last:].replace(self._mark, "")
        return tuple(piece for piece in pieces if piece)

    @cached_property
    def _channel(self) -> Template:
        return self._load(CHANNEL_FILE, DEFAULT_CHANNEL_FILE)

    def _load(self, file: str, default: str) -> Template:
        folder = self._codebook.folder
        recorded = self._codebook.templates
        own = file in recorded if recorded else folder is not None and (folder / file).is_file()
        loaders: list[BaseLoader] = [PackageLoader("llmclf", "templates")]
        if recorded:
            loaders.insert(0, DictLoader(recorded))
        elif folder and own:
            loaders.insert(0, FileSystemLoader(folder))
        environment = ImmutableSandboxedEnvironment(  # a codebook's folder may be a stranger's
            loader=ChoiceLoader(loaders),
            undefined=StrictUndefined,
            finalize=lambda value: f"{self._mark}{value}{self._mark}" if isinstance(value, _Words) else value,
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,
        )
        try:
            return environment.get_template(file if own else default)
        except TemplateSyntaxError as error:
            raise PromptError(f"{error.filename or error.name}: line {error.lineno}: {error.message}") from None
        except (TemplateError, UnicodeDecodeError) as error:
            raise PromptError(f"{folder}/{file}: {error}") from None


def _sources(template: Template) -> dict[str, str]:
    try:
        return template_sources(template.environment, str(template.name))
    except TemplateError as error:
        raise _fault(template, error, ()) from None


def _render(template: Template, **names: object) -> dict[str, str]:
    """Render a template once, and give the text of each block."""
    texts: dict[str, str] = {}

    def capture(block: str) -> Callable[[Context], Iterator[str]]:
        def render(context: Context) -> Iterator[str]:
            texts[block] = "".join(context.blocks[block][1](context)).strip()
            yield ""

        return render

    context = template.new_context(names)
    for block in _ROLES:  # ahead of the template's own blocks and of those it inherits
        context.blocks[block] = [capture(block), *context.blocks.get(block, [])]
    try:
        outside = "".join(template.root_render_func(context)).strip()
    except Exception as error:  # whatever an expression in a template does
        raise _fault(template, error, names) from None
    if outside:
        raise PromptError(
            f"{template.filename}: {outside[:40]!r} stands outside its blocks",
            "Put it into the block user or system",
        )
    if not texts.get("user"):
        raise PromptError(f"{template.filename}: its block 'user' is empty", "Put what is asked there")
    return {block: texts[block] for block in _ROLES if block in texts}


def _fault(template: Template, error: Exception, names: Iterable[str]) -> PromptError:
    place = f"{template.filename}"
    trace = rewrite_traceback_stack().__traceback__  # to lines of templates
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".jinja"):
            place = f"{trace.tb_frame.f_code.co_filename}: line {trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, TemplateNotFound):
        return PromptError(f"{place}: there is no template {error.name!r}", f"Extend {DEFAULT_FILE!r}, or none")
    reason = " ".join(str(error).split())
    known = f"A template has: {', '.join(names)}"
    return PromptError(f"{place}: {reason}", known if isinstance(error, UndefinedError) else "")


class _Words(str):
    """What an item says; what a filter makes of it is a common string again, and rendered as one."""

    __slots__ = ()


def _with_words(item: Item) -> Item:
    turns = tuple(Turn(_Words(turn.speaker), _Words(turn.text)) for turn in item.turns)
    return replace(item, text=_Words(item.text), turns=turns)
