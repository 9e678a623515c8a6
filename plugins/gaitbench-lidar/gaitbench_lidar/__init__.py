"""Gait models on LiDAR point clouds for gaitbench."""
