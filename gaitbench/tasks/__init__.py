"""Tasks: what is asked of a model and how it is scored."""

from gaitbench.tasks.arrays import evaluate_arrays
from gaitbench.tasks.attribute import AttributeTask
from gaitbench.tasks.audit import audit, read_audited
from gaitbench.tasks.base import Direction, EmbeddingSet, Evaluation, RankingMetric, Task, TaskData
from gaitbench.tasks.crossmodal import CrossmodalTask
from gaitbench.tasks.identity import IdentityTask
from gaitbench.tasks.official import official_scores
from gaitbench.tasks.scores import CellMatrix, cell_matrix, cmc_curve
from gaitbench.tasks.submission import write_submission

__all__ = [
    "AttributeTask",
    "CellMatrix",
    "CrossmodalTask",
    "Direction",
    "EmbeddingSet",
    "Evaluation",
    "IdentityTask",
    "RankingMetric",
    "Task",
    "TaskData",
    "audit",
    "cell_matrix",
    "cmc_curve",
    "evaluate_arrays",
    "official_scores",
    "read_audited",
    "write_submission",
]
