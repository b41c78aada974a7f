"""The engines that answer requests; `base.py` is the seam, one module each behind it."""
