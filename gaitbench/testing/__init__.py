"""Contract tests for plugin authors, one line each, and synthetic data to try things on.

::

    from gaitbench.testing import check_model

    def test_model() -> None:
        check_model(GaitSet(GaitSetConfig(channels=(4, 8, 16))))

A check raises an error that says what is wrong and what the contract asks for. Core's own components pass the same
checks. Pytest fixtures come with the package: see :mod:`gaitbench.pytest_plugin`.
"""

from gaitbench.testing.apart import check_apart
from gaitbench.testing.datasets import check_dataset
from gaitbench.testing.learning import check_learning
from gaitbench.testing.lengths import check_lengths
from gaitbench.testing.metrics import check_metric
from gaitbench.testing.modalities import check_modality
from gaitbench.testing.models import check_model
from gaitbench.testing.parity import ParityVector, check_parity, fill_by_rule
from gaitbench.testing.plugins import check_plugin
from gaitbench.testing.presets import LoadedPreset, LoadedPublished, load_preset, load_presets, load_published
from gaitbench.testing.recipes import check_recipe
from gaitbench.testing.refusals import check_labels_needed, check_modality_needed
from gaitbench.testing.synthetic import synthetic_batch, synthetic_embeddings, synthetic_frames, synthetic_table
from gaitbench.testing.tasks import check_task

__all__ = [
    "LoadedPreset",
    "LoadedPublished",
    "ParityVector",
    "check_apart",
    "check_dataset",
    "check_labels_needed",
    "check_learning",
    "check_lengths",
    "check_metric",
    "check_modality",
    "check_modality_needed",
    "check_model",
    "check_parity",
    "check_plugin",
    "check_recipe",
    "check_task",
    "fill_by_rule",
    "load_preset",
    "load_presets",
    "load_published",
    "synthetic_batch",
    "synthetic_embeddings",
    "synthetic_frames",
    "synthetic_table",
]
