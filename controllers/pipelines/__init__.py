"""pipelines: what Kubeflow Pipelines needs in a profile namespace."""
