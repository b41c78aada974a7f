"""The connections to a server, in small pools."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openai

POOL = 8
"""Connections that a client keeps: it looks through all of them, twice a request."""


class Connections:
    """As many clients as it takes for every request to have a connection of its own at once."""

    def __init__(self, open_client: Callable[[], "openai.AsyncOpenAI"]) -> None:
        self._open = open_client
        self._clients: list[openai.AsyncOpenAI] = []
        self._free: list[openai.AsyncOpenAI] = []

    @asynccontextmanager
    async def client(self) -> AsyncIterator["openai.AsyncOpenAI"]:
        """Lend a client with a free connection, the one last given back: that connection is open."""
        if not self._free:
            self._clients.append(self._open())
            self._free += [self._clients[-1]] * POOL
        client = self._free.pop()
        try:
            yield client
        finally:
            self._free.append(client)

    async def close(self) -> None:
        """Close them all."""
        for client in self._clients:
            await client.close()
