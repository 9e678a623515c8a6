"""How somebody's pictures become sequences: which column says what."""

from typing import Any, Self

from pydantic import BaseModel, Field, PositiveInt, ValidationError, field_validator

from gaitbench.errors import DatasetError, UsageError

__all__ = ["ROLES", "ColumnMapping", "find_columns"]

ROLES: dict[str, tuple[str, ...]] = {
    "image": ("image", "images", "picture", "frames"),
    "subject": ("subject", "subject_id", "person", "person_id", "label"),
    "condition": ("condition",),
    "view": ("view", "camera"),
    "sequence": ("sequence", "sequence_id"),
    "frame": ("frame", "frame_id"),
}
"""What a column can say, and the names that it is looked for by. Only image and subject must be there."""


class ColumnMapping(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Options of a repository that gaitbench did not write."""

    columns: dict[str, str] = Field(default_factory=dict)
    """Role to column, such as ``{"subject": "pid"}``; roles that are left out are looked for by their usual names."""
    config: str | None = None
    """Which configuration of the README; None for the default one."""
    pattern: str | None = None
    """Folders and file name of pictures without metadata, such as ``{subject}/{condition}/{view}/{frame}``; None takes
    the folders above a picture for subject, condition and view, as many as there are."""
    modality: str | None = None
    """What the pictures show, such as ``silhouette``; None asks the first picture."""
    size_px: tuple[PositiveInt, PositiveInt] | None = None
    """Rows and columns to scale pictures to, whatever their shape; None where all have one size."""
    threshold: int = Field(default=128, ge=1, le=65535)
    """Grey value from which a pixel is part of a silhouette."""
    frame_rate_hz: float = Field(default=25.0, gt=0, allow_inf_nan=False)
    """Frames per second."""
    name: str | None = None
    """Name of the dataset; that of a registered one makes its protocol apply. None for the repository's."""

    @field_validator("columns")
    @classmethod
    def _check_roles(cls, columns: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(columns.keys() - ROLES.keys()):
            raise ValueError(f"no column can be {', '.join(unknown)}; there are {', '.join(ROLES)}")
        return columns

    @classmethod
    def of(cls, options: dict[str, Any]) -> Self:
        """Read options; ``columns.subject=pid`` is another way of writing ``columns={"subject": "pid"}``.

        Raises:
            UsageError: There is no such option, or a value does not fit.

        Example:
            >>> ColumnMapping.of({"columns.subject": "pid", "columns.view": "cam"}).columns
            {'subject': 'pid', 'view': 'cam'}
        """
        given: dict[str, Any] = {}
        for key, value in options.items():
            role = key.removeprefix("columns.")
            if role != key:
                given.setdefault("columns", {})[role] = value
            elif key == "columns" and isinstance(value, dict):
                given.setdefault("columns", {}).update(value)
            else:
                given[key] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problem = error.errors()[0]
            option = ".".join(map(str, problem["loc"]))
            raise UsageError(
                f"option {option!r} of a Hugging Face repository: {problem['msg']}. There are "
                f"{', '.join(cls.model_fields)}; columns take {', '.join(f'columns.{role}=NAME' for role in ROLES)}."
            ) from error


def find_columns(mapping: ColumnMapping, found: list[str], where: str, *, has_image: bool = True) -> dict[str, str]:
    """Tell which column has which role.

    Args:
        mapping: What the user says.
        found: The columns there are.
        where: The file, for messages.
        has_image: False where the pictures are files beside the table.

    Returns:
        Role to column, for the roles that have one.

    Raises:
        DatasetError: A column that was named, or one that must be there, is not; the message lists those found.

    Example:
        >>> find_columns(ColumnMapping(columns={"subject": "pid"}), ["pid", "image", "view"], "a.parquet")
        {'image': 'image', 'subject': 'pid', 'view': 'view'}
    """
    roles: dict[str, str] = {}
    for role, usual in ROLES.items():
        named = mapping.columns.get(role)
        if role == "image" and not has_image:
            continue
        if named is not None and named not in found:
            raise DatasetError(f"{where} has no column {named!r} for {role}; it has {', '.join(found)}")
        if (column := named or next((name for name in usual if name in found), None)) is not None:
            roles[role] = column
    needed = ("image", "subject") if has_image else ("subject",)
    if missing := [role for role in needed if role not in roles]:
        raise DatasetError(
            f"{where} has no column that says the {' or the '.join(missing)}; it has {', '.join(found)}. Say which one "
            f"does: {' '.join(f'--option columns.{role}=NAME' for role in missing)}, or in Python "
            f"columns={{{', '.join(f'{role!r}: NAME' for role in missing)}}}"
        )
    if len(set(roles.values())) != len(roles):
        twice = next(column for column in roles.values() if list(roles.values()).count(column) > 1)
        same = [role for role, column in roles.items() if column == twice]
        raise DatasetError(f"{where}: column {twice!r} cannot be {' and '.join(same)}; name different ones")
    return roles
