"""Tasks: what is asked of a model and how it is scored."""

from gaitbench.tasks.arrays import evaluate_arrays
from gaitbench.tasks.audit import audit, read_audited
from gaitbench.tasks.base import Direction, EmbeddingSet, Evaluation, RankingMetric, Task
from gaitbench.tasks.crossmodal import CrossmodalTask
from gaitbench.tasks.identity import IdentityTask
from gaitbench.tasks.scores import cmc_curve

__all__ = [
    "CrossmodalTask",
    "Direction",
    "EmbeddingSet",
    "Evaluation",
    "IdentityTask",
    "RankingMetric",
    "Task",
    "audit",
    "cmc_curve",
    "evaluate_arrays",
    "read_audited",
]
