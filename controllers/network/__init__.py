"""NetworkPolicies in every profile namespace: whom a tenant's pods may reach, and who them."""
