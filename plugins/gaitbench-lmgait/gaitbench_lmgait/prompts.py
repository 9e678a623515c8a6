"""Sentences that tell the model what to look at: right ones, wrong ones, and random words."""

import random
from typing import Literal

__all__ = ["CORRECT", "WRONG", "PromptKind", "random_sentences", "sentences_of"]

PromptKind = Literal["correct", "wrong", "random"]
"""What a text says of the person in the video."""

CORRECT = (
    "A person is walking: the arms swing back and forth, each against the leg of its side.",
    "The legs of a walking person take turns: one knee bends and its foot swings ahead while the other foot pushes.",
)
"""What gait is: the motion of arms and legs."""

WRONG = (
    "A person is sitting on a chair without moving: the arms rest on a table.",
    "Both legs of a sitting person stay still under the table, and the feet never leave the floor.",
)
"""The same limbs, doing what they do not do in any of the videos."""

_WORDS = (
    *("apple", "basalt", "candle", "delta", "ember", "fable", "granite", "harbour", "indigo", "jasmine"),
    *("kettle", "lantern", "marble", "nectar", "orchid", "paper", "quartz", "ribbon", "saffron", "timber"),
    *("umber", "velvet", "willow", "yarn", "zinc", "ballad", "copper", "drizzle", "engine", "fountain"),
    *("glacier", "hazel", "island", "jigsaw", "kiosk", "ledger", "meadow", "noodle", "opera", "pepper"),
)
"""Things that have nothing to do with walking."""
_WORDS_PER_SENTENCE = 14


def sentences_of(kind: PromptKind, seed: int = 0) -> tuple[str, ...]:
    """Give the sentences of a kind.

    Args:
        kind: Which.
        seed: Draws random ones.

    Source:
        Wu et al., arXiv 2601.11931, table 6 (correct, wrong and random texts). The wordings are ours: the paper does
        not print the correct ones. Its random texts are an LLM's, six runs averaged; those are read from a file
        (:mod:`gaitbench_lmgait.prompt_file`), while words drawn here need no LLM and say nothing at all.
    """
    match kind:
        case "correct":
            return CORRECT
        case "wrong":
            return WRONG
        case "random":
            return random_sentences(seed)


def random_sentences(seed: int) -> tuple[str, ...]:
    """Draw as many sentences as the correct text has, of words that say nothing about gait.

    Example:
        >>> random_sentences(0)[0].split()[:3]
        ['jigsaw', 'glacier', 'quartz']
    """
    rng = random.Random(seed)  # noqa: S311
    return tuple(" ".join(rng.choices(_WORDS, k=_WORDS_PER_SENTENCE)) for _ in CORRECT)
