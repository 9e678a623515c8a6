"""Pictures of what a model looks at: what it shows (:class:`Heatmap`, :class:`Finding`) and how that is drawn."""

from gaitbench.explaining.interface import Explainable, Finding, Heatmap, activation_heatmap, maximum_heatmap

__all__ = ["Explainable", "Finding", "Heatmap", "activation_heatmap", "maximum_heatmap"]
