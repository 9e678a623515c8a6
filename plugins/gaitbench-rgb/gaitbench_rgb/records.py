"""What there is to know of each dataset without its files: terms, how to get it, what to cite. Imports no code."""

from gaitbench.specs import DatasetSpec

__all__ = ["CASIA_B_STAR", "CCGR_MINI", "CCPG", "DATASETS"]

CCPG = DatasetSpec(
    name="ccpg",
    title="CCPG: 200 people who change their clothes, ten cameras indoors and outdoors, colour and silhouettes",
    source="W. Li et al., An In-depth Exploration of Person Re-identification and Gait Recognition in Cloth-Changing "
    "Conditions, CVPR 2023",
    target="gaitbench_rgb.ccpg:Ccpg",
    options="gaitbench_rgb.ccpg:CcpgOptions",
    modalities=("silhouette", "rgb", "aspect-ratio", "silhouette-raw"),
    protocols=("ccpg", "ccpg-with-identical-views", "ccpg-reid"),
    licence="Research only, under a signed agreement",
    access="Ask for the agreement at BNU-IVC@outlook.com from an institutional address",
    citation="W. Li, S. Hou, C. Zhang, C. Cao, X. Liu, Y. Huang, Y. Zhao, An In-depth Exploration of Person "
    "Re-identification and Gait Recognition in Cloth-Changing Conditions, CVPR 2023",
    redistribution=False,
)
CASIA_B_STAR = DatasetSpec(
    name="casia-b-star",
    title="CASIA-B*: the people of CASIA-B segmented anew, with colour crops and unaligned masks",
    source="J. Liang, C. Fan, S. Hou, C. Shen, Y. Huang, S. Yu, GaitEdge: Beyond Plain End-to-end Gait Recognition for "
    "Better Practicality, ECCV 2022",
    target="gaitbench_rgb.casia_b_star:CasiaBStar",
    options="gaitbench_rgb.casia_b_star:CasiaBStarOptions",
    modalities=("silhouette", "rgb", "silhouette-raw", "aspect-ratio"),
    protocols=("casia-b-star",),
    licence="Research only; terms of the Institute of Automation, Chinese Academy of Sciences (CASIA)",
    access="Apply at http://www.cbsr.ia.ac.cn/english/Gait%20Databases.asp; the subject of the mail must name "
    "'Dataset B*'",
    citation="J. Liang, C. Fan, S. Hou, C. Shen, Y. Huang, S. Yu, GaitEdge: Beyond Plain End-to-end Gait Recognition "
    "for Better Practicality, ECCV 2022; and S. Yu, D. Tan, T. Tan, A Framework for Evaluating the Effect of View "
    "Angle, Clothing and Carrying Condition on Gait Recognition, ICPR 2006",
    redistribution=False,
    population="casia-b",
)
CCGR_MINI = DatasetSpec(
    name="ccgr-mini",
    title="CCGR-MINI: 970 people in 53 covariates, one view drawn for each; colour, silhouettes, part maps, poses",
    source="S. Zou, C. Fan, J. Xiong, C. Shen, S. Yu, J. Tang, Cross-Covariate Gait Recognition: A Benchmark, AAAI "
    "2024",
    target="gaitbench_rgb.ccgr_mini:CcgrMini",
    options="gaitbench_rgb.ccgr_mini:CcgrMiniOptions",
    modalities=("silhouette", "rgb", "aspect-ratio", "parsing", "skeleton2d"),
    protocols=("ccgr-mini",),
    licence="Research only; colour under a signed agreement",
    access="Silhouettes, part maps and poses are linked from https://github.com/ShinanZou/CCGR under its terms; colour "
    "by the signed agreement that is found there. The gallery is listed in CCGR-MINI.json",
    citation="S. Zou, C. Fan, J. Xiong, C. Shen, S. Yu, J. Tang, Cross-Covariate Gait Recognition: A Benchmark, AAAI "
    "2024",
    redistribution=False,
)

DATASETS = (CCPG, CASIA_B_STAR, CCGR_MINI)
"""Datasets in folders."""
