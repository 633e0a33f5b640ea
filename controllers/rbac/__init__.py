"""A Role for pipelines, and RoleBindings, in each profile namespace."""
