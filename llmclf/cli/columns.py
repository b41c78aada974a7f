"""Options that say where a table holds its items or its labels; shared by the commands that read them."""

from typing import TYPE_CHECKING, Annotated

import typer

from llmclf.cli.common import split_list
from llmclf.errors import InputError

if TYPE_CHECKING:
    from llmclf.items import ItemColumns

TableArgument = Annotated[str, typer.Argument(metavar="INPUT", help="CSV, JSONL or Parquet; - is standard input.")]
IdOption = Annotated[str, typer.Option("--id-column", help="The column with the items' ids.")]
TextOption = Annotated[str, typer.Option("--text-column", help="The column with the texts, or the turns' texts.")]
TurnsOption = Annotated[
    str | None, typer.Option("--turns-column", help="Conversations: the column with JSON of speakers and texts.")
]
TurnOption = Annotated[
    list[str] | None,
    typer.Option("--turn", metavar="SPEAKER=COLUMN", help="Conversations: one column a turn; repeatable."),
]
ConversationOption = Annotated[
    str | None,
    typer.Option("--conversation-column", help="Conversations of one row a turn: the column with their ids."),
]
SpeakerOption = Annotated[
    str, typer.Option("--speaker-column", help="The column with the speakers, beside --conversation-column.")
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="csv, jsonl or parquet, where the name does not say.")
]

ItemColumnOption = Annotated[str, typer.Option(help="The column with the items' ids.")]
AnnotatorColumnOption = Annotated[str, typer.Option(help="The column with the annotators' names.")]
LabelColumnOption = Annotated[str, typer.Option(help="The column with the labels.")]
QuestionColumnsOption = Annotated[
    str,
    typer.Option(
        metavar="A,B=QUESTION,...",
        help="One row is an annotator's form: the columns with the answers to questions of these names.",
    ),
]


def question_columns_of(option: str) -> tuple[tuple[str, str], ...]:
    """Read pairs of a column and the question that it answers, which is the column's name if none is given."""
    pairs = (name.partition("=") for name in split_list(option))
    return tuple((column, question if equals else column) for column, equals, question in pairs)


def item_columns(
    id_column: str,
    text_column: str,
    turns_column: str | None,
    turn: list[str] | None,
    conversation_column: str | None,
    speaker_column: str,
) -> "ItemColumns":
    """Give the columns that the options say."""
    from llmclf.items import ItemColumns

    return ItemColumns(
        id=id_column,
        text=text_column,
        turns=turns_column,
        speakers=tuple(_speaker(pair) for pair in turn or ()),
        conversation=conversation_column,
        speaker=speaker_column,
    )


def _speaker(pair: str) -> tuple[str, str]:
    speaker, equals, column = pair.partition("=")
    if not (speaker and equals and column):
        raise InputError(f"--turn {pair}: no column", "Write SPEAKER=COLUMN, as in --turn Seeker=seeker_post")
    return speaker, column
