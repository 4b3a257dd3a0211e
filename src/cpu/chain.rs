//! chain: for each label the next equal one, and whether it is the first; twin of `shaders/chain.wgsl`.

use std::collections::HashMap;

use super::labels::Item;

/// The link of a label that no equal one follows.
pub(super) const NO_LABEL: u32 = u32::MAX;

/// From the last label to the first with a map of what was seen: a shader's lane searches instead, having none.
pub(super) fn link(item: &mut Item) {
    let Item { classes, links, .. } = item;
    links.clear();
    links.resize(classes.len(), (NO_LABEL, true));
    let mut seen: HashMap<u32, u32> = HashMap::with_capacity(classes.len());
    for (i, &class) in (0..).zip(&*classes).collect::<Vec<_>>().into_iter().rev() {
        if let Some(next) = seen.insert(class, i) {
            links[i as usize].0 = next;
            links[next as usize].1 = false;
        }
    }
}
