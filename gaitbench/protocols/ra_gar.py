"""RA-GAR: fifteen attributes of people outdoors, told by models that were trained on other people."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["RA_GAR"]

_TEST = (
    "5-9,14-16,18-20,24,27-28,30,32,35,38-39,43-46,48-49,51-52,54,58,60-61,63-64,66,73,75,78-79,84,86-95,97,99,102-105,"
    "108,112,118,120,122,125-127,129,135,137,139,141,143,145-146,148,150-151,153-154,157-160,164-167,169,173-174,176,"
    "180-182,185-191,193-194,198,201-202,206,208,211-212,215,219,222,224-225,230,233,235-237,241-242,244-248,251-257,"
    "259-261,263-266,268,273,275,278-281,283,287,290,292,294-295,297-299,301-302,304,307-313,316,319,321,323-329,331,"
    "333,335,339-341,344-347,350-351,353,357,360-361,366-369,372,375,377,379-382,384,386,388-389,392-393,395,397,400,"
    "404-405,410-413,416,418-420,422-423,427,430-431,433,441,443,445-446,450-451,453,455-461,465,467-482,485-486,"
    "488-489,491-493,499-504,511,516,518-520,522,524-526,529,531-533"
)
"""Who is tested, by number, as the partition file that circulates has it; everybody else of 001 to 533 trains."""


def _numbers(ranges: str) -> list[int]:
    ends = [part.partition("-") for part in ranges.split(",")]
    return [number for first, _, last in ends for number in range(int(first), int(last or first) + 1)]


_TESTED = _numbers(_TEST)

RA_GAR = Protocol(
    name="ra-gar",
    dataset="ra-gar",
    title="RA-GAR, attributes: 250 training and 283 test subjects, every test sequence asked",
    source="Wang et al., AAAI 2025, 39(7):7591-7599; the lists of the partition file that circulates with OpenGait",
    notes=(
        "283 test subjects: the text of the paper says 288, but 250 of its 533 people train, and the lists are whole",
        "the partition file serves self-supervised training there; that the paper's table uses it is our reading",
        "whether the table scores sequences or people is not printed; every sequence is scored here",
        "rows of its Table 3 were not all scored on the same number of labels, as their numbers imply (45 or 38)",
    ),
    tasks=("attribute",),
    train=Selection(subjects=tuple(f"{n:03d}" for n in range(1, 534) if n not in _TESTED)),
    test_subjects=tuple(f"{n:03d}" for n in _TESTED),
    gallery=Selection(),
    probes={"all": Selection()},
    averaging="probes",
    headline="all",
    num_train_subjects=250,
    num_test_subjects=283,
)
"""The only division that is known; identification on RA-GAR (its Table 7) has another one, which is not published."""
