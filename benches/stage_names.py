"""The names of stages and kernels in records.

Records made before the stages were renamed have the earlier names. Scripts read every record
through `current`, so that tables have one name for one stage.
"""

EARLIER = {
    "totals": "batch_totals",
    "labels": "check_labels",
    "chain": "label_links",
    "stats": "softmax_stats",
    "sweep in": "sweep inward",
    "sweep again": "sweep recompute",
    "meet": "join",
    "sweep out": "sweep outward",
    "align": "viterbi",
    "align_long": "viterbi_long",
    "align again": "viterbi recompute",
    "trace": "backtrace",
    "score": "path_log_prob",
    "greedy": "collapse",
}


def current(name):
    """Returns today's name of a stage or kernel."""
    return EARLIER.get(name, name)
