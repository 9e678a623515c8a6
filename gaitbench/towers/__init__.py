"""Image and text encoders that other people trained: what they are, their weights, and what they make of a batch."""
