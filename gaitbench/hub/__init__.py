"""Hugging Face: export as a dataset repository, read one back, stream, push."""
