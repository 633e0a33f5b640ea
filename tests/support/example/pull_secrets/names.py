"""The names that the pull-secrets controller uses on the cluster. Pure."""

from __future__ import annotations

SECRET = "registry-credentials"
"""The Secret in each profile namespace."""
SERVICE_ACCOUNT = "default-editor"
"""The ServiceAccount of notebooks and pipelines, which Kubeflow creates and owns."""
LABEL = "pull-secrets.example.ca/enabled"
"""A label of the Profile; ``false`` opts out."""
