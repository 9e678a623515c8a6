"""What models take from annotations: sentences per sequence, class indices, factors, dictionaries, prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

from gaitbench.annotating.dictionary import round_entry
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.gdf import GaitFactors
from gaitbench.annotating.records import Annotations
from gaitbench.annotating.schema import SchemaName
from gaitbench.card import Attribute
from gaitbench.errors import DatasetError

__all__ = [
    "TextDictionary",
    "attribute_indices",
    "gait_factors",
    "motion_prompts",
    "sentences_by_sequence",
    "text_dictionary",
]


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
    _check(annotations, "attributes")
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
        DatasetError: The annotations are of another schema.
    """
    _check(annotations, "gdf")
    return {record.sequence_id: GaitFactors.of(record.values) for record in annotations if record.is_ok}


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


def text_dictionary(annotations: Annotations) -> TextDictionary:
    """The dictionary of an annotation file.

    Raises:
        DatasetError: The annotations are of another schema, or a round is missing: a dictionary has all or none.
    """
    _check(annotations, "gmtd")
    header = annotations.header
    sentences: dict[str, tuple[tuple[str, ...], ...]] = {}
    directions: tuple[str, ...] = ()
    for modality in header.modalities:
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
            rounds.append(tuple(str(record.values[view]) for view in names))
        sentences[modality] = tuple(rounds)
    return TextDictionary(sentences, directions)


def motion_prompts(annotations: Annotations) -> tuple[str, ...]:
    """All sentences about the motion of arms and legs, each once.

    Raises:
        DatasetError: The annotations are of another schema, or hold no sentence.
    """
    _check(annotations, "prompts")
    found = dict.fromkeys(sentence for record in annotations if record.is_ok for sentence in record.sentences)
    if not found:
        raise DatasetError("the annotations hold no prompt; run the same gaitbench annotate again to complete them")
    return tuple(found)


def _check(annotations: Annotations, wanted: SchemaName) -> None:
    if (name := annotations.header.schema_name) != wanted:
        raise DatasetError(f"annotations of the schema {wanted} are needed, these are of {name}")
