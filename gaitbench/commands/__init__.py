"""The commands of the command line, each a thin shell over a function of :mod:`gaitbench.api`.

Nothing heavy is imported before a command needs it.
"""
