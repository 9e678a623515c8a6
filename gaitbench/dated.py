"""Records that grow: fields that came later are left out while they have their default; old records stay equal."""

from typing import Any, ClassVar

from pydantic import BaseModel, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Dated"]


class Dated(BaseModel):
    """A part of a record that gained fields after the first records were written.

    Example:
        >>> class Walk(Dated):
        ...     later_fields = frozenset({"shoes"})
        ...     length: int
        ...     shoes: str = ""
        >>> Walk(length=3).model_dump(), Walk(length=3, shoes="boots").model_dump()
        ({'length': 3}, {'length': 3, 'shoes': 'boots'})
    """

    later_fields: ClassVar[frozenset[str]] = frozenset()
    """Names of the fields that came later."""

    @model_serializer(mode="wrap")
    def _without_later_fields(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = dump(self)
        fields = type(self).model_fields
        for name in self.later_fields & set(dumped):
            if getattr(self, name) == fields[name].get_default(call_default_factory=True):
                del dumped[name]
        return dumped
