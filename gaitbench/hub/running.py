"""``gaitbench run --dataset hf:...``: a repository becomes the name of a dataset and the folder it was prepared in."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gaitbench.errors import DatasetError, UsageError
from gaitbench.hub.known import spec_of
from gaitbench.hub.opening import open_repository, stream_repository
from gaitbench.registry import Registry
from gaitbench.specs import ModelSpec
from gaitbench.store import cache_root

__all__ = ["repository_for_run"]


def repository_for_run(
    registry: Registry,
    address: str,
    models: Sequence[str] | None,
    options: Mapping[str, object] | None,
) -> tuple[str, Path]:
    """Read what models need of a repository.

    Args:
        registry: Where names are looked up.
        address: ``hf:ORG/NAME``, ``hf:ORG/NAME@REVISION`` or ``hf:FOLDER``.
        models: Their streams are read; None for all of the repository.
        options: How columns are read, for repositories that gaitbench did not write.

    Returns:
        The dataset's name and the prepared folder.

    Raises:
        UsageError: Nothing installed describes the dataset, so that there is no protocol.
        DatasetError: There is no such repository, it is broken, or lacks what a model reads.
    """
    found = stream_repository(address, cache_root(), options=options)
    name = found.card.name
    if spec_of(registry, name) is None:
        known = ", ".join(registry.names("dataset"))
        raise UsageError(
            f"{address} holds the dataset {name!r}, which no installed package describes, so there is no protocol to "
            f"run it under. Installed are {known}. Install its plugin, or, where the pictures are those of one of "
            "them, say so: --option name=NAME."
        )
    wanted: list[str] | None = None
    if models is not None:
        wanted = []
        for model in models:
            spec = registry.get("model", model)
            assert isinstance(spec, ModelSpec)
            # A model may read one of several streams; which one, its configuration says.
            if not (usable := [each for each in spec.inputs if each in found.modalities]):
                raise DatasetError(
                    f"{address} has no {' or '.join(spec.inputs)}, which model {model!r} reads; it has "
                    f"{', '.join(found.modalities)}"
                )
            wanted += usable
    dataset = open_repository(address, cache_root(), modalities=wanted, options=options)
    return name, dataset.root
