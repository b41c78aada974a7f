"""Zero-shot text classification with language models, and its measured agreement with people."""
