"""What a template reads and does: its sources, and whether it does nothing with an item's text but put it in."""

from collections.abc import Iterator

from jinja2 import Environment, TemplateError, nodes
from jinja2.meta import find_referenced_templates

_REWRITING = (nodes.FilterBlock, nodes.AssignBlock, nodes.CallBlock, nodes.Import, nodes.FromImport, nodes.Include)


def puts_text_in_verbatim(environment: Environment, name: str) -> bool:
    """Say whether a template, with those that it extends, writes `item.text` as it is and looks at it nowhere else.

    What it does with an item's turns does not count: of a text without turns they are the same nothing each time.
    Where it cannot be told, it does not.
    """
    try:
        sources = [environment.parse(source) for source in template_sources(environment, name).values()]
    except TemplateError:  # to be told when it is rendered
        return False
    if any(not isinstance(extends.template, nodes.Const) for s in sources for extends in s.find_all(nodes.Extends)):
        return False
    macros = {
        macro.name: macro for source in sources for macro in source.find_all(nodes.Macro) if _mentions_item(macro)
    }
    return all(_is_verbatim(source, frozenset(macros)) for source in sources)


def template_sources(environment: Environment, name: str) -> dict[str, str]:
    """Give the source of a template and of those that it refers to by name.

    Raises:
        TemplateError: one cannot be found or read.

    """
    sources: dict[str, str] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in sources:
            assert environment.loader
            sources[name] = environment.loader.get_source(environment, name)[0]
            waiting += filter(None, find_referenced_templates(environment.parse(sources[name])))
    return sources


def _mentions_item(node: nodes.Node) -> bool:
    return any(name.name == "item" for name in node.find_all(nodes.Name))


def _is_verbatim(source: nodes.Template, macros: frozenset[str]) -> bool:
    if any(True for _ in source.find_all(_REWRITING)):
        return False
    return all(_is_harmless(node, parent, macros) for node, parent in _with_parents(source))


def _is_harmless(node: nodes.Node, parent: nodes.Node | None, macros: frozenset[str]) -> bool:
    match node:
        case nodes.Name(name="item"):
            return isinstance(parent, nodes.Getattr) and parent.attr in ("text", "turns")
        case nodes.Getattr(node=nodes.Name(name="item"), attr="text"):
            return isinstance(parent, nodes.Output)
        case nodes.Name() if node.name in macros:  # whose words hold the text
            return isinstance(parent, nodes.Call) and parent.node is node
        case nodes.Call(node=nodes.Name(name=name)) if name in macros or name == "super":
            return isinstance(parent, nodes.Output)
        case nodes.Name(name="self" | "caller"):
            return False
        case _:
            return True


def _with_parents(node: nodes.Node, parent: nodes.Node | None = None) -> Iterator[tuple[nodes.Node, nodes.Node | None]]:
    yield node, parent
    for child in node.iter_child_nodes():
        yield from _with_parents(child, node)
