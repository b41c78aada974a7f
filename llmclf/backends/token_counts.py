"""The tokens of a reply, as servers count them."""

from pydantic import AliasChoices, BaseModel, Field

from llmclf.backends.base import Usage


class ReadDetails(BaseModel):
    """What the tokens that were read were."""

    cached_tokens: int | None = None


class WrittenDetails(BaseModel):
    """What the tokens that were written were."""

    reasoning_tokens: int | None = None


class TokenCounts(BaseModel):
    """Counts, as far as the server gives them: by the names of chat completions, or of newer APIs."""

    read: int | None = Field(None, validation_alias=AliasChoices("prompt_tokens", "input_tokens"))
    read_details: ReadDetails | None = Field(
        None, validation_alias=AliasChoices("prompt_tokens_details", "input_tokens_details")
    )
    written: int | None = Field(None, validation_alias=AliasChoices("completion_tokens", "output_tokens"))
    written_details: WrittenDetails | None = Field(
        None, validation_alias=AliasChoices("completion_tokens_details", "output_tokens_details")
    )

    @property
    def usage(self) -> Usage:
        """The counts; those that the server leaves out are 0."""
        return Usage(
            self.read or 0,
            (self.read_details and self.read_details.cached_tokens) or 0,
            self.written or 0,
            (self.written_details and self.written_details.reasoning_tokens) or 0,
        )
