"""Reading files that others made: pickles, arrays, archives, images, text. Every byte of them is taken to be hostile.

A reader gives the right data or a :class:`gaitbench.errors.DatasetError` that names the file; nothing that a file holds
is ever run, and no size that it declares is believed before it is compared with what is there. See docs/safety.md.
"""
