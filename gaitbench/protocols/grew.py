"""GREW: walks in the wild, scored by a server that keeps the labels; and the local stand-in."""

from gaitbench.protocol import Protocol, Selection, Submission

__all__ = ["GREW", "GREW_VALIDATION"]

_SOURCE = "Zhu et al., 'Gait Recognition in the Wild: A Benchmark', ICCV 2021; rules of the public OpenGait evaluator"

GREW = Protocol(
    name="grew",
    dataset="grew",
    title="GREW, 20,000 training and 6,000 test subjects: the file for the benchmark's server",
    source=f"{_SOURCE} (July 2026), submission",
    notes=(
        "layout: 00001train/00/SEQUENCE; gallery 00001/01/SEQUENCE, 00001/02/SEQUENCE; probes probe/03/SEQUENCE",
        "the word probe counts as a subject here",
        "two gallery sequences per subject, and a subject can stand twice among the 20",
        "the server reports rank-1, 5, 10 and 20",
    ),
    train=Selection(subjects=("[0-9][0-9][0-9][0-9][0-9]train",), conditions=("00",)),
    test_subjects=("00001..06000", "probe"),
    gallery=Selection(conditions=("01", "02")),
    probes={"all": Selection(conditions=("03",))},
    exclude=(),
    averaging="probes",
    ranks=(1, 5, 10, 20),
    submission=Submission(
        header=("videoId", *(f"rank{k}" for k in range(1, 21))),
        num_ranks=20,
        labels="integers",
    ),
    headline="all",
    num_train_subjects=20_000,
    num_test_subjects=6_001,
)
"""Both gallery sequences of everybody are searched; nobody but the server knows the probes."""

GREW_VALIDATION = Protocol(
    name="grew-validation",
    dataset="grew",
    title="GREW's gallery against itself: sequence 01 searched, 02 asked about. Not the official protocol",
    source=f"{_SOURCE} (July 2026), real-scene evaluation",
    notes=(
        "numbers are not comparable with the server's",
        "which of the two sequences is 01 follows the order in which a file system lists them, so copies differ",
    ),
    train=GREW.train,
    test_subjects=("00001..06000",),
    gallery=Selection(conditions=("01",)),
    probes={"all": Selection(conditions=("02",))},
    exclude=(),
    averaging="probes",
    absent_probes="miss",
    ranks=(1, 5, 10, 20),
    rounded=("rank_1", "rank_5", "rank_10", "rank_20"),
    evaluator_keys={f"scalar/test_accuracy/Rank-{k}": f"rank_{k}_official/all" for k in (1, 5, 10, 20)},
    headline="all",
    num_train_subjects=20_000,
    num_test_subjects=6_000,
)
"""Pooled; each rank is rounded to two decimals."""
