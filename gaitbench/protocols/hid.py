"""The competition on human identification at a distance (HID): labels stay with the server."""

from gaitbench.protocol import Protocol, Selection, Submission

__all__ = ["HID", "HID_2023"]

HID = Protocol(
    name="hid",
    dataset="hid",
    title="HID 2020 to 2022, 500 training and 505 test subjects of CASIA-E: the file for the competition's server",
    source="Yu et al., reports of the HID competition, IJCB 2022 to 2025; rules of the public OpenGait evaluator "
    "(July 2026), submission",
    notes=(
        "everybody but the word probe is gallery; the word probe counts as a subject here",
        "a probe is named by its view, where its file name stands",
        "k-reciprocal re-ranking (k1 6, k2 6, weight 0.3) is an option; 2022 it made 80.0 of 68.7",
        "it is off as in the published GaitBase configuration, though on by default in the evaluator's function",
        "gallery and probes are drawn anew each year, so numbers of different years are not comparable",
    ),
    train=Selection(subjects=("0000..0499",)),
    test_subjects=("0500..1004", "probe"),
    gallery=Selection(),
    probes={"all": Selection(subjects=("probe",))},
    complement="gallery",
    exclude=(),
    averaging="probes",
    ranks=(1,),
    submission=Submission(header=("videoID", "label")),
    headline="all",
    num_train_subjects=500,
    num_test_subjects=506,
)
"""The nearest gallery sequence names a probe."""

HID_2023 = HID.model_copy(
    update={
        "name": "hid-2023",
        "dataset": "hid-2023",
        "title": "HID since 2023, 859 test subjects and no training data: the file for the competition's server",
        "train": Selection(),
        "test_subjects": ("00000..00858", "probe"),
        "num_train_subjects": None,
        "num_test_subjects": 860,
    }
)
"""There is nothing to train on."""
