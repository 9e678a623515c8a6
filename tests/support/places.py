"""Where things of the repository are."""

from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
SAMPLE = REPOSITORY / "tests" / "sample_plugin"
