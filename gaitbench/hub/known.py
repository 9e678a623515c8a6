"""What installed packages know of a dataset: the protocol that divides it, and whether it may be passed on."""

from gaitbench.card import DatasetCard
from gaitbench.errors import GaitbenchError, UnknownNameError
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry
from gaitbench.specs import DatasetSpec
from gaitbench.store import fit_protocol
from gaitbench.table import SequenceTable

__all__ = ["may_pass_on", "protocol_of", "spec_of"]


def spec_of(registry: Registry, name: str) -> DatasetSpec | None:
    """The registered record of a dataset; None where nothing installed describes it."""
    try:
        spec = registry.get("dataset", name)
    except UnknownNameError:
        return None
    assert isinstance(spec, DatasetSpec)
    return spec


def protocol_of(registry: Registry, card: DatasetCard, table: SequenceTable) -> Protocol | None:
    """A dataset's default protocol, fitted to its options and sequences; None where there is none.

    Args:
        registry: Where to look.
        card: Of the dataset.
        table: Its sequences.
    """
    spec = spec_of(registry, card.name)
    if spec is None or not spec.protocols:
        return None
    protocol = registry.load(registry.get("protocol", spec.protocols[0]))
    assert isinstance(protocol, Protocol)
    try:
        return fit_protocol(registry, spec, card.options, protocol).for_table(table)
    except GaitbenchError:
        # What does not fit is told where the table is divided.
        return protocol


def may_pass_on(registry: Registry, card: DatasetCard) -> bool | None:
    """Whether a dataset's terms let anybody pass it on: what forbids it comes first; None where nothing is known.

    Args:
        registry: Where to look.
        card: Of the dataset.
    """
    spec = spec_of(registry, card.name)
    said = {card.redistribution, None if spec is None else spec.redistribution}
    return False if False in said else True if True in said else None
