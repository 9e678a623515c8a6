"""The test sets of other data than those of the training, for cross-dataset evaluation. Imports nothing heavy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gaitbench.errors import UsageError
from gaitbench.partition import LIST_KEYS, read_partition

__all__ = ["ScoredOn", "scored_on"]


class ScoredOn(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Data whose test set is scored with a model that was trained elsewhere.

    Example:
        >>> ScoredOn(dataset="walkers", options={"seed": 7}).dataset
        'walkers'
    """

    dataset: str
    """Name of the dataset."""
    data: Path | None = None
    """Folder of the official files, or of a prepared dataset; None for generated datasets, and for another look at the
    training data."""
    options: dict[str, Any] = {}
    """Options of the dataset's builder; nothing is taken over from the training data."""
    protocol: str | None = None
    """Name of the protocol; None for the dataset's first one."""
    partition: dict[str, tuple[str, ...]] = {}
    """Lists of the protocol's partition file, by their names in it; empty for the protocol's own rules."""


def scored_on(
    test_dataset: str | ScoredOn | Sequence[str | ScoredOn] | None = None,
    test_data: Path | str | Sequence[Path | str] | Mapping[str, Path | str] | None = None,
    test_options: Mapping[str, object] | None = None,
    test_protocol: str | Mapping[str, str] | None = None,
    test_partition: Path | str | Mapping[str, object] | None = None,
) -> tuple[ScoredOn, ...]:
    """Put the arguments of a run together, a test set each; none where nothing is asked for.

    What says more of a test set holds for the only one, or is a mapping from the names of several; folders may also be
    in the order of the names.

    Args:
        test_dataset: Names of datasets, or all that is to be said of them. A prepared folder tells its own name.
        test_data: Folder of the files.
        test_options: Of the builder.
        test_protocol: Name of the protocol.
        test_partition: JSON file of the official lists, or its content.

    Raises:
        UsageError: Something is said of a test set that is not asked for, or nobody says of which.
        DatasetError: A partition or a prepared folder cannot be read.

    Example:
        >>> [test.options for test in scored_on(["walkers", "ccpg"], test_options={"walkers": {"seed": 7}})]
        [{'seed': 7}, {}]
    """
    asked = [test_dataset] if isinstance(test_dataset, str | ScoredOn) else list(test_dataset or ())
    if not asked and isinstance(test_data, Path | str):
        asked = [_name_of(Path(test_data))]
    names = [test if isinstance(test, str) else "" for test in asked]
    if isinstance(test_data, Sequence) and not isinstance(test_data, str):
        if len(test_data) != len(names) or len(set(names)) != len(names):
            raise UsageError(
                f"{len(test_data)} folders of test data for {len(names)} test datasets; give each its own, by its name"
            )
        test_data = dict(zip(names, test_data, strict=True))
    data = _by_name("test data", test_data, names)
    options = _by_name("test options", test_options, names, may_be_mapping=True)
    protocols = _by_name("a test protocol", test_protocol, names)
    partitions = _by_name("a test partition", test_partition, names, may_be_mapping=True)
    return tuple(
        test
        if isinstance(test, ScoredOn)
        else ScoredOn(
            dataset=test,
            data=data.get(test),
            options=dict(options.get(test) or {}),
            protocol=protocols.get(test),
            partition={LIST_KEYS[role]: words for role, words in read_partition(partitions[test]).items()}
            if test in partitions
            else {},
        )
        for test in asked
    )


def _by_name(what: str, value: Any, names: Sequence[str], *, may_be_mapping: bool = False) -> dict[str, Any]:
    """What is said of each test set; what is said of one may be a mapping itself."""
    if value is None or value == {}:
        return {}
    is_one = not isinstance(value, Mapping) or (may_be_mapping and set(value) != set(names))
    if len(names) == 1 and names[0] and is_one:
        return {names[0]: value}
    known = ", ".join(name for name in names if name) or "none"
    if not isinstance(value, Mapping):
        raise UsageError(f"{what} {str(value)!r} is of no single test dataset (there are: {known}); say whose it is")
    if unknown := sorted(set(value) - set(names)):
        raise UsageError(f"{what} of {unknown[0]!r}, which is no test dataset; there are: {known}")
    return dict(value)


def _name_of(folder: Path) -> str:
    from gaitbench.dataset import GaitDataset
    from gaitbench.store import is_prepared

    if not is_prepared(folder):
        raise UsageError(f"{folder} is no prepared dataset, so say which one it is (--test-dataset, test_dataset=)")
    return GaitDataset.open(folder).card.name
