//! Windows of time with enough values in each that a percentile of them says something.

use crate::{measure::to_f64, outcome::Measures};

/// How many values a window has on average, where there are so many.
const ENOUGH: usize = 25;
/// The fewest windows: with fewer, a curve shows nothing.
const FEWEST: usize = 8;

/// Values by windows of time.
#[derive(Debug)]
pub(super) struct Windows {
    /// The middle of each in seconds, and its values, sorted.
    windows: Vec<(f64, Vec<u32>)>,
}

impl Windows {
    /// Puts the values of as many buckets together as it takes.
    pub(super) fn new(measures: &Measures, buckets: &[Vec<u32>]) -> Self {
        let last = buckets.iter().rposition(|values| !values.is_empty()).map_or(1, |at| at + 1);
        let count = buckets.iter().map(Vec::len).sum::<usize>();
        let windows = (count / ENOUGH).clamp(FEWEST, 60);
        let wide = last.div_ceil(windows).max(1);
        let seconds = to_f64(measures.bucket.0) / 1000.0;
        let window = |(at, buckets): (usize, &[Vec<u32>])| {
            let mut values = buckets.concat();
            values.sort_unstable();
            let middle = to_f64((at * wide) as u64) + to_f64(buckets.len() as u64) / 2.0;
            (middle * seconds, values)
        };
        Self { windows: buckets[..last.min(buckets.len())].chunks(wide).enumerate().map(window).collect() }
    }

    /// Makes one value of those of each window; none of an empty one.
    pub(super) fn map(&self, of: impl Fn(&[u32]) -> Option<f64>) -> Vec<(f64, Option<f64>)> {
        self.windows.iter().map(|(middle, values)| (*middle, of(values))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_wider_where_values_are_few() {
        let measures = Measures { bucket: kernel::Span::secs(10), ..Measures::default() };
        let few = Windows::new(&measures, &vec![vec![1]; 120]);
        assert_eq!(few.windows.len(), 8);
        assert_eq!(few.windows[0].0, 75.0);
        let many = Windows::new(&measures, &vec![vec![1; 100]; 120]);
        assert_eq!(many.windows.len(), 60);
        assert_eq!(many.map(|values| Some(to_f64(values.len() as u64)))[0], (10.0, Some(200.0)));
        assert_eq!(Windows::new(&measures, &[]).windows.len(), 0);
    }
}
