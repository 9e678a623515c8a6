"""Models that are told more of their training sequences than labels: texts, grades, what else an annotation says.

What is told becomes columns of the training batches' attributes. Test sequences are never described: a configuration
sees the training sequences only, and embeddings are made without any of it.

Axes: N training sequences, A columns.
"""

import copy
import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from gaitbench.errors import ModelError

if TYPE_CHECKING:
    from gaitbench.dataset import GaitDataset

__all__ = ["Describing", "Description", "describe"]

C = TypeVar("C", bound=BaseModel)


class Description(NamedTuple):
    """What is told of N training sequences."""

    config: BaseModel
    """The configuration, with what the columns mean; it is stored whole and rebuilds the model."""
    values: NDArray[np.int64]
    """``[N, A]`` class indices, -1 where unknown: ``batch.attributes`` of the training batches, in place of those of
    the dataset's card."""


class Describing(ABC):
    """A model configuration that describes training sequences; a second base class beside pydantic's.

    Example:
        >>> class Views(BaseModel, Describing):
        ...     views: tuple[str, ...] = ()
        ...     def described(self, data):
        ...         views, index = np.unique(data.table.view, return_inverse=True)
        ...         return Description(Views(views=tuple(views.tolist())), index[:, None])
    """

    @abstractmethod
    def described(self, data: "GaitDataset") -> Description:
        """Describe the training sequences.

        Args:
            data: All of them, and no others; its card has the attributes that the dataset itself knows.

        Raises:
            GaitbenchError: They cannot be described as configured.
        """


def describe(config: C, data: "GaitDataset") -> "tuple[C, GaitDataset]":
    """Let a configuration describe the training sequences, where it is one that does.

    Returns:
        The configuration to build the model with, and the sequences with the columns as their attributes; both as they
        were where nothing is described.

    Raises:
        ModelError: The description is not one of these sequences, or of another class of configuration.
    """
    if not isinstance(config, Describing):
        return config, data
    found, values = config.described(data)
    name = type(config).__name__
    if not isinstance(found, type(config)):
        raise ModelError(f"{name}.described gave a configuration of the class {type(found).__name__}")
    if values.ndim != 2 or len(values) != len(data) or values.dtype.kind != "i":
        raise ModelError(
            f"{name}.described must give values [{len(data)}, A] of whole numbers, got {list(values.shape)} "
            f"{values.dtype}"
        )
    told = copy.copy(data)
    told.table = dataclasses.replace(data.table, attributes=values)
    return found, told
