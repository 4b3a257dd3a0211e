//! The rows of alignment and of greedy decoding.

use super::Access::{Read, Write};
use super::Part::{self, Shared};
use super::{
    Access, CONVENTION, FOLD_BARRIER, FRAMES, Kernel, PASSED_BARRIER, PASSED_SUBGROUP, ROWS,
    STATES, Slot,
};

const BEST: &str = include_str!("../../shaders/shared/best.wgsl");
const FOLD_PAIR: &str = include_str!("../../shaders/shared/fold_pair.wgsl");
const NATS: &str = include_str!("../../shaders/shared/nats.wgsl");
const PAIR: &str = include_str!("../../shaders/shared/pair.wgsl");

const ALIGN_BINDINGS: &[(Slot, Access)] = &[
    (Slot::Input, Read),
    (Slot::Items, Read),
    (Slot::LabelTable, Read),
    (Slot::RowStats, Read),
    (Slot::Gathered, Read),
    (Slot::Moves, Write),
    (Slot::Carry, Write),
];

pub(crate) static ALIGN: Kernel = Kernel {
    name: "align",
    bindings: ALIGN_BINDINGS,
    parts: &[
        Part::Input,
        Shared(CONVENTION),
        Shared(PAIR),
        Shared(NATS),
        Shared(STATES),
        Shared(FRAMES),
        Shared(BEST),
        Part::Lanes(PASSED_BARRIER, PASSED_SUBGROUP),
    ],
    stage: include_str!("../../shaders/decode/align.wgsl"),
};

pub(crate) static ALIGN_LONG: Kernel = Kernel {
    name: "align_long",
    bindings: ALIGN_BINDINGS,
    parts: &[
        Part::Input,
        Shared(CONVENTION),
        Shared(PAIR),
        Shared(NATS),
        Shared(STATES),
        Shared(FRAMES),
        Shared(BEST),
    ],
    stage: include_str!("../../shaders/decode/align_long.wgsl"),
};

pub(crate) static TRACE: Kernel = Kernel {
    name: "trace",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Moves, Read),
        (Slot::Carry, Read),
        (Slot::States, Write),
        (Slot::Cursors, Write),
        (Slot::Verdicts, Write),
    ],
    parts: &[Shared(PAIR)],
    stage: include_str!("../../shaders/decode/trace.wgsl"),
};

pub(crate) static PATH: Kernel = Kernel {
    name: "path",
    bindings: &[
        (Slot::Input, Read),
        (Slot::Items, Read),
        (Slot::LabelTable, Read),
        (Slot::RowStats, Read),
        (Slot::States, Read),
        (Slot::Verdicts, Read),
        (Slot::Path, Write),
        (Slot::LogProbs, Write),
    ],
    parts: &[Part::Input, Shared(CONVENTION), Shared(PAIR), Shared(NATS)],
    stage: include_str!("../../shaders/decode/path.wgsl"),
};

pub(crate) static SPANS: Kernel = Kernel {
    name: "spans",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Verdicts, Read),
        (Slot::States, Read),
        (Slot::LogProbs, Read),
        (Slot::Spans, Write),
        (Slot::Probabilities, Write),
    ],
    parts: &[Shared(ROWS), Shared(FOLD_BARRIER)],
    stage: include_str!("../../shaders/decode/spans.wgsl"),
};

pub(crate) static SCORE: Kernel = Kernel {
    name: "score",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Verdicts, Read),
        (Slot::LogProbs, Read),
        (Slot::Loss, Write),
        (Slot::Status, Write),
    ],
    parts: &[Shared(PAIR), Shared(FOLD_PAIR)],
    stage: include_str!("../../shaders/decode/score.wgsl"),
};

pub(crate) static GREEDY: Kernel = Kernel {
    name: "greedy",
    bindings: &[
        (Slot::Items, Read),
        (Slot::Verdicts, Read),
        (Slot::RowStats, Read),
        (Slot::ReadLabels, Write),
        (Slot::ReadLengths, Write),
        (Slot::ReadFrames, Write),
        (Slot::Loss, Write),
        (Slot::Status, Write),
    ],
    parts: &[Shared(PAIR), Shared(FOLD_PAIR)],
    stage: include_str!("../../shaders/decode/greedy.wgsl"),
};
