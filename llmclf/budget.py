"""What may be asked and what it costs: prices, and limits that hold before they are passed."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from llmclf.backends.base import Reply, Request, Typed, Usage
from llmclf.errors import InputError, LimitReached, unknown

_PRICE_HINT = "Write one as [model] input = 0.15 output = 0.6, for a million tokens, with the model in quotes"
_MILLION = 1e6


class Price(BaseModel):
    """What a model costs, for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    """Of tokens that the service has read before; as others where it is not said."""
    output: float = Field(ge=0)
    """Of tokens that are written, those of reasoning included."""

    def of(self, usage: Usage) -> float:
        """Give what tokens cost."""
        cached = self.input if self.cached_input is None else self.cached_input
        read = (usage.prompt_tokens - usage.cached_tokens) * self.input + usage.cached_tokens * cached
        return (read + usage.completion_tokens * self.output) / _MILLION


def read_prices(path: str | Path) -> Mapping[str, Price]:
    """Read a price table: TOML, a table a model with `input`, `output` and perhaps `cached_input`.

    Raises:
        InputError: there is no such file, or it is no price table.

    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        return TypeAdapter(dict[str, Price]).validate_python(content)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"no price table at {path}: {error}", _PRICE_HINT) from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise InputError(f"{path}: {' '.join(map(str, fault['loc']))}: {fault['msg']}", _PRICE_HINT) from None


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """Give a model's price.

    Raises:
        InputError: the table has none.

    """
    if model not in prices:
        raise InputError(unknown("model", model, prices))
    return prices[model]


class Budget:
    """How many requests may be asked, and what all on record and under way may cost.

    A request under way counts with all that it may cost: every byte of it a token, and as many written as may be.

    Raises:
        InputError: the cost is limited, and the price or the length of a reply is not known.

    """

    def __init__(
        self,
        most_requests: int | None = None,
        most_money: float | None = None,
        price: Price | None = None,
        *,
        spent: Usage | None = None,
        max_tokens: int | None = None,
    ) -> None:
        if most_money is not None and price is None:
            raise InputError("a limit of the cost needs prices", "Give --prices")
        if most_money is not None and max_tokens is None:
            hint = "Give --setting max_tokens=N, or where a backend takes none --max-requests in place of --max-cost"
            raise InputError("a limit of the cost needs a limit of each reply", hint)
        self._most_requests = most_requests
        self._most_money = most_money
        self._price = price
        self._max_tokens = max_tokens or 0
        self._requests = 0
        self._under_way: dict[int, float] = {}
        self._reserved = 0.0
        self._spent = price.of(spent) if price and spent else 0.0
        self.reached: LimitReached | None = None

    @property
    def money(self) -> float | None:
        """What all replies on record cost, where the price is known."""
        return self._spent if self._price else None

    def allows(self, request: Request) -> bool:
        """Say whether a request may be asked, and if so count it."""
        if self._requests == self._most_requests:
            what = f"stopped at the limit of {self._most_requests} requests"
            self.reached = LimitReached(what, "The same command goes on")
            return False
        if self._most_money is not None and self._price:
            cost = self._price.of(self._most_tokens(request))
            if self._spent + self._reserved + cost > self._most_money:
                what = (
                    f"stopped at a cost of {self._spent:.4g}: with the next request it might pass {self._most_money:g}"
                )
                self.reached = LimitReached(what, "The same command with a higher --max-cost goes on")
                return False
            self._under_way[request.id] = cost
            self._reserved += cost
        self._requests += 1
        return True

    def _most_tokens(self, request: Request) -> Usage:
        to_read = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        to_write = 0 if isinstance(request.form, Typed) else self._max_tokens
        return Usage(prompt_tokens=to_read, completion_tokens=to_write)

    def settle(self, reply: Reply) -> None:
        """Count what a reply cost in place of what it might have cost."""
        if self._price:
            self._reserved -= self._under_way.pop(reply.request_id, 0.0)
            self._spent += self._price.of(reply.usage)
