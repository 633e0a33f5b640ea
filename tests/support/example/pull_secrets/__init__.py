"""A pull secret in each profile namespace, which the notebooks' ServiceAccount uses."""
