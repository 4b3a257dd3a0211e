// batch_totals: what a reduction needs of the whole batch before any item: the totals of the label lengths and of the weights;
// and where each item's labels begin when they are concatenated.
//
// in label_lengths, weights [N].  out totals: ΣL; Σw as a high and a low part; Σ|w|; then the starts [N].
// grid one workgroup: a dispatch takes a window of the items and goes on from the words of the one before.

override LANES: u32 = 256u;
override CONCATENATED: bool = false;

@group(0) @binding(1) var<storage, read> label_lengths: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> totals: array<u32>;

const STARTS: u32 = 4u;
// No buffer has so many labels: a sum of hostile lengths stops here.
const MANY: u32 = 0x7fffffffu;

// Σw with twice the digits of an f32, since weights of both signs cancel, and Σ|w|.
struct Weights {
    high: f32,
    low: f32,
    size: f32,
}

fn heavier(a: Weights, b: Weights) -> Weights {
    let sum = held(vec4<f32>(clamp(a.high + b.high, -3.4e38, 3.4e38)));
    let low = lost(vec4<f32>(a.high), vec4<f32>(b.high), sum).x + (a.low + b.low);
    return Weights(sum.x, low, a.size + b.size);
}

var<workgroup> sh_labels: array<u32, LANES>;
var<workgroup> sh_weights: array<Weights, LANES>;

@compute @workgroup_size(LANES)
fn batch_totals(@builtin(local_invocation_index) lane: u32) {
    var label_sum = 0u;
    var own = Weights(0.0, 0.0, 0.0);
    if (params.first_dispatch == 0u) {
        label_sum = totals[0];
        if (lane == 0u) {
            own = Weights(bitcast<f32>(totals[1]), bitcast<f32>(totals[2]), bitcast<f32>(totals[3]));
        }
    }
    let window = params.tile_items;
    for (var first = 0u; first < window; first += LANES) {
        let i = first + lane;
        var length = 0u;
        if (i < window) {
            length = u32(max(label_lengths[params.item_base + i], 0));
            let weight = weights[params.item_base + i];
            own = heavier(own, Weights(weight, 0.0, abs(weight)));
        }
        sh_labels[lane] = length;
        workgroupBarrier();
        // Inclusive totals (Hillis and Steele).
        for (var d = 1u; d < LANES; d *= 2u) {
            var more = 0u;
            if (lane >= d) {
                more = sh_labels[lane - d];
            }
            workgroupBarrier();
            sh_labels[lane] = min(sh_labels[lane] + more, MANY);
            workgroupBarrier();
        }
        if (CONCATENATED && i < window) {
            totals[STARTS + params.first_item + i] = min(label_sum + (sh_labels[lane] - length), MANY);
        }
        label_sum = min(label_sum + sh_labels[LANES - 1u], MANY);
        workgroupBarrier();
    }
    sh_weights[lane] = own;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_weights[lane] = heavier(sh_weights[lane], sh_weights[lane + d]);
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        let all = sh_weights[0];
        totals[0] = label_sum;
        totals[1] = bitcast<u32>(all.high);
        totals[2] = bitcast<u32>(all.low);
        totals[3] = bitcast<u32>(all.size);
    }
}
