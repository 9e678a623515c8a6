"""Words of a board of attributes: what its numbers are of, how to read them, what the published ones may be of."""

from gaitbench.board import LabelSpace

__all__ = ["ATTRIBUTES_REPORTED", "HOW_TO_READ_ATTRIBUTES", "TABLE_TITLES", "about_labels"]

HOW_TO_READ_ATTRIBUTES = (
    (
        "Numbers are percent. The value is the mean over seeds, with the standard deviation between seeds after ±, in "
        "brackets the 95 % interval of that mean from a bootstrap over test subjects."
    ),
    (
        "Rows are ordered by the first measured column. A rank like 1-2 is shared: the paired difference to another is"
        " not significant at 95 %."
    ),
    (
        "`onehotN` has a label for each class of each attribute; in `binaryN` an attribute of two classes is one "
        "label, positive for its second class. Numbers of the two are not comparable."
    ),
    (
        "mA is the mean over labels of (TPR + TNR) / 2, without labels that nobody or everybody has; F1, precision, "
        "recall and Jaccard are means over sequences, empty ones counted as 0; ACC is the share of right cells of the "
        "label matrix. *mA of classes* is the mean over attributes of the mean recall of their classes, from the most "
        "likely class alone, as are macro precision, recall and F1 and the sensitivity and specificity of each class "
        "against the others. The records hold the other variants."
    ),
    (
        "*decides* says how logits became labels: `threshold` tells each label whose probability is above 0.5, so "
        "several of an attribute or none; `argmax` tells one class of each. *chance* guesses a class of each "
        "attribute; *majority* tells the commonest class of the training data."
    ),
    "*quick* presets are small versions and say little about the published method.",
    (
        "*Measured* numbers were made by this library, with the records in `runs/`; *reported* numbers were read in "
        "the cited source and never share a table with them."
    ),
)
"""Lines under a board of attributes."""

ATTRIBUTES_REPORTED = (
    "Percent as printed. The rows may not have been scored on the same number of labels: the precision, recall and "
    "accuracy printed for RA-GAR imply a share of positive labels of 0.28 for the baselines, as of 38 labels, and of "
    "0.333 for CLIP-GAR, as of 45. ACC is the share of right cells of the label matrix, as no Jaccard accuracy could "
    "be so high. The rule for empty cases and the rule of decision are not printed."
)
"""Above reported numbers of attributes."""

TABLE_TITLES = {
    "groups": "mA by probe group",
    "attributes": "mA of classes by attribute",
    "classes": "Sensitivity and specificity by class",
}
"""Tables below the main one."""


def about_labels(labels: LabelSpace) -> str:
    """Say what is told of how many sequences.

    Example:
        >>> labels = LabelSpace(attributes=("toe", "hair"), encodings=("onehot7",), num_sequences=9, num_unknown=2)
        >>> about_labels(labels)
        '2 attributes (toe, hair) of 9 test sequences, as onehot7; 2 labels of them are unknown and left out.'
    """
    unknown = f"; {labels.num_unknown} labels of them are unknown and left out" if labels.num_unknown else ""
    named = "attribute" if len(labels.attributes) == 1 else "attributes"
    return (
        f"{len(labels.attributes)} {named} ({', '.join(labels.attributes)}) of {labels.num_sequences} test "
        f"sequences, as {' and '.join(labels.encodings)}{unknown}."
    )
