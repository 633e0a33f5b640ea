"""Azure Blob Storage for each profile: its own containers, and the shared buckets granted to it."""
