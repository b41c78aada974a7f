"""Several models: their answers as one, and cascades from a cheap one to a better one."""
