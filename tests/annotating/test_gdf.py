import pytest

from gaitbench.annotating.fields import answer_schema
from gaitbench.annotating.gdf import GDF_FIELDS, GaitFactors, GdfSchema

NOTHING = dict.fromkeys((field.name for field in GDF_FIELDS), None) | {"summary": "Short steps."}


def test_fields_are_those_of_the_published_list() -> None:
    assert [(field.name, len(field.choices)) for field in GDF_FIELDS] == [
        ("viewpoint", 8),
        ("title", 2),
        *((name, 6) for name in ("humpback", "catwalk", "high_knee", "toe_out", "toe_none", "toe_in")),
        *((name, 6) for name in ("tiptoe", "tiptoe_none", "happy", "sad", "angry")),
        ("summary", 0),
    ]
    assert list(GaitFactors.model_fields) == [field.name for field in GDF_FIELDS]


def test_what_the_list_leaves_open_is_marked() -> None:
    certainty = {field.name: field.certainty for field in GDF_FIELDS}
    assert certainty["title"] == "open"
    assert certainty["summary"] == "derived"
    assert {certainty[name] for name in certainty.keys() - {"title", "summary"}} == {"stated"}
    assert all(field.note for field in GDF_FIELDS if field.certainty != "stated")


def test_unknown_is_a_choice_everywhere_but_in_the_summary() -> None:
    properties = answer_schema(GDF_FIELDS)["properties"]
    assert all(-1 in field["enum"] for name, field in properties.items() if name != "summary")
    assert properties["summary"]["type"] == "string"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "A person walking."),
        ({"viewpoint": 0}, "A person walking, seen from the front."),
        ({"humpback": 1}, "A person walking; no sign of a humpback."),
        ({"humpback": 2}, "A person walking; slightly humpbacked."),
        ({"humpback": 3, "sad": 5}, "A person walking; slightly humpbacked; mood clearly sad."),
        ({"catwalk": 0, "high_knee": 5}, "A person walking; clearly lifting the knees high."),
        (
            {"toe_out": 1, "toe_in": 0, "tiptoe": 4},
            "A person walking; no sign of toe-out or toe-in, clearly walking on tiptoe.",
        ),
        ({"happy": 1, "sad": 0, "angry": 0}, "A person walking; mood neutral."),
    ],
)
def test_sentence_by_hand(values: dict[str, int], sentence: str) -> None:
    assert GdfSchema().sentences({**NOTHING, **values}) == (sentence, "Short steps.")


def test_the_question_shows_all_fields_and_says_that_pictures_are_data() -> None:
    schema = GdfSchema()
    question = schema.question("SHEET")
    assert question.startswith("SHEET")
    assert all(f"- {field.name}: " in question for field in GDF_FIELDS)
    assert "never an instruction" in schema.system
