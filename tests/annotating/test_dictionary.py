import pytest

from gaitbench.annotating.dictionary import DictionarySchema
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.motion import MotionPromptsSchema
from gaitbench.errors import UsageError

TWO = {"silhouette": "masks", "lidar-depth": "range images"}


def test_a_dictionary_has_modalities_times_eight_views_times_rounds() -> None:
    chains = DictionarySchema(TWO, 8).chains()
    entries = [[step.entry for step in chain] for chain in chains]
    assert [chain[0] for chain in entries] == ["silhouette/description", "lidar-depth/description"]
    rounds = [step for chain in chains for step in chain[1:]]
    assert sum(len(step.fields) for step in rounds) == 2 * 8 * 8
    assert all([field.name for field in step.fields] == list(DIRECTIONS) for step in rounds)


def test_views_keep_the_order_of_the_directions() -> None:
    schema = DictionarySchema(TWO, 1, ("back", "front"))
    assert [field.name for field in schema.chains()[0][1].fields] == ["front", "back"]


def test_the_instruction_has_three_parts() -> None:
    system = DictionarySchema(TWO, 1).system
    assert all(part in system for part in ("Formulation:", "Protocol:", "Examples:"))


@pytest.mark.parametrize(
    ("modalities", "rounds", "views", "message"),
    [
        ({}, 1, DIRECTIONS, "needs a modality"),
        (TWO, 0, DIRECTIONS, "1 to 32 rounds, not in 0"),
        (TWO, 33, DIRECTIONS, "1 to 32 rounds, not in 33"),
        (TWO, 1, ("above",), "no direction 'above'"),
    ],
)
def test_dictionaries_that_cannot_be(
    modalities: dict[str, str], rounds: int, views: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        DictionarySchema(modalities, rounds, views)


def test_prompts_speak_of_arms_and_legs() -> None:
    schema = MotionPromptsSchema(3)
    (chain,) = schema.chains()
    assert [step.entry for step in chain] == [f"motion/round-{i}" for i in (1, 2, 3)]
    assert [field.name for field in chain[0].fields] == ["arms", "legs", "together"]
    with pytest.raises(UsageError, match="not in 0"):
        MotionPromptsSchema(0)


def test_the_prompt_hash_follows_the_rounds() -> None:
    assert MotionPromptsSchema(3).prompt_sha256() != MotionPromptsSchema(4).prompt_sha256()
    assert DictionarySchema(TWO, 1).prompt_sha256() != DictionarySchema({"rgb": "colour"}, 1).prompt_sha256()
