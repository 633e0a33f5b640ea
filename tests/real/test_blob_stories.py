"""Stories of blob-csi's sources; those of its containers and volumes: test_blob_processes.py."""
