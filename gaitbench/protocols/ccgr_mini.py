"""CCGR-MINI: 53 covariates; a listed gallery, everything else is asked about."""

from gaitbench.partition import OfficialList
from gaitbench.protocol import Protocol, Selection
from gaitbench.protocols.gait3d import POOLED_KEYS

__all__ = ["CCGR_MINI"]

CCGR_MINI = Protocol(
    name="ccgr-mini",
    dataset="ccgr-mini",
    title="CCGR-MINI, 571 training and 399 test subjects: a listed gallery, all other sequences asked about",
    source="Zou et al., 'Cross-Covariate Gait Recognition: A Benchmark', AAAI 2024; rules of the public OpenGait "
    "evaluator (July 2026)",
    notes=(
        "a gallery sequence reads subject-covariate-view, the view as its folder is called, .avi included",
        "with renamed folders gallery would become probe, so listed sequences that are missing stop a run",
        "two gallery sequences per subject, one for 940, 978 and 982, none for 803, who is probably in no copy",
        "subjects are numbers without leading zeros",
    ),
    train=Selection(subjects=("1..134", "164..600")),
    test_subjects=("601..1000",),
    gallery=Selection(),
    probes={"all": Selection()},
    complement="probes",
    exclude=(),
    averaging="probes",
    absent_probes="skip",
    ranks=(1, 5, 10),
    evaluator_keys=POOLED_KEYS,
    headline="all",
    num_train_subjects=571,
    lists={"gallery": OfficialList(num=795, sha256="d57b74fcd9bbc8917b8afbd1407fab92931e1864e6fc8a548617682ccee29172")},
)
"""The gallery list comes from ``CCGR-MINI.json``."""
