"""Published skeleton-based gait models for gaitbench."""
