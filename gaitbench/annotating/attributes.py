"""The attributes that a dataset's card declares, such as RA-GAR's 15, as a model sees them in a walk.

What a model answers is an annotation beside the dataset; it never becomes a label of it.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gaitbench.annotating.cleaning import clean_text
from gaitbench.annotating.fields import AnswerField, Value
from gaitbench.annotating.schema import CAUTION, SchemaName, WalkSchema, field_lines
from gaitbench.card import Attribute
from gaitbench.errors import UsageError

__all__ = ["AttributesSchema"]

UNKNOWN = "unknown"


class AttributesSchema(WalkSchema):
    """Asks for the class of every attribute of a card.

    Args:
        name: Of the dataset, for messages.
        attributes: Its schema.

    Raises:
        UsageError: There is none, or it has a name or a class twice.

    Example:
        >>> schema = AttributesSchema("d", [Attribute(name="toe", title="Toe", classes=("in", "out"))])
        >>> schema.sentences({"toe": "in", "summary": "Short steps."})
        ('Toe: in.', 'Short steps.')
    """

    name: ClassVar[SchemaName] = "attributes"
    version = 1
    system = (
        "You describe what can be seen of people while they walk, for research on gait recognition. You see a contact "
        f"sheet of one walk and judge only what can be seen in it. {CAUTION}"
    )

    def __init__(self, name: str, attributes: Sequence[Attribute]) -> None:
        if not attributes:
            raise UsageError(
                f"{name} declares no attributes, so nothing is asked; annotate it with --schema gdf, or add an "
                "attribute schema to its card."
            )
        names = [attribute.name for attribute in attributes]
        for kind, words in (("attribute", names), *((f"class of {each.name}", each.classes) for each in attributes)):
            if twice := sorted({word for word in words if list(words).count(word) > 1}):
                raise UsageError(f"{name} declares the {kind} {twice[0]!r} twice; correct its card.")
        if "" in names:
            raise UsageError(f"{name} declares an attribute without a name; correct its card.")
        if empty := [attribute.name for attribute in attributes if not attribute.classes]:
            raise UsageError(f"{name} declares no class of {empty[0]}; correct its card.")
        fields = [
            AnswerField(
                name=attribute.name,
                title=clean_text(attribute.title) or attribute.name,
                question=clean_text(attribute.title),
                choices=attribute.classes,
                unknown=None if UNKNOWN in attribute.classes else UNKNOWN,
                certainty="stated",
            )
            for attribute in attributes
        ]
        self.summary = "summary"
        while self.summary in names:
            self.summary += "_"
        question = "one sentence of at most 40 words about body, posture, arms, steps and feet"
        self.fields = (*fields, AnswerField(name=self.summary, title="Summary", question=question))

    def question(self, sheet: str) -> str:
        """What is asked of a contact sheet."""
        return (
            f"{sheet}\n\nChoose one class of every attribute, word for word. Where the frames do not show it, answer "
            f"{UNKNOWN} rather than guess.\n\n{field_lines(self.fields)}"
        )

    def sentences(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """One for each attribute that could be told, and the summary."""
        told = [f"{field.title}: {values[field.name]}." for field in self.fields[:-1] if values[field.name] is not None]
        return (*told, str(values[self.summary]))
