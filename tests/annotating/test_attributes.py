import json

import pytest

from gaitbench.annotating.attributes import AttributesSchema
from gaitbench.annotating.fields import answer_schema, read_values
from gaitbench.card import Attribute
from gaitbench.errors import UsageError
from gaitbench.walkers.attributes import ATTRIBUTES


def toe(**changes: object) -> Attribute:
    return Attribute(**{"name": "toe", "title": "Toe", "classes": ("in", "out"), **changes})


def test_the_fifteen_of_the_walkers() -> None:
    schema = AttributesSchema("walkers", ATTRIBUTES)
    properties = answer_schema(schema.fields)["properties"]
    assert list(properties) == [*(attribute.name for attribute in ATTRIBUTES), "summary"]
    assert all(properties[each.name]["enum"] == [*each.classes, "unknown"] for each in ATTRIBUTES)


def test_a_class_called_unknown_is_a_class() -> None:
    schema = AttributesSchema("d", [toe(classes=("in", "unknown"))])
    assert schema.fields[0].answers == ("in", "unknown")
    assert read_values(json.dumps({"toe": "unknown", "summary": "s"}), schema.fields) == {
        "toe": "unknown",
        "summary": "s",
    }


def test_an_attribute_called_summary_stays_one() -> None:
    schema = AttributesSchema("d", [toe(name="summary")])
    assert [field.name for field in schema.fields] == ["summary", "summary_"]
    assert schema.sentences({"summary": "in", "summary_": "Short steps."}) == ("Toe: in.", "Short steps.")


def test_what_could_not_be_told_is_not_said() -> None:
    schema = AttributesSchema("d", [toe(), toe(name="hair", title="Hair")])
    assert schema.sentences({"toe": None, "hair": "out", "summary": "s"}) == ("Hair: out.", "s")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ([], "declares no attributes, so nothing is asked"),
        ([toe(), toe()], "declares the attribute 'toe' twice"),
        ([toe(classes=("in", "in"))], "declares the class of toe 'in' twice"),
        ([toe(name="")], "an attribute without a name"),
        ([toe(classes=())], "declares no class of toe"),
    ],
)
def test_cards_that_cannot_be_asked_about(attributes: list[Attribute], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AttributesSchema("d", attributes)


def test_the_prompt_hash_follows_the_classes() -> None:
    one, other = AttributesSchema("d", [toe()]), AttributesSchema("d", [toe(classes=("in", "ahead"))])
    assert one.prompt_sha256() == AttributesSchema("e", [toe()]).prompt_sha256()
    assert one.prompt_sha256() != other.prompt_sha256()
