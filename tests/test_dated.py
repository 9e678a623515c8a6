from gaitbench.dated import Dated
from gaitbench.protocols.casia_b import CASIA_B
from gaitbench.selection import Selection


class Part(Dated):
    later_fields = frozenset({"added"})
    first: int = 0
    added: tuple[str, ...] = ()


def test_later_fields_are_left_out_while_they_have_their_default() -> None:
    assert Part().model_dump() == {"first": 0}
    assert Part(added=("x",)).model_dump(mode="json") == {"first": 0, "added": ["x"]}
    assert Part.model_validate(Part().model_dump()) == Part()


def test_parts_of_a_part_do_the_same() -> None:
    assert "keys" not in Selection().model_dump()
    dumped = CASIA_B.model_dump(mode="json")
    assert "each_condition" not in dumped
    assert "keys" not in dumped["gallery"]
