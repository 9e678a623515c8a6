"""What there is to know of each dataset without its files: terms, how to get it, what to cite. Imports no code."""

from gaitbench.specs import DatasetSpec

__all__ = [
    "CASIA_B",
    "CASIA_E",
    "DATASETS",
    "GAIT3D",
    "GAIT3D_PARSING",
    "GREW",
    "HID",
    "HID_2023",
    "MA_GAIT",
    "OU_MVLP",
    "RA_GAR",
    "SCOLIOSIS1K",
]

_GAIT3D_SITE = "https://gait3d.github.io"

CASIA_B = DatasetSpec(
    name="casia-b",
    title="CASIA-B: 124 people indoors, eleven views, normal, with a bag, in a coat",
    source="S. Yu, D. Tan, T. Tan, A Framework for Evaluating the Effect of View Angle, Clothing and Carrying "
    "Condition on Gait Recognition, ICPR 2006",
    target="gaitbench_silhouette.casia_b:CasiaB",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette", "skeleton2d"),
    protocols=("casia-b", "casia-b-cross-view"),
    licence="Research only; terms of the Institute of Automation, Chinese Academy of Sciences (CASIA)",
    access="Silhouettes (GaitDatasetB-silh.zip): http://www.cbsr.ia.ac.cn/english/Gait%20Databases.asp, videos by "
    "application there. Poses (CASIA-B-Pose): an open record of the Science Data Bank, https://www.scidb.cn",
    citation="S. Yu, D. Tan, T. Tan, A Framework for Evaluating the Effect of View Angle, Clothing and Carrying "
    "Condition on Gait Recognition, ICPR 2006; for the poses also Y. Fu, S. Meng, S. Hou, X. Hu, Y. Huang, GPGait: "
    "Generalized Pose-based Gait Recognition, ICCV 2023",
    redistribution=False,
)
OU_MVLP = DatasetSpec(
    name="ou-mvlp",
    title="OU-MVLP: 10,307 people aged 2 to 87, fourteen views, two walks each",
    source="N. Takemura, Y. Makihara, D. Muramatsu, T. Echigo, Y. Yagi, Multi-view large population gait dataset and "
    "its performance evaluation for cross-view gait recognition, IPSJ TCVA 10(4), 2018",
    target="gaitbench_silhouette.ou_mvlp:OuMvlp",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette", "skeleton2d"),
    protocols=("ou-mvlp", "ou-mvlp-cross-view"),
    licence="Research only, under a signed release agreement with Osaka University (OU-ISIR)",
    access="Sign the release agreement of http://www.am.sanken.osaka-u.ac.jp/BiometricDB/GaitMVLP.html; the reply has "
    "the password of the 7z archives. Poses (OUMVLP-Pose) come under an agreement of their own from the same site",
    citation="N. Takemura, Y. Makihara, D. Muramatsu, T. Echigo, Y. Yagi, Multi-view large population gait dataset and "
    "its performance evaluation for cross-view gait recognition, IPSJ TCVA 10(4), 2018; for the poses also W. An et "
    "al., Performance Evaluation of Model-based Gait on Multi-view Very Large Population Database with Pose Sequences, "
    "IEEE TBIOM 2020",
    redistribution=False,
)
GREW = DatasetSpec(
    name="grew",
    title="GREW: 26,345 people in the wild, 882 cameras; the probes' labels stay with a server",
    source="Z. Zhu et al., Gait Recognition in the Wild: A Benchmark, ICCV 2021",
    target="gaitbench_silhouette.grew:Grew",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette", "skeleton2d"),
    protocols=("grew", "grew-validation"),
    licence="Research only, under the benchmark's agreement",
    access="Sign the agreement of https://www.grew-benchmark.org/download.html; the reply has the password of "
    "train.zip and test.zip",
    citation="Z. Zhu, X. Guo, T. Yang, J. Huang, J. Deng, G. Huang, D. Du, J. Lu, J. Zhou, Gait Recognition in the "
    "Wild: A Benchmark, ICCV 2021",
    redistribution=False,
)
GAIT3D = DatasetSpec(
    name="gait3d",
    title="Gait3D: 4,000 people in a supermarket, 39 cameras; silhouettes, part maps, bodies and poses",
    source="J. Zheng et al., Gait Recognition in the Wild with Dense 3D Representations and A Benchmark, CVPR 2022",
    target="gaitbench_silhouette.gait3d:Gait3D",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette", "parsing", "smpl", "skeleton2d"),
    protocols=("gait3d",),
    licence="Non-commercial research, under a signed agreement",
    access=f"Sign the agreement of {_GAIT3D_SITE} and send it to the address given there; people are divided by "
    "Gait3D.json, which comes with the data",
    citation="J. Zheng, X. Liu, W. Liu, L. He, C. Yan, T. Mei, Gait Recognition in the Wild with Dense 3D "
    "Representations and A Benchmark, CVPR 2022",
    redistribution=False,
)
GAIT3D_PARSING = DatasetSpec(
    name="gait3d-parsing",
    title="Gait3D-Parsing: maps of eleven body parts of the people of Gait3D",
    source="J. Zheng et al., Parsing is All You Need for Accurate Gait Recognition in the Wild, ACM MM 2023",
    target="gaitbench_silhouette.gait3d:Gait3DParsing",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("parsing", "silhouette", "smpl", "skeleton2d"),
    protocols=("gait3d-parsing",),
    licence="Non-commercial research, under a signed agreement of its own",
    access=f"Sign the agreement of {_GAIT3D_SITE}/gait3d-parsing-hp/ and send it to the address given there",
    citation="J. Zheng, X. Liu, S. Wang, L. Wang, C. Yan, W. Liu, Parsing is All You Need for Accurate Gait "
    "Recognition in the Wild, ACM MM 2023",
    redistribution=False,
    population="gait3d",
)
CASIA_E = DatasetSpec(
    name="casia-e",
    title="CASIA-E: 1,014 people in three scenes, seen from two heights and 26 angles",
    source="C. Song, Y. Huang, W. Wang, L. Wang, CASIA-E: A Large Comprehensive Dataset for Gait Recognition, TPAMI "
    "2022",
    target="gaitbench_silhouette.casia_e:CasiaE",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette",),
    protocols=("casia-e",),
    licence="Research only, by application",
    access="Apply at https://www.scidb.cn/en/detail?dataSetId=57be0e918db743279baf44a38d013a06",
    citation="C. Song, Y. Huang, W. Wang, L. Wang, CASIA-E: A Large Comprehensive Dataset for Gait Recognition, IEEE "
    "TPAMI 2022",
    redistribution=False,
)
HID = DatasetSpec(
    name="hid",
    title="HID 2020 to 2022: the competition's 1,005 people of CASIA-E; the probes' labels stay with a server",
    source="S. Yu et al., HID 2022: The 3rd International Competition on Human Identification at a Distance, IJCB 2022",
    target="gaitbench_silhouette.hid:Hid",
    options="gaitbench_silhouette.hid:HidOptions",
    modalities=("silhouette",),
    protocols=("hid",),
    licence="Terms of the competition",
    access="Register for the competition with an institutional address: http://hid2022.iapr-tc4.org",
    citation="S. Yu et al., HID 2022: The 3rd International Competition on Human Identification at a Distance, IJCB "
    "2022",
    redistribution=False,
    renumbers=("casia-e",),
)
HID_2023 = DatasetSpec(
    name="hid-2023",
    title="HID since 2023: 859 people to be found, nobody to learn from; the probes' labels stay with a server",
    source="S. Yu et al., reports of the HID competition, IJCB 2023 to 2025",
    target="gaitbench_silhouette.hid:Hid2023",
    options="gaitbench_silhouette.hid:HidOptions",
    modalities=("silhouette",),
    protocols=("hid-2023",),
    licence="Terms of the competition",
    access="Register for the competition with an institutional address: https://hid2023.iapr-tc4.org",
    citation="S. Yu et al., the report of the HID competition of the year that is used, IJCB",
    redistribution=False,
)
SCOLIOSIS1K = DatasetSpec(
    name="scoliosis1k",
    title="Scoliosis1K: 1,493 walks of 1,050 adolescents, screened for scoliosis",
    source="Z. Zhou et al., Gait Patterns as Biomarkers: A Video-Based Approach for Classifying Scoliosis, MICCAI 2024",
    target="gaitbench_silhouette.scoliosis1k:Scoliosis1K",
    options="gaitbench.streams.silhouettes:SilhouetteOptions",
    modalities=("silhouette", "skeleton2d"),
    protocols=("scoliosis1k-112", "scoliosis1k-114", "scoliosis1k-118", "scoliosis1k-1116"),
    licence="Research only, under a signed agreement",
    access="Sign the agreement of https://zhouzi180.github.io/Scoliosis1K and send it to 12331257@mail.sustech.edu.cn; "
    "the reply has the password of the archives",
    citation="Z. Zhou, J. Liang, Z. Peng, C. Fan, F. An, S. Yu, Gait Patterns as Biomarkers: A Video-Based Approach "
    "for Classifying Scoliosis, MICCAI 2024",
    redistribution=False,
)
RA_GAR = DatasetSpec(
    name="ra-gar",
    title="RA-GAR: 533 people outdoors with fifteen attributes",
    source="Wang et al., AAAI 2025, 39(7):7591-7599",
    target="gaitbench_silhouette.ra_gar:RaGar",
    options="gaitbench_silhouette.attribute_files:AttributeOptions",
    modalities=("silhouette", "skeleton2d"),
    protocols=("ra-gar",),
    licence="Research only, by request form",
    access="Send the request form to BNU-IVC@outlook.com from an institutional address; attribute names and labels are "
    "in the data package",
    citation="Wang et al., AAAI 2025, 39(7):7591-7599",
    redistribution=False,
)
MA_GAIT = DatasetSpec(
    name="ma-gait",
    title="MA-Gait: 95 people, twelve views, sixteen attributes",
    source="IEEE Transactions on Information Forensics and Security, vol. 19, 2024, pp. 1-14",
    target="gaitbench_silhouette.ma_gait:MaGait",
    options="gaitbench_silhouette.attribute_files:AttributeOptions",
    modalities=("silhouette",),
    protocols=("ma-gait",),
    licence="Not known; ask the authors",
    access="No download location is known; ask the authors of the paper",
    citation="MA-Gait, IEEE Transactions on Information Forensics and Security, vol. 19, 2024, pp. 1-14",
    redistribution=False,
)

DATASETS = (
    CASIA_B,
    OU_MVLP,
    GREW,
    GAIT3D,
    GAIT3D_PARSING,
    CASIA_E,
    HID,
    HID_2023,
    SCOLIOSIS1K,
    RA_GAR,
    MA_GAIT,
)
"""Datasets in folders."""
