"""LMGait: gait recognition from colour, guided by language and aware of motion."""
