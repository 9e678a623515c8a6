"""A sentence for each class of each attribute, by one template.

Axes: S classes of all attributes, in the order of the schema.
"""

import string
from collections.abc import Mapping, Sequence

from gaitbench.card import Attribute
from gaitbench_clipgar.words import PRESENCE, WORDS, Wording, WordsOf

__all__ = ["FIELDS", "TEMPLATE", "check_template", "sentences_of"]

TEMPLATE = "The {region} of this pedestrian silhouette {verb} {word}"
"""As printed; the slots have names here."""
FIELDS = ("region", "verb", "word")
"""What a template may name."""


def sentences_of(
    attributes: Sequence[Attribute],
    *,
    template: str = TEMPLATE,
    words: WordsOf = "ra-gar",
    own: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, ...]:
    """Write the sentences of a schema.

    Args:
        attributes: The schema, whose titles and class words are used where no wording is known.
        template: With the fields region, verb and word.
        words: Whose wordings.
        own: Attribute to whole sentences of its classes, in place of those by template.

    Returns:
        S sentences: those of the first attribute's classes in their order, then those of the next one.

    Raises:
        ValueError: Sentences of one's own are for no attribute or not one for each class, a sentence has no word, or
            two classes of an attribute have the same one.

    Source:
        Wang et al., RA-GAR and CLIP-GAR, AAAI 2025, section on the text side: the template, and the sentences of
        gender and limping.

    Example:
        >>> limping = Attribute(name="limping", title="Limping", classes=("not limping", "limping"))
        >>> sentences_of([limping])[1]
        'The legs of this pedestrian silhouette are limping'
    """
    own = own or {}
    names = [attribute.name for attribute in attributes]
    if unknown := sorted(own.keys() - set(names)):
        raise ValueError(f"sentences are given for {', '.join(unknown)}; the attributes are {', '.join(names)}")
    found: list[str] = []
    for attribute in attributes:
        written = tuple(own[attribute.name]) if attribute.name in own else _by_template(attribute, template, words)
        if len(written) != len(attribute.classes):
            raise ValueError(
                f"{attribute.name} has the classes {', '.join(attribute.classes)}; give a sentence for each, not "
                f"{len(written)}"
            )
        if empty := [sentence for sentence in written if not any(character.isalnum() for character in sentence)]:
            raise ValueError(f"a sentence of {attribute.name} has no word in it: {empty[0]!r}")
        if len(set(written)) < len(written):
            raise ValueError(
                f"two classes of {attribute.name} have the same sentence, and cannot be told apart: {list(written)}"
            )
        found += written
    return tuple(found)


def check_template(template: str) -> None:
    """Stop at a template that does not say which class it is about, or has other slots.

    Raises:
        ValueError: What is wrong.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"the template {template!r} cannot be read: {error}") from error
    slots = {name for _, name, _, _ in parts if name is not None}
    text = "".join(literal for literal, _, _, _ in parts)
    if not slots <= set(FIELDS) or "word" not in slots or not any(character.isalnum() for character in text):
        raise ValueError(
            f"the template {template!r} must hold words and the slot {{word}}, and may hold {{region}} and {{verb}}, "
            "but no other slots"
        )


def _by_template(attribute: Attribute, template: str, words: WordsOf) -> tuple[str, ...]:
    general = Wording(attribute.title.strip().lower() or attribute.name.replace("_", " "), "is", PRESENCE)
    region, verb, classes = WORDS[words].get(attribute.name, general)
    return tuple(template.format(region=region, verb=verb, word=classes.get(c.lower(), c)) for c in attribute.classes)
