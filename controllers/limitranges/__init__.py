"""One LimitRange for each profile namespace: defaults for containers that set none."""
