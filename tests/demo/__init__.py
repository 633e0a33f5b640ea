"""The suite at work on a cluster of its own, for a person to watch: `python -m tests.demo`."""
