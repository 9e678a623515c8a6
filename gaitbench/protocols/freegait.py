"""FreeGait: crowds in public places; listed probes, everything else is searched."""

from gaitbench.partition import OfficialList
from gaitbench.protocol import Protocol, Selection
from gaitbench.protocols.gait3d import POOLED_KEYS

__all__ = ["FREEGAIT", "FREEGAIT_LISTED"]

FREEGAIT = Protocol(
    name="freegait",
    dataset="freegait",
    title="FreeGait, 500 training and 695 test subjects: listed probes, all other sequences searched",
    source="Han et al., 'Gait Recognition in Large-scale Free Environment via Single LiDAR', ACM MM 2024; rules of the "
    "public OpenGait evaluator (July 2026)",
    notes=(
        "a probe reads subject-device-sequence",
        "the gallery list of the partition file is not used: folders of other data enlarge the gallery",
        "freegait-listed-gallery searches that list alone",
        "across sensors no paper says which gallery it has; this is the evaluator's",
        "a clean copy has 3,571 probes and 691 gallery sequences, one per subject; 1160, 1185, 1187 and 1188 have none",
        "with one gallery sequence per subject mAP is the mean reciprocal rank",
    ),
    train=Selection(),
    test_subjects=("*",),
    gallery=Selection(),
    probes={"all": Selection()},
    complement="gallery",
    exclude=(),
    averaging="probes",
    absent_probes="skip",
    ranks=(1, 5, 10),
    evaluator_keys=POOLED_KEYS,
    headline="all",
    num_train_subjects=500,
    num_test_subjects=695,
    lists={
        "train": OfficialList(num=500, sha256="43dbaf5f6d16666ff7774f58c1461d2e6832a6547c856ea59ad3d11346989d99"),
        "test": OfficialList(num=695, sha256="985f5ddc7cc3ee119e2f287be730402aa17a47807fd0451eb91621b9eeaecc33"),
        "probes": OfficialList(num=3571, sha256="fecb40a2f2aaf1fbbeefee1c46f789d9910c6f524a856a0fdfb4059f92408ed5"),
    },
)
"""Lists come from ``FreeGait.json``."""

FREEGAIT_LISTED = FREEGAIT.model_copy(
    update={
        "name": "freegait-listed-gallery",
        "title": "FreeGait, 500 training and 695 test subjects: listed probes, the listed gallery searched",
        "notes": (
            "a probe reads subject-device-sequence",
            "on a clean copy the same gallery as freegait's; not the evaluator's rule",
            "691 gallery sequences, one per subject; 1160, 1185, 1187 and 1188 have none",
            "with one gallery sequence per subject mAP is the mean reciprocal rank",
        ),
        "complement": "none",
        "evaluator_keys": {},
        "lists": FREEGAIT.lists
        | {"gallery": OfficialList(num=691, sha256="738e549be150a236348464fbe4bb62e182073e26c3114d1a9746a7bfcdc2ed9f")},
    }
)
"""For who wants to be sure of the gallery; lists come from ``FreeGait.json``."""
