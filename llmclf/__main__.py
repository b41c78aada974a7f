"""`python -m llmclf` is `llmclf`."""

from llmclf.cli import main

main()
