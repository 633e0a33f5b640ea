"""NetworkPolicies in each profile namespace, by the classification of the data."""
