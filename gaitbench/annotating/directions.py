"""The eight directions from which a walking person is seen, as gait descriptions name them.

Bins of 45 degrees, centred on 0, 45, ..., 315: 0 is a person who comes towards the sensor. No publication gives their
edges; these are ours.
"""

import math

__all__ = ["DIRECTIONS", "direction_index", "view_sentence"]

DIRECTIONS = ("front", "front-left", "left", "back-left", "back", "back-right", "right", "front-right")
"""Names, in the order of their index 0 to 7."""


def direction_index(view_deg: float) -> int:
    """The direction nearest to a view; halfway between two it is the one of smaller index.

    Args:
        view_deg: Of the walking direction relative to the sensor, any finite number of degrees.

    Raises:
        ValueError: The view is NaN or infinite: nobody knows it.

    Example:
        >>> [DIRECTIONS[direction_index(view)] for view in (0, 22.5, 90, 350, -90)]
        ['front', 'front', 'left', 'front', 'right']
    """
    if not math.isfinite(view_deg):
        raise ValueError(f"a view of {view_deg} degrees has no direction")
    steps = view_deg % 360 / 45
    if steps == 7.5:  # between 7 and 0
        return 0
    return math.ceil(steps - 0.5) % 8


def view_sentence(index: int) -> str:
    """What can be said of a sequence of which only the direction is known.

    Example:
        >>> view_sentence(3)
        'A person walking, seen from the back-left.'
    """
    return f"A person walking, seen from the {DIRECTIONS[index]}."
