//! Figures that hold until they change, averaged over time in each bucket.

/// The most buckets of a series: twice as many as there are while intents come. What happens later still is in the
/// totals alone.
pub(super) const MOST: usize = 240;

/// A figure that holds until it changes.
#[derive(Debug)]
pub(super) struct Gauge {
    bucket: u64,
    value: i64,
    since: u64,
    /// The figure times milliseconds, of each bucket that has begun.
    areas: Vec<i128>,
    area: i128,
}

impl Gauge {
    /// Makes one that is 0 from the beginning on, in buckets of so many milliseconds.
    pub(super) fn new(bucket: u64) -> Self {
        Self { bucket: bucket.max(1), value: 0, since: 0, areas: Vec::new(), area: 0 }
    }

    /// Changes it by so much from `now` on, in milliseconds from the beginning.
    pub(super) fn add(&mut self, now: u64, change: i64) {
        if change != 0 {
            self.go_on(now);
            self.value = self.value.saturating_add(change);
        }
    }

    /// Returns the figure times seconds, up to `now`.
    pub(super) fn seconds(&mut self, now: u64) -> f64 {
        self.go_on(now);
        to_f64(self.area) / 1000.0
    }

    /// Returns the average of each bucket up to `now`.
    pub(super) fn means(&mut self, now: u64) -> Vec<f64> {
        self.go_on(now);
        let bucket = self.bucket;
        let spent = |at: usize| now.saturating_sub(bucket.saturating_mul(at as u64)).min(bucket).max(1);
        self.areas.iter().enumerate().map(|(at, &area)| to_f64(area) / to_f64(spent(at).into())).collect()
    }

    fn go_on(&mut self, now: u64) {
        while self.since < now {
            let at = usize::try_from(self.since / self.bucket).unwrap_or(MOST);
            let end = if at < MOST { now.min(self.bucket.saturating_mul(at as u64 + 1)) } else { now };
            let area = i128::from(self.value) * i128::from(end - self.since);
            if at < MOST {
                self.areas.resize(at + 1, 0);
                self.areas[at] += area;
            }
            self.area += area;
            self.since = end;
        }
    }
}

/// Close enough for a figure that people look at.
#[allow(clippy::cast_precision_loss, reason = "a figure that people look at")]
const fn to_f64(number: i128) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_shows_the_average_over_its_time() {
        let mut gauge = Gauge::new(100);
        gauge.add(50, 4);
        gauge.add(150, -2);
        assert_eq!(gauge.means(250), [2.0, 3.0, 2.0]);
        assert!((gauge.seconds(250) - 0.6).abs() < 1e-9);
    }

    #[test]
    fn what_comes_after_the_last_bucket_is_in_the_total_alone() {
        let mut gauge = Gauge::new(10);
        gauge.add(0, 1);
        let end = 10 * MOST as u64 * 3;
        assert_eq!(gauge.means(end).len(), MOST);
        assert!((gauge.seconds(end) - 10.0 * MOST as f64 * 3.0 / 1000.0).abs() < 1e-9);
    }
}
