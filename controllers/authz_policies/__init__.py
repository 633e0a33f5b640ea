"""Istio AuthorizationPolicies for each profile namespace: who may reach what runs in it."""
