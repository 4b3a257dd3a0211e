//! The kernels of alignment and of greedy decoding.

use super::Access::{Read, Write};
use super::SourcePart::{self, Shared};
use super::{
    Access, ArrayId, EMISSION, EMISSIONS, ENTRIES, FOLD_BARRIER, INPUT_KIND, Kernel,
    NEIGHBOUR_BARRIER, NEIGHBOUR_SUBGROUP, ROW_WORKGROUP, STATES,
};

const VITERBI_STEP: &str = include_str!("../../shaders/shared/viterbi_step.wgsl");
const FOLD_DOUBLE_FLOAT: &str = include_str!("../../shaders/shared/fold_double_float.wgsl");
const LOG_PROB: &str = include_str!("../../shaders/shared/log_prob.wgsl");
const DOUBLE_FLOAT: &str = include_str!("../../shaders/shared/double_float.wgsl");

const VITERBI_BINDINGS: &[(ArrayId, Access)] = &[
    (ArrayId::Input, Read),
    (ArrayId::Items, Read),
    (ArrayId::LabelTable, Read),
    (ArrayId::RowStats, Read),
    (ArrayId::Gathered, Read),
    (ArrayId::Backpointers, Write),
    (ArrayId::Carry, Write),
];

pub(crate) static VITERBI: Kernel = Kernel {
    name: "viterbi",
    bindings: VITERBI_BINDINGS,
    shared: &[
        SourcePart::Input,
        Shared(INPUT_KIND),
        Shared(DOUBLE_FLOAT),
        Shared(LOG_PROB),
        Shared(STATES),
        Shared(EMISSION),
        Shared(ENTRIES),
        SourcePart::Entries,
        Shared(VITERBI_STEP),
        SourcePart::Swap,
        SourcePart::Exchange(NEIGHBOUR_BARRIER, NEIGHBOUR_SUBGROUP),
    ],
    own: include_str!("../../shaders/decode/viterbi.wgsl"),
};

pub(crate) static VITERBI_LONG: Kernel = Kernel {
    name: "viterbi_long",
    bindings: VITERBI_BINDINGS,
    shared: &[
        SourcePart::Input,
        Shared(INPUT_KIND),
        Shared(DOUBLE_FLOAT),
        Shared(LOG_PROB),
        Shared(STATES),
        Shared(EMISSION),
        Shared(ENTRIES),
        Shared(EMISSIONS),
        Shared(VITERBI_STEP),
    ],
    own: include_str!("../../shaders/decode/viterbi_long.wgsl"),
};

pub(crate) static BACKTRACE: Kernel = Kernel {
    name: "backtrace",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::Backpointers, Read),
        (ArrayId::Carry, Read),
        (ArrayId::States, Write),
        (ArrayId::BacktraceStates, Write),
        (ArrayId::ItemStatus, Write),
    ],
    shared: &[Shared(DOUBLE_FLOAT)],
    own: include_str!("../../shaders/decode/backtrace.wgsl"),
};

pub(crate) static PATH: Kernel = Kernel {
    name: "path",
    bindings: &[
        (ArrayId::Input, Read),
        (ArrayId::Items, Read),
        (ArrayId::LabelTable, Read),
        (ArrayId::RowStats, Read),
        (ArrayId::States, Read),
        (ArrayId::ItemStatus, Read),
        (ArrayId::Path, Write),
        (ArrayId::LogProbs, Write),
    ],
    shared: &[
        SourcePart::Input,
        Shared(INPUT_KIND),
        Shared(DOUBLE_FLOAT),
        Shared(LOG_PROB),
    ],
    own: include_str!("../../shaders/decode/path.wgsl"),
};

pub(crate) static SPANS: Kernel = Kernel {
    name: "spans",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::ItemStatus, Read),
        (ArrayId::States, Read),
        (ArrayId::LogProbs, Read),
        (ArrayId::Spans, Write),
        (ArrayId::Probabilities, Write),
    ],
    shared: &[Shared(ROW_WORKGROUP), Shared(FOLD_BARRIER)],
    own: include_str!("../../shaders/decode/spans.wgsl"),
};

pub(crate) static PATH_LOG_PROB: Kernel = Kernel {
    name: "path_log_prob",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::ItemStatus, Read),
        (ArrayId::LogProbs, Read),
        (ArrayId::Loss, Write),
        (ArrayId::Status, Write),
    ],
    shared: &[Shared(DOUBLE_FLOAT), Shared(FOLD_DOUBLE_FLOAT)],
    own: include_str!("../../shaders/decode/path_log_prob.wgsl"),
};

pub(crate) static COLLAPSE: Kernel = Kernel {
    name: "collapse",
    bindings: &[
        (ArrayId::Items, Read),
        (ArrayId::ItemStatus, Read),
        (ArrayId::RowStats, Read),
        (ArrayId::HypothesisLabels, Write),
        (ArrayId::HypothesisLengths, Write),
        (ArrayId::HypothesisFrames, Write),
        (ArrayId::Loss, Write),
        (ArrayId::Status, Write),
    ],
    shared: &[Shared(DOUBLE_FLOAT), Shared(FOLD_DOUBLE_FLOAT)],
    own: include_str!("../../shaders/decode/collapse.wgsl"),
};
