"""`llmclf models`: known models by memory, which of them are here, and what was measured."""

from dataclasses import asdict

from llmclf.cli.common import JsonOption, console


def models(
    as_json: JsonOption = False,
) -> None:
    """List known models by the memory they need, which are here, and what was measured.

    GGUF files are looked for in the folders that LLMCLF_MODELS names, and where other tools keep them.

    Example: llmclf models
    """
    from llmclf.backends.catalog import KNOWN, model_files
    from llmclf.tables import json_text

    files = model_files()
    known = sorted(KNOWN, key=lambda model: model.memory_gb)
    here = {model.name: [str(path) for path in files if model.is_file(path)] for model in known}
    others = [str(path) for path in files if not any(model.is_file(path) for model in known)]
    if as_json:
        print(json_text({"known": [asdict(model) | {"here": here[model.name]} for model in known], "others": others}))
        return
    terminal = console()
    for model in known:
        terminal.print(f"{model.name}  ({model.memory_gb:.1f} GB, {model.licence})", style="bold", markup=False)
        terminal.print(f"  measured: {model.measured}", markup=False)
        if not here[model.name]:
            terminal.print(f"  get it from {model.source}", markup=False)
        for path in here[model.name]:
            terminal.print(f"  here: local:{path}", markup=False, soft_wrap=True)
    for path in others:
        terminal.print(f"also here: local:{path}", markup=False, soft_wrap=True)
    terminal.print("Use one with --backend local:PATH. Memory is for 4-bit weights and 8,192 tokens of context.")
