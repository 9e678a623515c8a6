"""Ready-made readers of the files that hold one modality of one sequence, shared by the datasets that have such files.

Each function returns a :class:`gaitbench.tree.StreamFiles`: which files, which frames, how they are read.
"""
