"""The numbers of an evaluation under the names that the official evaluator gives them."""

from gaitbench.protocol import Protocol
from gaitbench.tasks.base import Evaluation

__all__ = ["official_scores"]


def official_scores(evaluation: Evaluation, protocol: Protocol, *, direction: str = "") -> dict[str, float]:
    """Write down what the official evaluator logs.

    Args:
        evaluation: Scores under the protocol.
        protocol: Its :attr:`~gaitbench.protocol.Protocol.evaluator_keys` say what is logged.
        direction: As in the record.

    Returns:
        The evaluator's key to percent, in its order; groups that were not measured are not in it.
    """
    known = {
        f"{score.metric}/{score.group}": score.value for score in evaluation.scores if score.direction == direction
    }
    return {theirs: 100 * known[ours] for theirs, ours in protocol.evaluator_keys.items() if ours in known}
