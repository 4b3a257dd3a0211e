//! The most probable alignment of given labels: Viterbi over the states of CTC.

/// For each frame the position of the label that it belongs to, `None` at a blank; nothing where no alignment is possible.
///
/// `log_probs` is `[T, C]`. States are blank, label 0, blank, label 1, …, blank (Graves et al. 2006, section 4.1).
pub(super) fn align(
    log_probs: &[f32],
    classes: usize,
    labels: &[usize],
    blank: usize,
) -> Option<Vec<Option<usize>>> {
    let states = 2 * labels.len() + 1;
    let class = |state: usize| match state % 2 {
        0 => blank,
        _ => labels[state / 2],
    };
    let mut scores = vec![f32::NEG_INFINITY; states];
    // How many states each frame's best path into a state came up by.
    let mut steps: Vec<Vec<usize>> = Vec::new();
    for (t, frame) in log_probs.chunks_exact(classes).enumerate() {
        let before = scores.clone();
        let mut taken = vec![0; states];
        for state in 0..states {
            let skips = state >= 2 && state % 2 == 1 && class(state) != class(state - 2);
            let most = if skips { 2 } else { 1.min(state) };
            let (step, score) = match t {
                // A path begins at the first blank or at the first label.
                0 if state < 2 => (0, 0.0),
                0 => (0, f32::NEG_INFINITY),
                _ => (0..=most)
                    .map(|step| (step, before[state - step]))
                    .reduce(|best, other| if other.1 > best.1 { other } else { best })?,
            };
            scores[state] = score + frame[class(state)];
            taken[state] = step;
        }
        steps.push(taken);
    }
    if steps.is_empty() {
        return labels.is_empty().then(Vec::new);
    }
    // It ends at the last blank or at the last label.
    let last = states - 1;
    let mut state = match last {
        0 => 0,
        _ if scores[last - 1] > scores[last] => last - 1,
        _ => last,
    };
    if scores[state] == f32::NEG_INFINITY {
        return None;
    }
    let mut path = vec![None; steps.len()];
    for (place, taken) in path.iter_mut().zip(&steps).rev() {
        *place = (state % 2 == 1).then_some(state / 2);
        state -= taken[state];
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::align;

    /// The labels that a path of classes reads.
    fn reads(path: &[usize], blank: usize) -> Vec<usize> {
        let mut read = path.to_vec();
        read.dedup();
        read.retain(|class| *class != blank);
        read
    }

    /// Numbers without order, from −4 to 0.
    fn log_probs(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap_or(0)) / -16_384.0
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn no_path_that_reads_the_labels_is_more_probable() {
        let (frames, classes, blank) = (5, 3, 2);
        for (seed, labels) in (1..).zip([
            &[][..],
            &[0],
            &[1, 0],
            &[1, 1],
            &[0, 0, 1],
            &[0, 0, 0],
            &[0, 0, 0, 0],
        ]) {
            let rows = log_probs(frames * classes, seed);
            let score = |path: &[usize]| {
                let each = path.iter().enumerate();
                each.map(|(t, class)| rows[t * classes + class])
                    .sum::<f32>()
            };
            let best = (0..3_usize.pow(5))
                .map(|code| [1, 3, 9, 27, 81].map(|unit| code / unit % 3))
                .filter(|path| reads(path, blank) == labels)
                .map(|path| score(&path))
                .reduce(f32::max);
            let found = align(&rows, classes, labels, blank).map(|path| {
                path.iter()
                    .map(|place| place.map_or(blank, |position| labels[position]))
                    .collect::<Vec<_>>()
            });
            assert_eq!(found.is_some(), best.is_some(), "labels {labels:?}");
            if let (Some(path), Some(best)) = (found, best) {
                assert_eq!(reads(&path, blank), labels);
                assert!((score(&path) - best).abs() < 1e-5, "labels {labels:?}");
            }
        }
    }
}
