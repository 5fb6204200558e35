//! The figures of a run that people read: a few numbers made of the measures.

use kernel::Span;
use serde::Serialize;

use crate::outcome::{Measures, Outcome};

/// A few numbers about a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Events of a second of wall time.
    pub events_per_second: f64,
    /// Times to running.
    pub to_running: Percentiles,
    /// Messages sent for each intent that came, all of them counted: keepalives and advertisements, too.
    pub messages_per_intent: f64,
    /// Their bytes.
    pub bytes_per_intent: f64,
    /// LIST_FLAVOURS sent for each intent that came.
    pub lists_per_intent: f64,
    /// Which share of the capacity on offer was taken while intents came, from 0 to 1.
    pub utilisation: f64,
    /// How evenly domains' intents ran: Jain's index of the share that ran of those that came, from 1/n to 1.
    pub fairness: Option<f64>,
    /// What a core cost for an hour, in millionths of a euro, in the middle contract.
    pub price: Option<u32>,
}

/// Times of which 50, 95 and 99 of a hundred are within; none where nothing ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Percentiles {
    /// Half of them.
    pub p50: Option<Span>,
    /// 95 of 100.
    pub p95: Option<Span>,
    /// 99 of 100.
    pub p99: Option<Span>,
}

impl Outcome {
    /// Returns the figures of the run.
    pub fn figures(&self) -> Figures {
        let measures = &self.measures;
        let (messages, bytes) =
            measures.messages.values().fold((0, 0), |(count, sum), (messages, bytes)| (count + messages, sum + bytes));
        let lists = measures.messages.get("LIST_FLAVOURS").map_or(0, |(count, _)| *count);
        let per_intent = |count: u64| ratio(count, self.intents.total);
        let mut prices = measures.prices.concat();
        prices.sort_unstable();
        Figures {
            events_per_second: if self.wall_s > 0.0 { to_f64(self.events) / self.wall_s } else { 0.0 },
            to_running: measures.to_running(),
            messages_per_intent: per_intent(messages),
            bytes_per_intent: per_intent(bytes),
            lists_per_intent: per_intent(lists),
            utilisation: measures.utilisation(),
            fairness: measures.fairness(),
            price: percentile(&prices, 50),
        }
    }
}

impl Measures {
    /// Returns the times to running of all that ran.
    pub fn to_running(&self) -> Percentiles {
        let mut times = self.to_running.concat();
        times.sort_unstable();
        let at = |percent| percentile(&times, percent).map(|time| Span(time.into()));
        Percentiles { p50: at(50), p95: at(95), p99: at(99) }
    }

    /// Returns how evenly domains' intents ran; `None` where none came.
    pub fn fairness(&self) -> Option<f64> {
        let served: Vec<_> =
            self.domains.iter().filter(|it| it.intents > 0).map(|it| ratio(it.ran, it.intents)).collect();
        jain(&served)
    }

    fn utilisation(&self) -> f64 {
        let Some(series) = self.series.get("utilisation") else { return 0.0 };
        let while_they_came = usize::try_from(self.length.0 / self.bucket.0.max(1)).unwrap_or(usize::MAX);
        let series = &series[..series.len().min(while_they_came.max(1))];
        if series.is_empty() { 0.0 } else { series.iter().sum::<f64>() / to_f64(series.len() as u64) }
    }
}

/// Returns the value that `percent` of a hundred are within, of sorted values: the nearest rank.
pub fn percentile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Returns Jain's fairness index, (Σx)² / (n·Σx²): 1 where all have the same, 1/n where one has all (Jain, Chiu, Hawe:
/// *A Quantitative Measure of Fairness*, DEC-TR-301, 1984). `None` where there is nothing to share.
pub fn jain(shares: &[f64]) -> Option<f64> {
    let (sum, squares) = shares.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    (squares > 0.0).then(|| sum * sum / (to_f64(shares.len() as u64) * squares))
}

/// Returns a count for each of so many; 0 where there are none.
pub(crate) fn ratio(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { to_f64(count) / to_f64(of) }
}

/// Close enough for a figure that people look at.
#[allow(clippy::cast_precision_loss, reason = "a figure that people look at")]
pub(crate) const fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_there_are() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!([50, 95, 99, 100].map(|p| percentile(&values, p)), [Some(100), Some(190), Some(198), Some(200)]);
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[7, 9], 0), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn fairness_is_one_where_all_have_the_same_and_less_the_fewer_have_it() {
        assert_eq!(jain(&[0.5, 0.5, 0.5]), Some(1.0));
        assert_eq!(jain(&[1.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[0.0]), None);
        assert_eq!(jain(&[]), None);
    }
}
