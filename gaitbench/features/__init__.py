"""Frozen features on disk, so that a frozen tower works once per frame and not once per step.

::

    cacheable.py   what of a model can be kept, and which recipes can do with it
    folder.py      features of one dataset and one key on disk: whole parts, checked by hash
    fill.py        computes what is missing
    cache.py       the features of some sequences, filled when they lack and compared with the model
    listing.py     what is kept, and how to be rid of it
"""
