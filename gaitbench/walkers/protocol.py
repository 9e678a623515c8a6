"""Who is train, probe and gallery among the walkers."""

from gaitbench.protocol import Protocol, Selection
from gaitbench.walkers.options import WalkersOptions

__all__ = ["GROUPS", "WALKERS", "walkers_protocol"]

GROUPS: dict[str, tuple[str, ...]] = {
    "NM": ("nm-03", "nm-04"),
    "BG": ("bg-*",),
    "CL": ("cl-*",),
    "NT": ("nt-*",),
    "OC": ("oc-*",),
    "DN": ("dn-*",),
    "DF": ("df-*",),
}
"""Probe groups and their conditions: normal, bag, coat, night, occlusion, near, far."""


def walkers_protocol(options: WalkersOptions) -> Protocol:
    """Give the protocol of walkers of any size.

    The gallery is the first two normal takes; probe groups without recorded conditions are left out.

    Example:
        >>> walkers_protocol(WalkersOptions(num_train_subjects=4, num_test_subjects=2)).test_subjects
        ('0005..0006',)
    """
    last = options.num_train_subjects + options.num_test_subjects
    recorded = {condition[:2] for condition in options.conditions}
    probes = {
        name: Selection(conditions=patterns)
        for name, patterns in GROUPS.items()
        if (name != "NM" and patterns[0][:2] in recorded) or {*patterns} & {*options.conditions}
    }
    return Protocol(
        name="walkers",
        dataset="walkers",
        title="Walkers: normal walks searched, seven conditions asked about, across views",
        source="gaitbench; counted as CASIA-B is: cells per view pair, identical views excluded",
        notes=(
            "Synthetic people: a calibration and teaching set, never ranked together with real data.",
            "NM normal, BG bag, CL coat, NT night, OC occlusion, DN near, DF far.",
            f"Chance is one in {options.num_test_subjects} test subjects.",
        ),
        train=Selection(subjects=(f"0001..{options.num_train_subjects:04d}",)),
        test_subjects=(f"{options.num_train_subjects + 1:04d}..{last:04d}",),
        gallery=Selection(conditions=("nm-0[12]",)),
        probes=probes,
        exclude=("identical_view",),
        averaging="view_pairs",
        headline="NM" if "NM" in probes else "mean",
        num_train_subjects=options.num_train_subjects,
        num_test_subjects=options.num_test_subjects,
    )


WALKERS = walkers_protocol(WalkersOptions())
"""The default walkers: 60 training and 40 test subjects."""
