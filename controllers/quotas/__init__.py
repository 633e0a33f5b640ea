"""One ResourceQuota for each profile namespace, with overrides by label."""
