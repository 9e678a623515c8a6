"""Descriptions of walks by a multimodal LLM: asking, the files that come of it, and what models take from them."""

from gaitbench.annotating.conversions import (
    TextDictionary,
    attribute_indices,
    gait_factors,
    motion_prompts,
    sentences_by_sequence,
    text_dictionary,
)
from gaitbench.annotating.directions import DIRECTIONS, direction_index, view_sentence
from gaitbench.annotating.files import read_annotations, write_annotations
from gaitbench.annotating.gdf import GDF_FIELDS, GaitFactors
from gaitbench.annotating.records import Annotation, AnnotationHeader, Annotations

__all__ = [
    "DIRECTIONS",
    "GDF_FIELDS",
    "Annotation",
    "AnnotationHeader",
    "Annotations",
    "GaitFactors",
    "TextDictionary",
    "attribute_indices",
    "direction_index",
    "gait_factors",
    "motion_prompts",
    "read_annotations",
    "sentences_by_sequence",
    "text_dictionary",
    "view_sentence",
    "write_annotations",
]
