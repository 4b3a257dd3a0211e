"""A session on a machine with a GPU, from the build to the page of results.

`bundle` builds the folder for the other machine, `machine` finds its GPU, `steps` lists what is run
there, `runner` runs it under limits and records it, `check` validates the record, `figures` reads
the times from it, and `page` writes the page and the README's table.
"""


class Failed(Exception):
    """A message for the user: what went wrong, and what to do about it."""
