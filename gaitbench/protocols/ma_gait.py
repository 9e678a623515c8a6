"""MA-Gait: attributes of people seen by twelve cameras, divided by lists that the user has."""

from gaitbench.protocol import Protocol, Selection

__all__ = ["MA_GAIT"]

MA_GAIT = Protocol(
    name="ma-gait",
    dataset="ma-gait",
    title="MA-Gait, attributes: the user's own division, every test sequence asked",
    source="IEEE Transactions on Information Forensics and Security, vol. 19, 2024, pp. 1-14; the division is not "
    "published",
    notes=(
        "hand the division in (--partition FILE: TRAIN_SET and TEST_SET); as none is published, results are partial",
        "95 people; the paper has 16 attributes, and work with 12 of two classes uses a part of them or other labels",
    ),
    tasks=("attribute",),
    train=Selection(),
    test_subjects=("*",),
    gallery=Selection(),
    probes={"all": Selection()},
    averaging="probes",
    headline="all",
)
"""Without lists everybody would train and be tested, which stops a run."""
