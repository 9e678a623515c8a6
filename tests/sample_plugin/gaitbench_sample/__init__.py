"""A complete plugin of gaitbench."""
