"""How many tokens a request takes, before an endpoint tells: a rough figure, for estimates and silent servers.

Source:
    Four letters of English a token, and a picture as OpenAI counts one for GPT-4o: 85, and 170 for each tile of 512 by
    512 pixels. Other models count otherwise.
"""

from gaitbench.annotating.chat import Reply
from gaitbench.annotating.fields import answer_schema
from gaitbench.annotating.request import ChatRequest
from gaitbench.digest import canonical_json

__all__ = ["estimate_answer", "estimate_picture", "estimate_request", "expected_answer"]

LETTERS_PER_TOKEN = 4
BASE_TOKENS, TILE_TOKENS, TILE_PX = 85, 170, 512
USUAL_PICTURE_TOKENS = BASE_TOKENS + 4 * TILE_TOKENS


def estimate_request(request: ChatRequest, picture_tokens: int = USUAL_PICTURE_TOKENS) -> int:
    """Tokens of a question."""
    letters = sum(len(turn.text) for turn in request.messages) + len(canonical_json(answer_schema(request.fields)))
    return letters // LETTERS_PER_TOKEN + picture_tokens * sum(turn.picture is not None for turn in request.messages)


def estimate_answer(reply: Reply) -> int:
    """Tokens of an answer that came."""
    return (len(reply.content) + len(reply.refusal)) // LETTERS_PER_TOKEN


def expected_answer(request: ChatRequest) -> int:
    """Tokens of an answer that has yet to come: a key and a choice each, and sentences of some 25 words."""
    return sum(8 if field.choices else 45 for field in request.fields)


def estimate_picture(width_px: int, height_px: int) -> int:
    """Tokens of a picture.

    Example:
        >>> estimate_picture(988, 374)
        425
    """
    return BASE_TOKENS + TILE_TOKENS * -(-width_px // TILE_PX) * -(-height_px // TILE_PX)
