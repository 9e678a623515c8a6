"""Gait description factors (GDF): viewpoint, graded peculiarities of the walk, mood, and a summary.

Source:
    SG-CrossGait, TIFS 2026: the fields and their printed ranges as the authors' public repository lists them. The
    sentence that they are put into, and everything said of fields that the list leaves open, is ours; each field says
    which (:attr:`gaitbench.annotating.fields.AnswerField.certainty`).
"""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import BaseModel, Field

from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.fields import AnswerField, Value
from gaitbench.annotating.schema import CAUTION, SchemaName, WalkSchema, field_lines

__all__ = ["GDF_FIELDS", "GaitFactors", "GdfSchema"]

UNKNOWN = -1
GRADES = (0, 1, 2, 3, 4, 5)


def _grade(name: str, title: str, question: str, note: str = "") -> AnswerField:
    return AnswerField(
        name=name, title=title, question=question, choices=GRADES, unknown=UNKNOWN, certainty="stated", note=note
    )


GDF_FIELDS: tuple[AnswerField, ...] = (
    AnswerField(
        name="viewpoint",
        title="Viewpoint",
        question="from where the person is seen: " + ", ".join(f"{i} {word}" for i, word in enumerate(DIRECTIONS)),
        choices=tuple(range(8)),
        unknown=UNKNOWN,
        certainty="stated",
        note="the list prints 0 to 7 without edges; 0 is the front, then in steps of 45 degrees over the left side",
    ),
    AnswerField(
        name="title",
        title="Tilt",
        question="1 if head or body is tilted to one side, 0 if not",
        choices=(0, 1),
        unknown=UNKNOWN,
        certainty="open",
        note="printed as 'title', 0 or 1, without a reading; possibly a misprint of 'tilt', which is what is asked",
    ),
    _grade("humpback", "Humpback", "how humped the back is"),
    _grade("catwalk", "Catwalk", "how much the feet are set on one line, as on a catwalk"),
    _grade("high_knee", "High knee", "how high the knees are lifted"),
    _grade("toe_out", "Toe-out", "how far the toes point outward"),
    _grade("toe_none", "Neither toe-out nor toe-in", "how straight ahead the toes point"),
    _grade("toe_in", "Toe-in", "how far the toes point inward"),
    _grade("tiptoe", "Tiptoe", "how much the walk is on tiptoe"),
    _grade(
        "tiptoe_none",
        "Neither tiptoe nor shuffle",
        "how plainly the walk is without tiptoe or shuffle, the feet rolling from heel to toe",
        note="printed as 'w/o tiptoe or shuffle' beside tiptoe; a shuffle has no grade of its own",
    ),
    _grade("happy", "Happy", "how happy the walk looks"),
    _grade("sad", "Sad", "how sad the walk looks"),
    _grade("angry", "Angry", "how angry the walk looks"),
    AnswerField(
        name="summary",
        title="Summary",
        question="one sentence of at most 40 words about posture, arms, steps and feet; nothing about clothes or place",
        certainty="derived",
        note="printed with the range 0 to 5, surely a slip: a summary is free text",
    ),
)
"""What is asked, in the order of the published list."""


class GaitFactors(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The factors of one sequence, read as :data:`GDF_FIELDS` says; None where the model could not tell."""

    viewpoint: int | None = Field(ge=0, le=7)
    """Index into :data:`gaitbench.annotating.directions.DIRECTIONS`."""
    title: int | None = Field(ge=0, le=1)
    """Whether head or body is tilted; the published list leaves open what it is."""
    humpback: int | None = Field(ge=0, le=5)
    catwalk: int | None = Field(ge=0, le=5)
    high_knee: int | None = Field(ge=0, le=5)
    toe_out: int | None = Field(ge=0, le=5)
    toe_none: int | None = Field(ge=0, le=5)
    toe_in: int | None = Field(ge=0, le=5)
    tiptoe: int | None = Field(ge=0, le=5)
    tiptoe_none: int | None = Field(ge=0, le=5)
    happy: int | None = Field(ge=0, le=5)
    sad: int | None = Field(ge=0, le=5)
    angry: int | None = Field(ge=0, le=5)
    summary: str
    """The model's own sentence."""

    @classmethod
    def of(cls, values: Mapping[str, Value]) -> Self:
        """Take them from an annotation's values."""
        return cls.model_validate(dict(values), strict=True)

    def sentence(self) -> str:
        """The factors in one sentence; those that nobody could tell are left out.

        Grades of 0 and 1 read "no sign of", 2 and 3 "slightly", 4 and 5 "clearly".
        """
        seen = "" if self.viewpoint is None else f", seen from the {DIRECTIONS[self.viewpoint]}"
        phrases = [
            _graded((self.humpback, "a humpback", "humpbacked")),
            _graded(
                (self.catwalk, "a catwalk", "walking as on a catwalk"),
                (self.high_knee, "high knees", "lifting the knees high"),
            ),
            _graded(
                (self.toe_out, "toe-out", "toes pointing outward"), (self.toe_in, "toe-in", "toes pointing inward")
            ),
            _graded((self.tiptoe, "tiptoe", "walking on tiptoe")),
        ]
        told = ", ".join(phrase for phrase in phrases if phrase)
        mood = _mood({"happy": self.happy, "sad": self.sad, "angry": self.angry})
        return f"A person walking{seen}" + (f"; {told}" if told else "") + (f"; mood {mood}" if mood else "") + "."


def _graded(*traits: tuple[int | None, str, str]) -> str:
    """The strongest of traits that exclude each other: its grade, what it is called, what having it is called."""
    known = [trait for trait in traits if trait[0] is not None]
    if not known:
        return ""
    grade, _, having = max(known, key=lambda trait: trait[0] or 0)
    if (grade or 0) <= 1:
        return "no sign of " + " or ".join(name for _, name, _ in known)
    return f"{'slightly' if (grade or 0) <= 3 else 'clearly'} {having}"


def _mood(grades: Mapping[str, int | None]) -> str:
    known = {name: grade for name, grade in grades.items() if grade is not None}
    if not known:
        return ""
    name = max(known, key=lambda mood: known[mood])
    return "neutral" if known[name] <= 1 else f"{'slightly' if known[name] <= 3 else 'clearly'} {name}"


class GdfSchema(WalkSchema):
    """Asks for the factors of a walk.

    Example:
        >>> values = dict.fromkeys((field.name for field in GDF_FIELDS), None) | {"summary": "Short steps."}
        >>> GdfSchema().sentences({**values, "viewpoint": 2, "humpback": 4, "sad": 0})
        ('A person walking, seen from the left; clearly humpbacked; mood neutral.', 'Short steps.')
    """

    name: ClassVar[SchemaName] = "gdf"
    version = 1
    fields = GDF_FIELDS
    system = (
        "You describe how people walk, for research on gait recognition. You see a contact sheet of one walk and judge "
        f"only what can be seen in it. {CAUTION}"
    )

    def question(self, sheet: str) -> str:
        """What is asked of a contact sheet."""
        return (
            f"{sheet}\n\nGrade this walk. Grades run from 0 (not at all) over 2 and 3 (slightly) to 5 (very clearly). "
            f"Where the frames do not show it, answer {UNKNOWN} rather than guess.\n\n{field_lines(self.fields)}"
        )

    def sentences(self, values: Mapping[str, Value]) -> tuple[str, ...]:
        """The factors in one sentence, and the summary."""
        factors = GaitFactors.of(values)
        return (factors.sentence(), factors.summary)
