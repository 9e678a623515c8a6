"""CCGR: 53 covariates, 33 views; every covariate against the normal walk, or every covariate against every other."""

from gaitbench.protocol import Protocol, Selection
from gaitbench.protocols.ccgr_mini import CCGR_MINI

__all__ = ["CCGR_EASY", "CCGR_HARD"]

CCGR_EASY = Protocol(
    name="ccgr-easy",
    dataset="ccgr",
    title="CCGR, easy: NM1 searched, each other covariate asked about, one view at a time",
    source="Zou et al., 'Cross-Covariate Gait Recognition: A Benchmark', AAAI 2024; rules of its public scoring script",
    notes=(
        "a group per covariate that the data has, called as its folder; the headline is the plain mean over them",
        "the paper counts 53 covariates and the script lists 54 (CD1 more); the names of all are not known here",
        "the script leaves a cell that fails at 0; a view without probe or gallery is no official result here",
        "the script's mean in easy-only mode has NM1 against NM1 in it, which is not the paper's number",
        "for GaitSet and GaitGL the script flattens the parts into one vector: hand in [N, D x P, 1] for that distance",
        "subjects are numbers without leading zeros; nobody has sequences of 803, so 399 of 400 are tested",
    ),
    train=CCGR_MINI.train,
    test_subjects=CCGR_MINI.test_subjects,
    gallery=Selection(conditions=("NM1",)),
    probes={"covariates": Selection()},
    each_condition="probes",
    exclude=("identical_view",),
    averaging="view_pairs",
    absent_probes="miss",
    is_grid_complete=True,
    ranks=(1, 5),
    rounded=("rank_1", "rank_5"),
    headline="mean",
    num_train_subjects=571,
)
"""Gallery and probe of a cell have one view each."""

CCGR_HARD = CCGR_EASY.model_copy(
    update={
        "name": "ccgr-hard",
        "title": "CCGR, hard: each covariate searched and each other one asked about, one view at a time",
        "notes": (
            "a group per ordered pair of different covariates, called PROBE in GALLERY",
            "2,862 groups of 54 covariates, 33 x 32 cells each: the evidence of the whole dataset has a billion rows",
            *CCGR_EASY.notes[1:3],
            *CCGR_EASY.notes[4:],
        ),
        "gallery": Selection(),
        "each_condition": "pairs",
    }
)
"""Gallery and probe of a cell have one covariate and one view each."""
