"""Whether people of the training are asked about in the test, where the two come from different data."""

import logging
from typing import Literal

import numpy as np

from gaitbench.dataset import GaitDataset
from gaitbench.errors import PluginError, ProtocolError
from gaitbench.specs import DatasetSpec

__all__ = ["People", "check_people", "population"]

_log = logging.getLogger("gaitbench")

People = Literal["others", "divided", "unknown"]
"""``others``: the test shows other people than the training data. ``divided``: both data show the same people, and none
of those trained on is in the test. ``unknown``: nobody says whose walks one of them holds."""


def population(spec: DatasetSpec, options: dict[str, object]) -> str:
    """The word for the people that a dataset shows; datasets of one word call each of them by the same id.

    Args:
        spec: Of the dataset.
        options: It was made with.

    Returns:
        The word, empty where nobody knows.

    Raises:
        PluginError: The spec names an option that the dataset does not have.

    Example:
        >>> from gaitbench.registry import load_registry
        >>> population(load_registry().get("dataset", "walkers"), {"seed": 7, "spread": 2.0})
        'walkers of seed 7'
    """
    if spec.population is None:
        return spec.name
    try:
        return spec.population.format(**options)
    except (LookupError, ValueError, AttributeError) as error:
        raise PluginError(
            f"population {spec.population!r} of dataset {spec.name!r} must be a word with options in braces; there are "
            f"{', '.join(options) or 'none'}"
        ) from error


def check_people(train_spec: DatasetSpec, train: GaitDataset, test_spec: DatasetSpec, test: GaitDataset) -> People:
    """Stop when somebody who was trained on is in the test.

    Args:
        train_spec: Of the training data.
        train: The training sequences.
        test_spec: Of the test data.
        test: The test sequences.

    Raises:
        ProtocolError: People of the test are trained on, or the two data show the same people under different ids.
    """
    ours, theirs = population(train_spec, train.card.options), population(test_spec, test.card.options)
    between = f"{train_spec.name} -> {test_spec.name}"
    if renumbered := ({ours} & {*test_spec.renumbers}) | ({theirs} & {*train_spec.renumbers}):
        raise ProtocolError(
            f"{between}: both show people of {renumbered.pop()}, under different ids, so nobody can tell whether some "
            "of the test are trained on; choose other data for one of them"
        )
    both = np.intersect1d(train.table.subject_id, test.table.subject_id)
    if not ours or not theirs:
        if both.size:
            _log.warning(
                "%s: %d subject ids are in training and test (first: %s). Nobody says whose they are; if these are the "
                "same people, the result is worthless",
                between,
                both.size,
                ", ".join(both[:3].tolist()),
            )
        return "unknown"
    if ours != theirs:
        return "others"
    if both.size:
        raise ProtocolError(
            f"{between}: {both.size} people are in training and test (first: {', '.join(both[:3].tolist())}), as both "
            f"data show the same people ({ours}). A model that has seen them answers another question; choose data or "
            "protocols that divide them"
        )
    return "divided"
