"""Scoliosis1K: what screening found, told of walks, by each of the authors' four lists of training and test walks."""

from gaitbench.partition import OfficialList
from gaitbench.protocol import Protocol, Selection

__all__ = ["PROTOCOLS", "SCOLIOSIS1K_112", "SCOLIOSIS1K_114", "SCOLIOSIS1K_118", "SCOLIOSIS1K_1116"]


def _protocol(ratio: str, train: OfficialList, test: OfficialList) -> Protocol:
    shares = f"1:1:{ratio.removeprefix('11')}"
    return Protocol(
        name=f"scoliosis1k-{ratio}",
        dataset="scoliosis1k",
        title=f"Scoliosis1K, screening: {train.num:,} training and {test.num:,} test walks, list {ratio}",
        source="Zhou et al., MICCAI 2024; the lists of the data's release",
        notes=(
            f"list {ratio}: positive, neutral and negative walks stand {shares} in training, as we read its name",
            "numbers of the lists 112, 114, 118 and 1116 are not comparable; which one a paper has is not known here",
            "a subject is one walk: who walked twice cannot be told and may be in training and test",
            "intervals over subjects are therefore over walks",
            "accuracy is class_accuracy; sensitivity and specificity are those of each class against the two others",
        ),
        tasks=("attribute",),
        train=Selection(),
        test_subjects=("*",),
        gallery=Selection(),
        probes={"all": Selection()},
        averaging="probes",
        headline="all",
        num_train_subjects=train.num,
        num_test_subjects=test.num,
        lists={"train": train, "test": test},
    )


SCOLIOSIS1K_112 = _protocol(
    "112", OfficialList(num=745, sha256="60266306bfda1497"), OfficialList(num=748, sha256="ed2a93320c6a7928")
)
"""The first of the lists, which is taken where nobody chooses."""
SCOLIOSIS1K_114 = _protocol(
    "114", OfficialList(num=745, sha256="25dc8ef1ca294cde"), OfficialList(num=748, sha256="5a8ceeb9e274344f")
)
SCOLIOSIS1K_118 = _protocol(
    "118", OfficialList(num=744, sha256="5994b2d4a13902a4"), OfficialList(num=749, sha256="9537308b03030b0e")
)
SCOLIOSIS1K_1116 = _protocol(
    "1116", OfficialList(num=745, sha256="1108e6590a8a6ab0"), OfficialList(num=748, sha256="195f8210006bc5d9")
)
PROTOCOLS = (SCOLIOSIS1K_112, SCOLIOSIS1K_114, SCOLIOSIS1K_118, SCOLIOSIS1K_1116)
"""The digests are known to 16 digits."""
