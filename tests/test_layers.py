"""Imports run down the floors of the house, and what is optional or slow is imported late."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import llmclf

ROOT = Path(llmclf.__file__).parent
FLOORS = [
    {"errors", "levels", "status"},
    {"tables", "hold", "bank_numbers", "phone_numbers", "backends.base"},
    {"table_writing"},
    {"codebook", "items", "annotations", "personal_data"},
    {"variants", "fitted", "item_sample", "record_json", "store_schema", "store_waiting", "budget", "verbatim"},
    {"records"},
    {"prompts", "schemas", "store", "redaction", "agreement"},
    {"calibration", "abstention"},
    {"backends", "table_columns"},
    {"decisions", "served", "rating_tables", "policy"},
    {"log_scores", "asking"},
    {"label_reading", "plan"},
    {"deciding", "without_texts"},
    {"classifier"},
    {"recorded_decisions"},
    {"fitting"},
    {"job_file"},
    {"asked_plan", "bundle"},
    {"job"},
    {"frames", "micro_batches", "retrying"},
    {"cluster"},
    {"estimator", "estimate"},
    {"stability", "ensembles.answers"},
    {"audit"},
    {"ensembles", "students"},
    {"cli", "", "__main__"},
]
LATE = {"openai", "llama_cpp", "pyarrow", "pandas", "polars", "sklearn", "phonenumbers", "pydantic_extra_types", "ray"}
EXEMPT = {("estimator", "sklearn")}  # its classes are scikit-learn's; itself it is imported late
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
    for path in ROOT.rglob("*.py")
}


def floor(module: str) -> tuple[int, str]:
    """Give a module's floor, and its room there: a module, or a package that stands there as a whole."""
    for room in (module, module.partition(".")[0]):
        for number, rooms in enumerate(FLOORS):
            if room in rooms:
                return number, room
    raise AssertionError(f"llmclf.{module} has no floor")


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide where they go"
            assert node.level == 0, "relative imports hide where they go"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Give what runs when a module is imported: not its functions, and nothing for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from at_import(child)


def ours(module: str) -> set[str]:
    """Give the modules of ours that a module imports anywhere."""
    found = set()
    for name in imported(ast.walk(ast.parse(MODULES[module].read_text()))):
        package, _, inner = name.partition(".")
        if package == "llmclf":
            found.add(inner if inner in MODULES else inner.rpartition(".")[0])
    return found - {module}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_down(module: str) -> None:
    here, room = floor(module)
    for other in ours(module):
        there, other_room = floor(other)
        assert there < here or other_room == room or here == len(FLOORS) - 1, f"{module} imports {other}"


def test_there_are_no_rings() -> None:
    list(TopologicalSorter({module: ours(module) for module in MODULES if module}).static_order())


def test_agreement_stands_alone() -> None:
    rooms = {floor(other)[1] for module in MODULES if floor(module)[1] == "agreement" for other in ours(module)}
    assert rooms <= {"agreement", "errors", "levels", "codebook"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_optional_and_slow_packages_are_imported_late(module: str) -> None:
    names = imported(at_import(ast.parse(MODULES[module].read_text())))
    early = {(module, name.partition(".")[0]) for name in names} - EXEMPT
    assert not {name for _, name in early} & LATE
