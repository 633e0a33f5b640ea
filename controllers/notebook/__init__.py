"""One PodDefault for each profile namespace: it labels Protected B notebooks."""
