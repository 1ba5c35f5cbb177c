"""Data: from picture files to batches."""
