"""A demonstration of the controllers on a cluster of its own: `python -m tests.demo`."""
