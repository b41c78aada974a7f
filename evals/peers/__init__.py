"""One small script per peer: a task file in, a result file out. Each runs in a virtual environment of its own."""
