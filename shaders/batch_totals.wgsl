// batch_totals: computes the sums over the whole batch that reductions divide by, and the start of
// each item's labels if labels are concatenated. Runs before any item is processed.
//
// in: label_lengths, weights [N].
// out: totals: ΣL; Σw as a high and a low part; Σ|w|; then the label starts [N].
// grid: one workgroup. A dispatch processes a range of the items and continues from the totals of
// the dispatch before.
// barriers: those of the prefix sum and of the fold.

override LANES: u32 = 256u;
// True if labels are concatenated, so that their starts are needed.
override CONCATENATED: bool = false;

@group(0) @binding(1) var<storage, read> label_lengths: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> totals: array<u32>;

// The index in `totals` of the first label start. Must match TOTALS_WORDS in src/plan/tiling.rs.
const STARTS: u32 = 4u;
// Sums of label lengths saturate at this value. Only invalid lengths, or 8 GiB of labels, reach it.
const MAX_LABEL_SUM: u32 = 0x7fffffffu;

// Σw as high + low, with twice the digits of an f32, because weights of both signs may cancel; and
// Σ|w| in `absolute`.
struct WeightSum {
    high: f32,
    low: f32,
    absolute: f32,
}

// Adds two partial sums, without losing the rounding error of the high parts (two-sum).
fn add_weights(a: WeightSum, b: WeightSum) -> WeightSum {
    let sum = opaque(vec4<f32>(clamp(a.high + b.high, -3.4e38, 3.4e38)));
    let low = two_sum_error(vec4<f32>(a.high), vec4<f32>(b.high), sum).x + (a.low + b.low);
    return WeightSum(sum.x, low, a.absolute + b.absolute);
}

var<workgroup> sh_labels: array<u32, LANES>;
var<workgroup> sh_weights: array<WeightSum, LANES>;

@compute @workgroup_size(LANES)
fn batch_totals(@builtin(local_invocation_index) lane: u32) {
    var label_sum = 0u;
    var lane_sum = WeightSum(0.0, 0.0, 0.0);
    if (params.first_dispatch == 0u) {
        label_sum = totals[0];
        if (lane == 0u) {
            lane_sum = WeightSum(
                bitcast<f32>(totals[1]),
                bitcast<f32>(totals[2]),
                bitcast<f32>(totals[3]),
            );
        }
    }
    let range = params.tile_items;
    for (var first = 0u; first < range; first += LANES) {
        let i = first + lane;
        var length = 0u;
        if (i < range) {
            length = u32(max(label_lengths[params.item_base + i], 0));
            let weight = weights[params.item_base + i];
            lane_sum = add_weights(lane_sum, WeightSum(weight, 0.0, abs(weight)));
        }
        sh_labels[lane] = length;
        workgroupBarrier();
        // Inclusive prefix sum (Hillis and Steele).
        for (var d = 1u; d < LANES; d *= 2u) {
            var addend = 0u;
            if (lane >= d) {
                addend = sh_labels[lane - d];
            }
            workgroupBarrier();
            sh_labels[lane] = min(sh_labels[lane] + addend, MAX_LABEL_SUM);
            workgroupBarrier();
        }
        if (CONCATENATED && i < range) {
            totals[STARTS + params.first_item + i] = min(
                label_sum + (sh_labels[lane] - length),
                MAX_LABEL_SUM,
            );
        }
        label_sum = min(label_sum + sh_labels[LANES - 1u], MAX_LABEL_SUM);
        workgroupBarrier();
    }
    sh_weights[lane] = lane_sum;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_weights[lane] = add_weights(sh_weights[lane], sh_weights[lane + d]);
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        let all = sh_weights[0];
        totals[0] = label_sum;
        totals[1] = bitcast<u32>(all.high);
        totals[2] = bitcast<u32>(all.low);
        totals[3] = bitcast<u32>(all.absolute);
    }
}
