"""Who may do what in a profile's namespace: a Role for pipelines, and bindings."""
