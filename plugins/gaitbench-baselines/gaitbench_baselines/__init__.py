"""Published gait models and trivial baselines for gaitbench."""
