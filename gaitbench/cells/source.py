"""A dataset with its options and a protocol: where the training or the test of a cell comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

from gaitbench.dataset import GaitDataset
from gaitbench.errors import PluginError, UsageError
from gaitbench.protocol import Protocol
from gaitbench.registry import Registry
from gaitbench.specs import DatasetSpec, ProtocolSpec
from gaitbench.store import fit_protocol, is_prepared, open_or_prepare, source_modalities

__all__ = ["NamedData", "Source", "find_protocol"]


class NamedData(Interface):
    """Data by its names, as a cell or its other test set has it."""

    @property
    def dataset(self) -> str:
        """Name of the dataset."""

    @property
    def data(self) -> Path | None:
        """Folder of its files."""

    @property
    def options(self) -> dict[str, object]:
        """Options of its builder."""

    @property
    def protocol(self) -> str | None:
        """Name of the protocol."""

    @property
    def partition(self) -> dict[str, tuple[str, ...]]:
        """Lists of its partition file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Data with everything it names."""

    registry: Registry
    spec: DatasetSpec
    protocol: Protocol
    """As it is registered; :meth:`protocol_for` applies it to the data."""
    named: NamedData

    @classmethod
    def find(cls, registry: Registry, named: NamedData) -> "Source":
        """Look up dataset and protocol.

        Raises:
            UnknownNameError: A name that nobody registered; the message has the nearest one.
            UsageError: The protocol belongs to another dataset, or the dataset has none.
        """
        spec = registry.get("dataset", named.dataset)
        assert isinstance(spec, DatasetSpec)
        return cls(registry=registry, spec=spec, protocol=find_protocol(named.protocol, spec, registry), named=named)

    @property
    def place(self) -> tuple[object, ...]:
        """What tells prepared data apart: two sources of one place share a folder."""
        return self.spec.name, self.named.data, tuple(sorted((k, repr(v)) for k, v in self.named.options.items()))

    def open(self, modalities: Sequence[str]) -> GaitDataset:
        """Open the data; what is missing of it is prepared first.

        Raises:
            DatasetError: The source is not this dataset, or lacks a modality.
        """
        return open_or_prepare(
            self.registry,
            self.named.dataset,
            modalities=modalities,
            source=self.named.data,
            options=self.named.options,
        )

    def protocol_for(self, options: Mapping[str, object]) -> Protocol:
        """The protocol as a dataset made with these options has it, with the lists of the partition.

        Raises:
            DatasetError: The lists contradict each other.
            ProtocolError: A list that the protocol is made of is not among them.
        """
        fitted = fit_protocol(self.registry, self.spec, options, self.protocol)
        return fitted.with_partition(self.named.partition) if self.named.partition else fitted

    def known_protocol(self) -> Protocol:
        """The protocol as far as it is known before any data is made."""
        data = self.named.data
        is_there = data is not None and is_prepared(data)
        return self.protocol_for(GaitDataset.open(data).card.options if is_there and data else self.named.options)

    def supplied(self) -> tuple[str, ...]:
        """The streams that the data has, as far as that is known before any is made.

        Raises:
            UsageError: A folder is needed and not given, or an option does not fit.
            DatasetError: The source is not this dataset.
        """
        data = self.named.data
        if data is not None and is_prepared(data):
            return GaitDataset.open(data).modalities
        return source_modalities(self.registry, self.spec, data, self.named.options)


def find_protocol(name: str | None, spec: DatasetSpec, registry: Registry) -> Protocol:
    """Look a protocol up; None takes the dataset's first one.

    Raises:
        UnknownNameError: Nobody registered it; the message has the nearest one.
        UsageError: It belongs to another dataset, or the dataset has none.
        PluginError: Its target is no protocol.
    """
    if name is None and not spec.protocols:
        raise UsageError(
            f"dataset {spec.name!r} has no protocol: none is published, so that nothing can be scored on it. It can be "
            "prepared, loaded and embedded."
        )
    found = registry.get("protocol", name or spec.protocols[0])
    assert isinstance(found, ProtocolSpec)
    if found.dataset != spec.name:
        raise UsageError(
            f"protocol {found.name!r} belongs to dataset {found.dataset!r}, not {spec.name!r}, which has "
            f"{', '.join(spec.protocols)}"
        )
    protocol = registry.load(found)
    if not isinstance(protocol, Protocol):
        raise PluginError(f"{found.target} of protocol {found.name!r} must be a Protocol")
    return protocol
