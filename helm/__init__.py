"""The Helm chart, and what writes those of its files that follow from something else."""
