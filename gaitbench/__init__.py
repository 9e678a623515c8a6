"""gaitbench: the benchmark library of gait recognition."""

__version__ = "0.1.0"
