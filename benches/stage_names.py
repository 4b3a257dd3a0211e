"""The names of stages, kernels and constants in records.

Records made before they were renamed have the earlier names. Scripts read every record
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
    "GATHER": "WRITE_GATHERED",
    # 1 meant one vector of four classes per lane.
    "ONCE": "ROW_VECTORS",
    "ROW_IN_REGISTERS": "ROW_VECTORS",
    "BEST": "GREEDY",
    "KEEP": "STORE_ROWS",
    "GATHERED": "READ_GATHERED",
    "OUT": "OUTWARD",
    "STARS": "ALLOW_STAR",
    "LABELLED": "HAS_LABELS",
}


def current(name):
    """Returns the name that is used today."""
    return EARLIER.get(name, name)
