"""``gaitbench export``: from a name or a folder to a repository, and on to the hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gaitbench.dataset import GaitDataset
from gaitbench.hub.address import is_address
from gaitbench.hub.export import Export, export
from gaitbench.hub.known import may_pass_on, protocol_of
from gaitbench.hub.push import Pushed, check_right, check_token, push
from gaitbench.registry import Registry
from gaitbench.specs import DatasetSpec
from gaitbench.store import is_prepared, make_builder, open_or_prepare, source_modalities

__all__ = ["Exported", "export_and_push"]


class Exported(NamedTuple):
    """What became of an export."""

    export: Export
    """The folder."""
    pushed: Pushed | None
    """The repository on the hub; None where nothing was pushed."""


def export_and_push(
    registry: Registry,
    dataset: str | Path | GaitDataset,
    out: Path,
    *,
    modalities: Sequence[str] | None = None,
    source: Path | None = None,
    options: Mapping[str, object] | None = None,
    repository: str | None = None,
    public: bool = False,
    has_right: bool = False,
) -> Exported:
    """Export a dataset, and push it; see :func:`gaitbench.export` for the arguments.

    Whether it may be pushed, and whether the hub knows the user, is found out before anything slow.

    Raises:
        GaitbenchError: As :func:`gaitbench.export`.
    """
    opened: GaitDataset | None = None
    if isinstance(dataset, GaitDataset):
        opened = dataset
    elif isinstance(dataset, Path) or (not is_address(dataset) and is_prepared(Path(dataset))):
        opened = GaitDataset.open(dataset)
    if repository is not None:
        if opened is not None:
            check_right(opened.card.name, may_pass_on(registry, opened.card), has_right=has_right)
        elif not is_address(str(dataset)):
            spec = registry.get("dataset", str(dataset))
            assert isinstance(spec, DatasetSpec)
            rights = spec.redistribution
            if rights is None and not spec.needs_source:
                rights = may_pass_on(registry, make_builder(registry, spec, None, options).card())
            check_right(spec.name, rights, has_right=has_right)
        check_token(repository)
    if opened is None:
        opened = _prepared(registry, str(dataset), modalities, source, options)
    rights = may_pass_on(registry, opened.card)
    if repository is not None:
        check_right(opened.card.name, rights, has_right=has_right)
    written = export(
        opened,
        out,
        modalities=modalities,
        protocol=protocol_of(registry, opened.card, opened.table),
        redistribution=rights,
    )
    if repository is None:
        return Exported(written, None)
    return Exported(written, push(out, repository, public=public, has_right=has_right))


def _prepared(
    registry: Registry,
    name: str,
    modalities: Sequence[str] | None,
    source: Path | None,
    options: Mapping[str, object] | None,
) -> GaitDataset:
    if not is_address(name) and not modalities:
        spec = registry.get("dataset", name)
        assert isinstance(spec, DatasetSpec)
        modalities = source_modalities(registry, spec, source, options)
    return open_or_prepare(registry, name, modalities=modalities, source=source, options=options)
