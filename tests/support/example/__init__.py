"""Examples for documents, which tests run."""
