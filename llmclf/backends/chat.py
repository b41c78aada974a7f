"""Chat messages -> tokens, through the model's own chat template.

The scaffold of the template may hold control tokens; what stands in a message never does,
so that no text and no label can change the structure of a prompt.
"""

import re
from collections.abc import Sequence
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llmclf.backends.base import Message
from llmclf.backends.llama import LlamaModel
from llmclf.errors import ModelFileError

# Private-use characters: no template writes them, and those of a message are inside its parts.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_PLACE = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


class ChatFormat:
    """How one model wants its messages: its chat template, or plain text where it has none."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self._has_template = model.chat_template is not None
        self._template = _environment().from_string(model.chat_template or _PLAIN)
        self._specials = {"bos_token": model.special_text("bos"), "eos_token": model.special_text("eos")}
        self._scaffolds: dict[tuple[tuple[str, int], ...], list[str]] = {}
        self.terminator = self._find_terminator()
        """The tokens that end the model's reply: end of turn, or a newline without a template."""

    def prompt_tokens(self, messages: Sequence[Message]) -> list[int]:
        """Give the tokens up to the model's reply, or up to where a last assistant message leaves it."""
        parts = [part for message in messages for part in message.parts]
        scaffold = self._scaffold(tuple((message.role, len(message.parts)) for message in messages))
        tokens = self._model.tokenize(scaffold[0], special=True)
        for part, after in zip(parts, scaffold[1:], strict=True):
            tokens += self._model.tokenize(part)
            tokens += self._model.tokenize(after, special=True)
        bos = self._model.bos
        return tokens if bos is None or tokens[:1] == [bos] else [bos, *tokens]

    def label_tokens(self, label: str, *, continues: bool) -> list[int]:
        """Give the tokens of a label as the reply; `continues` when the reply has begun already."""
        return self._model.tokenize(f" {label}" if continues or not self._has_template else label)

    def _scaffold(self, shape: tuple[tuple[str, int], ...]) -> list[str]:
        """Give what the template writes before, between and after the parts of messages of one shape."""
        if shape not in self._scaffolds:
            prefill = shape[-1][1] if shape[-1][0] == "assistant" else 0
            turns = shape[:-1] if prefill else shape
            places = sum(count for _, count in shape)
            between = self._render(turns, prompt=True)
            # The beginning of a reply follows the template's last word, with nothing between its parts.
            self._scaffolds[shape] = between + [""] * prefill
            if len(self._scaffolds[shape]) != places + 1:
                raise ModelFileError(f"{self._model.path}: its chat template drops or repeats a message")
        return self._scaffolds[shape]

    def _render(self, turns: Sequence[tuple[str, int]], *, prompt: bool) -> list[str]:
        messages, place = [], 0
        for role, count in turns:
            content = "".join(f"{_OPEN}{place + i}{_CLOSE}" for i in range(count))
            messages.append({"role": role, "content": content})
            place += count
        try:
            text = self._render_messages(messages, prompt=prompt)
        except TemplateError:
            # Some templates know no system role: what it says then opens the first message.
            if len(messages) < 2 or messages[0]["role"] != "system":
                raise
            first = {"role": messages[1]["role"], "content": f"{messages[0]['content']}\n\n{messages[1]['content']}"}
            text = self._render_messages([first, *messages[2:]], prompt=prompt)
        pieces = _PLACE.split(text)
        if pieces[1::2] != [str(i) for i in range(place)]:
            raise ModelFileError(f"{self._model.path}: its chat template drops or repeats a message")
        return pieces[::2]

    def _render_messages(self, messages: list[dict[str, str]], *, prompt: bool) -> str:
        # A model that can think aloud must not: the label is its next word.
        return self._template.render(
            messages=messages, add_generation_prompt=prompt, enable_thinking=False, tools=None, **self._specials
        )

    def _find_terminator(self) -> tuple[int, ...]:
        if not self._has_template:
            return tuple(self._model.tokenize("\n"))
        after = self._render((("user", 1), ("assistant", 1)), prompt=False)[-1]
        return tuple(self._model.tokenize(after, special=True)[:1])


_PLAIN = """\
{% for message in messages %}{{ message.content }}

{% endfor %}Answer:"""


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.globals["raise_exception"] = _raise_exception
    # No strftime_now: templates then write a fixed date, and the same request is the same prompt tomorrow.
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)
