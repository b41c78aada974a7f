"""Evaluations on public data: one module each, run with `python -m evals.NAME`."""
