//! The greatest few of many, in memory for the few.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The `most` greatest, the greatest first.
pub(super) fn greatest<T: Ord>(all: impl IntoIterator<Item = T>, most: usize) -> Vec<T> {
    let mut heap = BinaryHeap::new();
    for one in all {
        if heap.len() < most {
            heap.push(Reverse(one));
        } else if let Some(mut least) = heap.peek_mut()
            && least.0 < one
        {
            *least = Reverse(one);
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(one)| one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_greatest_are_those_of_the_sorted_list(all in vec(0_u32..50, 0..60), most in 0_usize..20) {
            let mut sorted = all.clone();
            sorted.sort_unstable_by(|one, other| other.cmp(one));
            sorted.truncate(most);
            prop_assert_eq!(greatest(all, most), sorted);
        }
    }
}
