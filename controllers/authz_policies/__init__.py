"""AuthorizationPolicies for each profile namespace: access to its workloads, blocked requests."""
