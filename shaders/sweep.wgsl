// sweep: alpha and beta at once, one step a frame. In: from the ends of the item to its middle, every row kept.
// Out: on from the middle to the other ends, each row that the other direction kept becoming the occupancies.
//
// formula alpha[t,s] = y[t,s] · Σ alpha[t-1, what leads to s];  occupancy[t,s] ∝ (Σ alpha[t-1, …]) · beta[t,s].
// in emissions.  in, out lattice [step, direction, G, 2 width + 1]; carry: the row between two dispatches.
// grid one workgroup an item and direction (z); lanes stride over places.
// barriers: one a step; rows are doubled, so a row is written while the one before is read.

override LANES: u32 = 64u;
// States that a row in workgroup memory has room for; 1 where they do not fit and stay in the carry.
override ROW: u32 = 1u;
override TWO_ROWS: u32 = 2u * ROW;
override IN_STORAGE: bool = false;
override OUT: bool = false;
// Whether rows are kept for a gradient.
override KEEP: bool = false;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> label_table: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> emissions: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> lattice: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> carry: array<vec2<f32>>;

var<workgroup> sh_row: array<vec2<f32>, TWO_ROWS>;

// State s of the row after `steps` steps; `at` is where the carry's row of even steps begins.
fn state(at: u32, steps: u32, s: u32) -> Scaled {
    var v: vec2<f32>;
    if (IN_STORAGE) {
        v = carry[at + (steps & 1u) * states_stride() + s];
    } else {
        v = sh_row[(steps & 1u) * ROW + s];
    }
    return Scaled(v.x, v.y);
}

fn set_state(at: u32, steps: u32, s: u32, value: Scaled) {
    if (IN_STORAGE) {
        carry[at + (steps & 1u) * states_stride() + s] = vec2<f32>(value.m, value.e);
    } else {
        sh_row[(steps & 1u) * ROW + s] = vec2<f32>(value.m, value.e);
    }
}

@compute @workgroup_size(LANES)
fn sweep(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = folded(workgroup, grid);
    if (g >= params.group) {
        return;
    }
    let item = items[g];
    if (item.sweeps == 0u) {
        return;
    }
    let direction = workgroup.z;
    let other = 1u - direction;
    let labels = item.labels;
    let own_steps = steps_of(direction, item.frames);
    let other_steps = steps_of(other, item.frames);
    let at = carry_row(direction, g, 0u);

    // How many steps this dispatch takes, and how many were taken before it.
    var count = 0u;
    var done = min(params.first_step, own_steps);
    if (OUT) {
        let last = min(params.end_step, other_steps);
        count = last - min(params.first_step, last);
        done = own_steps + (other_steps - last);
    } else {
        count = min(params.end_step, own_steps) - done;
    }
    let begins = !OUT && params.first_step == 0u;
    if (count == 0u && !begins) {
        return;
    }
    for (var s = lane; s <= 2u * labels; s += LANES) {
        if (begins) {
            // Before the first frame all of the probability waits in front of the first blank.
            var v = scaled_zero();
            if (s == 0u) {
                v = scaled_one();
            }
            set_state(at, done, s, v);
        } else if (!IN_STORAGE) {
            let v = carry[at + (done & 1u) * states_stride() + s];
            set_state(at, done, s, Scaled(v.x, v.y));
        }
    }
    workgroupBarrier();
    storageBarrier();

    for (var j = 0u; j < count; j++) {
        let before = done + j;
        var k = params.first_step + j;
        var kept = direction;
        if (OUT) {
            k = min(params.end_step, other_steps) - 1u - j;
            kept = other;
        }
        let y_row = table_row(k, kept, g) * (params.width + 1u);
        let kept_row = table_row(k, kept, g) * states_stride();
        let y_blank = emissions[y_row];
        for (var p = lane; p <= labels; p += LANES) {
            let blank = state(at, before, 2u * p);
            var label_before = scaled_zero();
            if (p > 0u) {
                label_before = state(at, before, 2u * p - 1u);
            }
            let into = paths_to_blank(blank, label_before);
            let now = times(into, Scaled(y_blank.x, y_blank.y));
            set_state(at, before + 1u, 2u * p, now);
            if (OUT) {
                occupy(kept_row + 2u * (labels - p), into);
            } else if (KEEP) {
                lattice[kept_row + 2u * p] = vec2<f32>(now.m, now.e);
            }
            if (p < labels) {
                let own = state(at, before, 2u * p + 1u);
                let into_l = paths_to_label(own, blank, label_before, reached(direction, g, labels, p));
                let y = emissions[y_row + 1u + label_at(direction, labels, p)];
                let now_l = times(into_l, Scaled(y.x, y.y));
                set_state(at, before + 1u, 2u * p + 1u, now_l);
                if (OUT) {
                    occupy(kept_row + 2u * (labels - p) - 1u, into_l);
                } else if (KEEP) {
                    lattice[kept_row + 2u * p + 1u] = vec2<f32>(now_l.m, now_l.e);
                }
            }
        }
        workgroupBarrier();
        storageBarrier();
    }

    if (!IN_STORAGE) {
        let steps = done + count;
        for (var s = lane; s <= 2u * labels; s += LANES) {
            let v = state(at, steps, s);
            carry[at + (steps & 1u) * states_stride() + s] = vec2<f32>(v.m, v.e);
        }
    }
}

// The other direction's state at `place` becomes its occupancy, up to a factor that its frame shares.
fn occupy(place: u32, into: Scaled) {
    let there = lattice[place];
    lattice[place] = vec2<f32>(into.m * there.x, into.e + there.y);
}
