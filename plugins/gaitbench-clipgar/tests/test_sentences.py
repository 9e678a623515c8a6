from collections import Counter
from typing import Any

import pytest
from gaitbench_clipgar.config import ClipGarConfig
from gaitbench_clipgar.sentences import TEMPLATE, sentences_of
from gaitbench_clipgar.words import WORDS
from pydantic import ValidationError

from gaitbench.card import Attribute

BAG = Attribute(name="bag", title="Carries a bag", classes=("no", "yes"))


def test_a_sentence_for_each_class_of_the_schema_in_its_order(walkers_schema: tuple[Attribute, ...]) -> None:
    found = sentences_of(walkers_schema)
    assert len(found) == 45
    assert len(set(found)) == 45
    counts = [len(attribute.classes) for attribute in walkers_schema]
    assert counts == [2, 3, 5, 4, 4, 2, 3, 2, 4, 5, 2, 2, 3, 2, 2]
    # Those that are printed.
    assert found[0] == "The gender of this pedestrian silhouette is male"
    assert found[-1] == "The legs of this pedestrian silhouette are limping"
    at = 0
    for attribute in walkers_schema:
        region, verb, _ = WORDS["ra-gar"][attribute.name]
        for word in attribute.classes:
            assert found[at] == f"The {region} of this pedestrian silhouette {verb} {word}"
            at += 1
    assert Counter(sentence.split(" of this ")[0] for sentence in found).most_common(1)[0][1] == 5


def test_the_order_of_classes_is_that_of_the_card() -> None:
    one = Attribute(name="gender", title="Gender", classes=("female", "male"))
    assert sentences_of([one])[0].endswith("is female")


def test_attributes_without_a_wording_are_called_by_their_title() -> None:
    assert sentences_of([BAG]) == (
        "The carries a bag of this pedestrian silhouette is absent",
        "The carries a bag of this pedestrian silhouette is present",
    )
    hat = Attribute(name="hat_size", title="", classes=("S", "M"))
    assert sentences_of([hat])[0] == "The hat size of this pedestrian silhouette is S"


def test_classes_that_make_no_sentence_are_put_into_words() -> None:
    humpback = Attribute(name="humpback", title="Humpback", classes=("no", "yes"))
    for words in ("ra-gar", "ma-gait"):
        assert sentences_of([humpback], words=words)[1] == "The back of this pedestrian silhouette is humped"
    for wordings in WORDS.values():
        for wording in wordings.values():
            assert wording.verb in ("is", "are")
            assert set(wording.classes) in (set(), {"yes", "no"})


def test_sentences_and_template_of_ones_own() -> None:
    own = {"bag": ("Nothing is carried.", "A bag is carried.")}
    assert sentences_of([BAG], own=own) == own["bag"]
    assert sentences_of([BAG], template="A person; bag: {word}")[0] == "A person; bag: absent"
    config = ClipGarConfig(attributes=(BAG,), sentences=own)
    assert config.all_sentences() == own["bag"]
    assert ClipGarConfig(sentences=own).all_sentences


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sentences": {"hat": ("a", "b")}}, "sentences are given for hat; the attributes are bag"),
        ({"sentences": {"bag": ("a",)}}, "has the classes no, yes; give a sentence for each, not 1"),
        ({"sentences": {"bag": ()}}, "give a sentence for each, not 0"),
        ({"sentences": {"bag": ("a", " . ")}}, "a sentence of bag has no word in it: ' . '"),
        ({"sentences": {"bag": ("a", "a")}}, "two classes of bag have the same sentence"),
        ({"template": "The {region} of this silhouette"}, "must hold words and the slot"),
        ({"template": "{word}"}, "must hold words and the slot"),
        ({"template": "It is {word} and {colour}"}, "but no other slots"),
        ({"template": "It is {word.real}"}, "but no other slots"),
        ({"template": "It is {word"}, "cannot be read"),
        ({"template": "It is {} {word}"}, "but no other slots"),
        ({"heads": 7}, "heads 7 must divide the width 512"),
        ({"bins": ()}, "bins must name a number of strips"),
        ({"bins": (5,)}, "maps of 64x44 end as 16x11, which bins .5. do not cut"),
        ({"encoder": "clip"}, "use scored='align' with it"),
        ({"encoder": "clip", "scored": "align", "image": {"architecture": "hashing"}}, "reads sentences"),
        ({"is_image_trained": True}, "choose it with encoder='clip'"),
        ({"words": "casia-b"}, "ra-gar"),
        ({"tau": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClipGarConfig(**{"attributes": (BAG,), **fields})


def test_the_template_is_the_printed_one() -> None:
    assert TEMPLATE.format(region="{ }", verb="is/are", word="{ }") == (
        "The { } of this pedestrian silhouette is/are { }"
    )
