"""What models take from annotations: sentences per sequence, class indices, factors, dictionaries, prompts."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import ValidationError

from gaitbench.annotating.attributes import AttributesSchema
from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.dictionary import DictionarySchema, round_entry
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.fields import AnswerField
from gaitbench.annotating.gdf import GDF_FIELDS, GaitFactors, GdfSchema
from gaitbench.annotating.motion import MotionPromptsSchema
from gaitbench.annotating.records import Annotation, Annotations
from gaitbench.annotating.schema import SchemaName
from gaitbench.card import Attribute
from gaitbench.errors import DatasetError

__all__ = [
    "TextDictionary",
    "attribute_indices",
    "check_schema",
    "gait_factors",
    "motion_prompts",
    "sentences_by_sequence",
    "text_dictionary",
]

_VERSIONS: dict[SchemaName, int] = {
    each.name: each.version for each in (AttributesSchema, DictionarySchema, GdfSchema, MotionPromptsSchema)
}


def sentences_by_sequence(annotations: Annotations) -> dict[str, tuple[str, ...]]:
    """Sequence id to its sentences; sequences without a usable answer are left out.

    Args:
        annotations: Of any schema; in text schemas the keys are the entries.
    """
    return {record.sequence_id: record.sentences for record in annotations if record.is_ok}


def attribute_indices(annotations: Annotations, attributes: Sequence[Attribute]) -> dict[str, tuple[int, ...]]:
    """Sequence id to a class index per attribute, as a dataset's table has them: -1 where the model could not tell.

    Args:
        annotations: Of the schema ``attributes``.
        attributes: A card's schema; the annotations must have been made with it.

    Raises:
        DatasetError: They are of another schema.
    """
    check_schema(annotations, "attributes")
    asked = {field.name: field.choices for field in annotations.header.fields if field.choices}
    wanted = {attribute.name: attribute.classes for attribute in attributes}
    if differing := sorted(name for name in {*asked, *wanted} if asked.get(name) != wanted.get(name)):
        raise DatasetError(
            f"the annotations of {annotations.header.dataset} were made with other attributes or classes "
            f"({', '.join(differing[:3])}); annotate the dataset again"
        )
    found = {}
    for record in annotations:
        if record.is_ok:
            values = [record.values[attribute.name] for attribute in attributes]
            pairs = zip(values, attributes, strict=True)
            found[record.sequence_id] = tuple(-1 if v is None else each.classes.index(str(v)) for v, each in pairs)
    return found


def gait_factors(annotations: Annotations) -> dict[str, GaitFactors]:
    """Sequence id to its gait description factors.

    Raises:
        DatasetError: The annotations are of another schema, or were altered: their header asks for other fields than
            :data:`gaitbench.annotating.GDF_FIELDS`, or a value is outside them.
    """
    check_schema(annotations, "gdf")
    for found, wanted in zip_longest(annotations.header.fields, GDF_FIELDS):
        if _asks(found) != _asks(wanted):
            raise DatasetError(
                f"the header asks for {_named(found)} where the schema gdf has {_named(wanted)}, so the file was "
                "altered; restore it, or annotate again"
            )
    return {record.sequence_id: _factors(record) for record in annotations if record.is_ok}


@dataclass(frozen=True, slots=True)
class TextDictionary:
    """A gait modality text dictionary."""

    sentences: dict[str, tuple[tuple[str, ...], ...]]
    """Modality to its rounds, each a sentence per direction, in the order of :attr:`directions`."""
    directions: tuple[str, ...]
    """Names of the directions that it has."""

    def of(self, modality: str) -> tuple[str, ...]:
        """All sentences of a modality, round by round: ``num_rounds x num_directions``.

        Raises:
            KeyError: It is not about this modality.
        """
        return tuple(sentence for one_round in self.sentences[modality] for sentence in one_round)

    @property
    def num_distinct(self) -> int:
        """Different sentences; fewer than there are mean that the model has repeated itself."""
        return len({sentence for modality in self.sentences for sentence in self.of(modality)})


def text_dictionary(annotations: Annotations, modalities: Container[str] | None = None) -> TextDictionary:
    """The dictionary of an annotation file.

    Args:
        annotations: Of the schema ``gmtd``.
        modalities: Those that are taken, as far as the file has them; others may lack rounds. None for all.

    Raises:
        DatasetError: The annotations are of another schema, a round is missing (a dictionary has all or none), or its
            sentences are not those of its directions.
    """
    check_schema(annotations, "gmtd")
    header = annotations.header
    sentences: dict[str, tuple[tuple[str, ...], ...]] = {}
    directions: tuple[str, ...] = ()
    for modality in header.modalities:
        if modalities is not None and modality not in modalities:
            continue
        rounds = []
        for number in range(1, header.num_rounds + 1):
            entry = round_entry(modality, number)
            record = annotations.get(entry)
            if record is None or not record.is_ok:
                raise DatasetError(
                    f"the dictionary lacks {entry}; run the same gaitbench annotate again to complete it"
                )
            names = tuple(view for view in DIRECTIONS if view in record.values)
            if names != (directions := directions or names) or len(names) != len(record.values):
                raise DatasetError(f"{entry} is about other directions than the rounds before it; annotate again")
            one_round = tuple(str(record.values[view]) for view in names)
            # A file need not repeat them; one that does must not contradict itself.
            if record.sentences and sorted(record.sentences) != sorted(one_round):
                raise DatasetError(
                    f"the sentences of {entry} are not those of its values, so it was altered; restore the file, or "
                    "annotate again"
                )
            rounds.append(one_round)
        sentences[modality] = tuple(rounds)
    return TextDictionary(sentences, directions)


def motion_prompts(annotations: Annotations) -> tuple[str, ...]:
    """All sentences about the motion of arms and legs, each once.

    Raises:
        DatasetError: The annotations are of another schema, or hold no sentence.
    """
    check_schema(annotations, "prompts")
    found = dict.fromkeys(sentence for record in annotations if record.is_ok for sentence in record.sentences)
    if not found:
        raise DatasetError("the annotations hold no prompt; run the same gaitbench annotate again to complete them")
    return tuple(found)


def check_schema(annotations: Annotations, wanted: SchemaName) -> None:
    """Stop at annotations of another schema, or of another version of it.

    Raises:
        DatasetError: They are.
    """
    header = annotations.header
    if header.schema_name != wanted:
        raise DatasetError(f"annotations of the schema {wanted} are needed, these are of {header.schema_name}")
    if header.schema_version != _VERSIONS[wanted]:
        raise DatasetError(
            f"annotations of version {_VERSIONS[wanted]} of the schema {wanted} are needed, these are of version "
            f"{header.schema_version}; annotate again, or use the gaitbench that wrote them ({header.written_by})"
        )


def _factors(record: Annotation) -> GaitFactors:
    try:
        return GaitFactors.of(record.values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(f"record {record.sequence_id!r}, field {where}: {first['msg']}; annotate again") from error


def _asks(field: AnswerField | None) -> object:
    """What an answer to a field is held against."""
    return field and (field.name, field.choices, field.unknown)


def _named(field: AnswerField | None) -> str:
    """A field with what may be answered."""
    if field is None:
        return "no further field"
    return f"{clean_text(field.name, 60)!r} ({clean_text(', '.join(map(str, field.answers)), 60) or 'a sentence'})"
