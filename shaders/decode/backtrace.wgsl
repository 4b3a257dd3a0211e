// backtrace: follows the backpointers of `viterbi` from the end of each item to its start, and
// writes the state at each frame. State 2i is the blank before label i, and 2i + 1 is label i. Must
// match src/decode/align.rs.
//
// in: items; backpointers; carry: the scores after the last frame.
// in, out: backtrace_states [G]: the state from which the next dispatch continues; item_status: an
// item without a possible path becomes IMPOSSIBLE.
// out: states [G, T].
// grid: one workgroup per item. The lanes copy a window of the backpointers to workgroup memory,
// where all of them follow the path: its accesses depend on each other, and global memory is slow.
// barriers: one per window.

// 8 or 32. A window has as many frames as lanes. With each frame, a path goes back by at most one
// pair, so as many pairs are enough.
override LANES: u32 = 32u;
override WINDOW_ROWS: u32 = LANES / STEPS_PER_WORD;
override WINDOW_WORDS: u32 = LANES * WINDOW_ROWS;
override TWO_WINDOWS: u32 = 2u * WINDOW_WORDS;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> backpointers: array<u32>;
@group(0) @binding(3) var<storage, read> carry: array<f32>;
@group(0) @binding(4) var<storage, read_write> states: array<u32>;
@group(0) @binding(5) var<storage, read_write> backtrace_states: array<u32>;
@group(0) @binding(6) var<storage, read_write> item_status: array<u32>;

// The score of a state of `pair`, as a high and a low part. `part` is 0 for the blank and 2 for the
// label.
fn state_score(g: u32, part: u32, pair: u32) -> vec2<f32> {
    let at = 4u * (carry_part(0u, 0u, g, part) + pair / 4u) + pair % 4u;
    return vec2<f32>(carry[at], carry[at + 4u * params.quads]);
}

// The state in which the best path ends: the last label, or the blank after it if the blank's score
// is higher. Lane 0 sets the item's status if neither is possible.
fn end_state(g: u32, item: Item, lane: u32) -> u32 {
    let blank = state_score(g, 0u, item.labels);
    var end_score = blank;
    var state = 2u * item.labels;
    if (item.labels > 0u) {
        let label = state_score(g, 2u, item.labels - 1u);
        if (!(blank.x > label.x || (blank.x == label.x && blank.y > label.y))) {
            end_score = label;
            state -= 1u;
        }
    }
    if (lane == 0u && end_score.x < -MAX_PATH_SCORE) {
        item_status[g] = max(item_status[g], IMPOSSIBLE);
    }
    return state;
}

// Two windows, so that one barrier per window is enough: while some lanes read a window, others may
// write the next one. A window is stored from its last row and its last pair back.
var<workgroup> sh_windows: array<u32, TWO_WINDOWS>;

// The frames of a window: those from `begin` to `end` of the rows that end with frame `last`.
// `start` is the index of the window in sh_windows.
struct Window {
    start: u32,
    last: u32,
    begin: u32,
    end: u32,
    last_pair: u32,
}

// The word of a pair in the row of frame t.
fn word_of(t: u32, g: u32, pair: u32) -> u32 {
    return backpointers[4u * backpointer_row(t, g) + pair];
}

// A frame of the row before that of frame t. In the first row of the segment, t itself or an
// earlier frame of this row.
fn row_before(t: u32) -> u32 {
    return max(t, params.segment_begin + STEPS_PER_WORD) - STEPS_PER_WORD;
}

// Copies column `lane` of a window.
fn copy_window(g: u32, lane: u32, window: Window) {
    if (lane > window.last_pair) {
        return;
    }
    let pair = window.last_pair - lane;
    let word_a = word_of(window.last, g, pair);
    if (WINDOW_ROWS == 4u) {
        // All loads before the first store, so that they overlap.
        let b = row_before(window.last);
        let c = row_before(b);
        let word_b = word_of(b, g, pair);
        let word_c = word_of(c, g, pair);
        let word_d = word_of(row_before(c), g, pair);
        sh_windows[window.start + LANES + lane] = word_b;
        sh_windows[window.start + 2u * LANES + lane] = word_c;
        sh_windows[window.start + 3u * LANES + lane] = word_d;
    }
    sh_windows[window.start + lane] = word_a;
}

// The state at a frame, and that at the lane's own frame: lane i has the i-th frame of the window,
// counted from its last one.
struct Walk {
    state: u32,
    own: u32,
}

// Goes from frame `step` of a row of the window to the frame before. The state stays the same if
// the frame is not between the window's begin and end.
fn go_back(walk: Walk, lane: u32, window: Window, row: u32, step: u32) -> Walk {
    let state = walk.state;
    let back = STEPS_PER_WORD * row + STEPS_PER_WORD - 1u - step;
    let word = sh_windows[window.start + row * LANES + window.last_pair - state / 2u];
    let bits = word >> (4u * step + 2u * (state % 2u));
    let t = window.last - back;
    let is_inside = t >= window.begin && t < window.end;
    return Walk(
        state - select(0u, min(state, bits & 3u), is_inside),
        select(walk.own, state, back == lane),
    );
}

@compute @workgroup_size(LANES)
fn backtrace(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(workgroup, grid);
    if (g >= params.tile_items) {
        return;
    }
    let item = items[g];
    if (item.sweeps == 0u) {
        return;
    }
    var state = backtrace_states[g];
    if (params.end_step >= item.frames && (params.first_step < item.frames || params.first_step == 0u)) {
        state = end_state(g, item, lane);
    }
    var end = min(params.end_step, item.frames);
    var start = 0u;
    while (end > params.first_step) {
        let last_row = (end - 1u - params.segment_begin) / STEPS_PER_WORD;
        let rows = min(last_row + 1u, WINDOW_ROWS);
        let last = params.segment_begin + last_row * STEPS_PER_WORD + STEPS_PER_WORD - 1u;
        let begin = max(last + 1u - rows * STEPS_PER_WORD, params.first_step);
        let window = Window(start, last, begin, end, state / 2u);
        copy_window(g, lane, window);
        workgroupBarrier();
        var walk = Walk(state, state);
        for (var row = 0u; row < rows; row++) {
            // Written out, because naga adds guards to a loop.
            walk = go_back(walk, lane, window, row, 7u);
            walk = go_back(walk, lane, window, row, 6u);
            walk = go_back(walk, lane, window, row, 5u);
            walk = go_back(walk, lane, window, row, 4u);
            walk = go_back(walk, lane, window, row, 3u);
            walk = go_back(walk, lane, window, row, 2u);
            walk = go_back(walk, lane, window, row, 1u);
            walk = go_back(walk, lane, window, row, 0u);
        }
        state = walk.state;
        let t = last - lane;
        if (t >= begin && t < end) {
            states[g * params.frames + t] = walk.own;
        }
        end = begin;
        start = WINDOW_WORDS - start;
    }
    if (lane == 0u) {
        backtrace_states[g] = state;
    }
}
