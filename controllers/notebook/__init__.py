"""One PodDefault for each profile namespace: what a notebook for Protected B data is labelled."""
