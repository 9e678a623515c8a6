"""CLIP-GAR for gaitbench."""
