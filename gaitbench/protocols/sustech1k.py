"""SUSTech1K: LiDAR and camera, eight conditions that are told by parts of the sequence name."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["SUSTECH1K", "SUSTECH1K_WITH_IDENTICAL_VIEWS"]

_TRAIN = (
    "0,2,5,18,21,26,33,39-40,44,46-47,50,52,60,62,66,73,75,78,80,92-93,96-97,102-103,116,118,126,128,144,149,151,"
    "153-154,156-158,164-165,168-169,174,180,183,193-194,196,199,201,203-204,208,212,220,226-227,231-232,243,253,257,"
    "267-268,282,284,287,289,291,293,295,297,301,306,311,315,318,320-321,323,325,327,341,347,351,356-357,360,367,372,"
    "379-380,395,402,412,421,425,434,438,440-441,444,452,457-458,464,468,473-474,478,488,493,495-497,502,514,521-522,"
    "525,533,535,537,540,544-547,551-553,555,557,559,577,581,583-585,591,597,600,605,610-612,616,631-632,634,636-637,"
    "641,649,653,655,664-665,671,675,677,687,695,701-702,707,717,720-721,723,726,731,756-757,759-760,767,770,773,"
    "779-780,783,791-792,796,805,810-811,823,828,830,839,841,844-846,850,853,860,862-863,865,868-869,876,883-884,888,"
    "897,904,906-908,918,922-923,925,933,938,942-944,948,951,959,965-966,969-970,973,978-979,982,996-997,1002,1004,"
    "1011,1013,1015,1019,1024,1026-1027,1036,1038,1046,1056-1057"
)
"""The published training subjects; they follow no rule."""

_UNUSED = {352, 1047, 1048, 1050, 1051, 1052, 1053, 1054}
"""Numbers up to 1057 that nobody has."""

_TAGS = {"NM": "01-nm", "BG": "bg", "CL": "cl", "CR": "cr", "UB": "ub", "UF": "uf", "OC": "oc", "NT": "nt"}
"""What a sequence name must hold, anywhere."""

_EVALUATOR_NAMES = {
    "NM": "Normal",
    "BG": "Bag",
    "CL": "Clothing",
    "CR": "Carrying",
    "UB": "Umberalla",
    "UF": "Uniform",
    "OC": "Occlusion",
    "NT": "Night",
    "Overall": "Overall",
}
"""Groups as the evaluator spells them."""


def _numbers(ranges: str) -> list[int]:
    ends = [part.split("-") for part in ranges.split(",")]
    return [number for end in ends for number in range(int(end[0]), int(end[-1]) + 1)]


def _patterns(numbers: list[int]) -> tuple[str, ...]:
    """Runs of consecutive numbers as inclusive ranges of four-digit subjects."""
    starts = [n for n in numbers if n - 1 not in numbers]
    stops = [n for n in numbers if n + 1 not in numbers]
    return tuple(
        f"{first:04d}" if first == last else f"{first:04d}..{last:04d}"
        for first, last in zip(starts, stops, strict=True)
    )


SUSTECH1K = Protocol(
    name="sustech1k",
    dataset="sustech1k",
    title="SUSTech1K, 250 training and 800 test subjects: a normal walk searched, eight conditions, one view at a time",
    source="Shen et al., 'LidarGait: Benchmarking 3D Gait Recognition with Point Clouds', CVPR 2023; rules of the "
    "public OpenGait evaluator (July 2026)",
    notes=(
        "NM normal, BG bag, CL clothing, CR carrying, UB umbrella, UF uniform, OC occlusion, NT night",
        "groups go by parts of the sequence name: 02-bg-nt is in BG, NT and Overall",
        "Overall is counted over its own cells and is no mean of groups",
        "near and far views are views of their own: 000 against 000-far counts",
        "the headline of papers is rank-1 and rank-5 of Overall",
    ),
    train=Selection(subjects=_patterns(_numbers(_TRAIN))),
    test_subjects=_patterns(sorted(set(range(1058)) - set(_numbers(_TRAIN)) - _UNUSED)),
    gallery=Selection(conditions=("*00-nm*",)),
    probes={group: Selection(conditions=(f"*{tag}*",)) for group, tag in _TAGS.items()}
    | {"Overall": Selection(conditions=("*0[1-4]*",))},
    exclude=("identical_view",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    ranks=(1, 2, 3, 4, 5),
    rounded=tuple(f"rank_{k}" for k in range(1, 6)),
    evaluator_keys={
        f"scalar/test_accuracy/{name}@R{k}": f"rank_{k}_official/{group}"
        for k in range(1, 6)
        for group, name in _EVALUATOR_NAMES.items()
    },
    headline="Overall",
    mean_groups=tuple(_TAGS),
    num_train_subjects=250,
    num_test_subjects=800,
)
"""Gallery and probe of a cell have one view each."""

SUSTECH1K_WITH_IDENTICAL_VIEWS = SUSTECH1K.model_copy(
    update={
        "name": "sustech1k-with-identical-views",
        "title": "SUSTech1K, mean of all view cells, identical views among them; for two sensors, not official",
        "notes": (
            *SUSTECH1K.notes[:4],
            "across sensors one view is no trivial match, and it is not known whether all papers leave it out",
        ),
        "exclude": (),
        "evaluator_keys": {},
    }
)
"""Cells with the diagonal."""
