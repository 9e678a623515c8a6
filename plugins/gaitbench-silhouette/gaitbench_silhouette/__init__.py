"""Silhouette datasets for gaitbench."""
