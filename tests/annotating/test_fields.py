import json
import re

import pytest
from pydantic import ValidationError

from gaitbench.annotating.fields import AnswerField, answer_schema, check_values, read_values

TOE = AnswerField(name="toe", title="Toe", choices=("in", "out"), unknown="unknown")
GRADE = AnswerField(name="grade", title="Grade", question="how much", choices=(0, 1), unknown=-1)
SUMMARY = AnswerField(name="summary", title="Summary")
FIELDS = (TOE, GRADE, SUMMARY)


def answer(**changes: object) -> str:
    return json.dumps({"toe": "in", "grade": 1, "summary": "Short steps.", **changes})


def test_schema_is_strict() -> None:
    assert answer_schema(FIELDS) == {
        "type": "object",
        "properties": {
            "toe": {"enum": ["in", "out", "unknown"], "type": "string"},
            "grade": {"enum": [0, 1, -1], "type": "integer", "description": "how much"},
            "summary": {"type": "string"},
        },
        "required": ["toe", "grade", "summary"],
        "additionalProperties": False,
    }


def test_fields_may_have_any_name() -> None:
    names = ["copy", "model_x", "schema", "_hidden", "with space", "class", "json", "a.b"]
    fields = [AnswerField(name=name, title=name, choices=("x",)) for name in names]
    assert list(answer_schema(fields)["properties"]) == names
    assert answer_schema(fields)["properties"]["copy"] == {"enum": ["x"], "type": "string"}
    assert read_values(json.dumps(dict.fromkeys(names, "x")), fields) == dict.fromkeys(names, "x")


def test_a_usable_answer() -> None:
    assert read_values(answer(), FIELDS) == {"toe": "in", "grade": 1, "summary": "Short steps."}
    assert read_values(answer(toe="unknown", grade=-1), FIELDS) == {
        "toe": None,
        "grade": None,
        "summary": "Short steps.",
    }
    assert read_values(f"```json\n{answer()}\n```", FIELDS) == read_values(answer(), FIELDS)
    assert read_values("\n " + answer(), FIELDS) == read_values(answer(), FIELDS)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "the answer is empty", id="empty"),
        pytest.param(" \n", "the answer is empty", id="blank"),
        pytest.param("I cannot help with that.", "no JSON", id="words"),
        pytest.param(answer()[:-5], "no JSON", id="cut"),
        pytest.param("[1]", "a list, not a JSON object", id="list"),
        pytest.param("null", "null, not a JSON object", id="null"),
        pytest.param(answer(toe="up"), "toe must be one of 'in', 'out', 'unknown', got 'up'", id="outside"),
        pytest.param(answer(grade=2), "grade must be one of 0, 1, -1, got 2", id="outside-number"),
        pytest.param(answer(grade="1"), "grade must be one of 0, 1, -1, got '1'", id="text-for-number"),
        pytest.param(answer(grade=True), "got True", id="truth-value"),
        pytest.param(answer(grade=1.0), "got 1.0", id="float"),
        pytest.param(answer(toe=None), "got null", id="null-value"),
        pytest.param(answer(toe=["in"]), "got a list", id="list-value"),
        pytest.param(answer(summary=3), "summary must be a text, got a number", id="number-for-text"),
        pytest.param(answer(summary="\x1b[0m<b></b>"), "summary is empty", id="nothing-left"),
        pytest.param(answer(summary="x" * 601), "summary has 601 characters", id="long-sentence"),
        pytest.param(answer(extra=1), "extra was not asked for", id="further-key"),
        pytest.param(answer(toe="\ud800"), "toe must be one of", id="surrogate"),
        pytest.param('{"\\ud800": 1}', "the answer: ", id="surrogate-key"),
        pytest.param('{"toe": "in"}', "grade is missing .and 1 other", id="missing"),
        pytest.param('{"toe": "in", "toe": "out"}', "a key stands there twice", id="twice"),
        pytest.param('{"grade": NaN}', "NaN is no JSON", id="nan"),
        pytest.param("[" * 60_000, "no JSON", id="deep"),
        pytest.param("1" * 60_000, "no JSON", id="long-number"),
        pytest.param("x" * 70_000, "the answer has 70,000 characters", id="huge"),
    ],
)
def test_an_unusable_answer(content: str, reason: str) -> None:
    found = read_values(content, FIELDS)
    assert isinstance(found, str)
    assert re.search(reason, found), found
    assert len(found) < 400


def test_sentences_are_cleaned_and_scrubbed() -> None:
    found = read_values(
        answer(summary="\x1b[31mShort <i>steps</i>, key-123\n"), FIELDS, scrub=lambda text: text.replace("key-123", "?")
    )
    assert isinstance(found, dict)
    assert found["summary"] == "Short steps, ?"


def test_what_is_said_of_an_answer_is_scrubbed_before_it_is_cut() -> None:
    key = "sk-" + 40 * "ab*"
    for content in (answer(toe=key), answer(**{key: 1})):
        found = read_values(content, FIELDS, scrub=lambda text: text.replace(key, "?"))
        assert isinstance(found, str)
        assert "?" in found
        assert "sk-" not in found


def test_of_hundreds_of_choices_some_are_shown() -> None:
    many = AnswerField(name="n", title="N", choices=tuple(f"class {i}" for i in range(300)))
    found = read_values('{"n": "none of them"}', [many])
    assert isinstance(found, str)
    assert found.endswith("'class 23', ..., got 'none of them'")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({}, "", id="right"),
        pytest.param({"toe": None}, "", id="unknown"),
        pytest.param({"toe": "unknown"}, "toe is 'unknown'", id="unknown-in-words"),
        pytest.param({"grade": True}, "grade is True", id="truth-value"),
        pytest.param({"summary": None}, "summary is None", id="no-sentence"),
        pytest.param({"summary": "\x1b[31mx"}, "summary is", id="escape"),
        pytest.param({"more": 1}, "the fields are toe, grade, summary, more", id="further"),
    ],
)
def test_stored_values_are_checked(changes: dict[str, object], problem: str) -> None:
    found = check_values({"toe": "in", "grade": 0, "summary": "s", **changes}, FIELDS)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": ("a", "a")}, "a choice twice"),
        ({"choices": ("a",), "unknown": "a"}, "a choice twice"),
        ({"choices": ("a",), "unknown": -1}, "mixes words and numbers"),
        ({"unknown": "x"}, "is a sentence and cannot be unknown"),
    ],
)
def test_fields_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AnswerField(name="f", title="F", **changes)
