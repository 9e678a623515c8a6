"""Gait datasets with colour, for gaitbench."""
