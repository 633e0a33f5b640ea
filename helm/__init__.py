"""The Helm chart, the generators of some of its files, and a converter of older values."""
