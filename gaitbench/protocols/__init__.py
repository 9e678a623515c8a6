"""Official protocols of public datasets, as data: one module per dataset.

They are of use without the datasets' plugins: embeddings are scored with a protocol alone. Rules and counts are those
of the public evaluators that papers report with; ``docs/protocols.md`` lists them.
"""
