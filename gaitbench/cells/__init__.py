"""One cell (model x dataset x seed) from its plan to its record: what it is, where it lies, how it is worked on."""
