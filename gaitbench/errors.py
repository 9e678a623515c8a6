"""Everything gaitbench raises on purpose, as one tree.

::

    GaitbenchError
    ├── UsageError              a command, option or argument that cannot mean anything
    │   └── UnknownNameError    a model, dataset, task ... that nobody registered
    ├── ShapeError              tensors whose shapes do not fit together
    ├── DatasetError            files missing, truncated, altered, or not fit for the model
    │   └── IncompleteDataError subjects or sequences that the protocol needs are absent
    ├── ProtocolError           a protocol that cannot be applied to these sequences
    ├── PluginError             a plugin that fails to import or register, or clashes with another
    ├── ModelError              a model that breaks its contract
    ├── TrainingError           training that cannot go on
    │   └── NotFiniteError      a loss or gradient became NaN or infinite
    ├── RecordError             a result that does not agree with its own evidence
    ├── EndpointError           a model behind an HTTP endpoint that refuses or cannot be reached
    └── OutputError             a folder that cannot be written: read-only, full, taken

A message says what was wrong, where, with which values, and what to do next.
"""

__all__ = [
    "DatasetError",
    "EndpointError",
    "GaitbenchError",
    "IncompleteDataError",
    "ModelError",
    "NotFiniteError",
    "OutputError",
    "PluginError",
    "ProtocolError",
    "RecordError",
    "ShapeError",
    "TrainingError",
    "UnknownNameError",
    "UsageError",
]


class GaitbenchError(Exception):
    """Base of all errors that gaitbench raises on purpose."""


class UsageError(GaitbenchError):
    """A command, option or argument that cannot mean anything."""


class UnknownNameError(UsageError):
    """A name that nobody registered; the message holds the nearest known one."""


class ShapeError(GaitbenchError):
    """Tensors whose shapes do not fit together."""


class DatasetError(GaitbenchError):
    """Dataset files are missing, truncated, altered, or do not fit the model."""


class IncompleteDataError(DatasetError):
    """Subjects or sequences that the protocol needs are absent."""


class ProtocolError(GaitbenchError):
    """A protocol that cannot be applied to these sequences."""


class PluginError(GaitbenchError):
    """A plugin fails to import or register, or clashes with another one."""


class ModelError(GaitbenchError):
    """A model breaks its contract."""


class TrainingError(GaitbenchError):
    """Training cannot go on."""


class NotFiniteError(TrainingError):
    """A loss or gradient became NaN or infinite; the message says at which step."""


class RecordError(GaitbenchError):
    """A result does not agree with its own evidence."""


class EndpointError(GaitbenchError):
    """A model behind an HTTP endpoint refuses or cannot be reached."""


class OutputError(GaitbenchError):
    """A folder cannot be written: read-only, full, or taken by something else."""
