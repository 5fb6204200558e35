//! What a scenario says must hold at the end of a run, beside the invariants.

use kernel::Span;

use crate::{
    outcome::{Measures, Tally, Violation},
    scenario::Hold,
};

/// Returns what of it does not hold.
pub(super) fn check(hold: &Hold, age: Span, intents: &Tally, measures: &Measures) -> Vec<Violation> {
    let violation =
        |what: &str, detail: String| Violation { what: what.to_owned(), at_ms: age.0, node: String::new(), detail };
    let mut violations = Vec::new();
    #[allow(clippy::cast_precision_loss, reason = "a share")]
    let (total, running) = (intents.total as f64, intents.running as f64);
    if running < hold.running * total {
        let percent = hold.running * 100.0;
        let detail = format!("{} of {} intents ran, which is under {percent} %", intents.running, intents.total);
        violations.push(violation("hold.running", detail));
    }
    let within = hold.within.zip(measures.to_running().p95);
    if let Some((within, p95)) = within.filter(|(within, p95)| p95 > within) {
        violations
            .push(violation("hold.within", format!("95 of 100 intents ran within {p95}, which is over {within}")));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_and_too_late_are_told_and_nothing_of_nothing_is_enough() {
        let whats = |running: u64, total: u64, times: &[u32]| {
            let hold = Hold { running: 0.8, within: Some(Span::millis(20)), stated_within: None };
            let measures = Measures { to_running: vec![times.to_vec()], ..Measures::default() };
            let violations = check(&hold, Span::secs(9), &Tally { total, running, ..Tally::default() }, &measures);
            violations.into_iter().map(|violation| violation.what).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(whats(0, 0, &[]), "");
        assert_eq!(whats(8, 10, &[20, 20]), "");
        assert_eq!(whats(7, 10, &[20]), "hold.running");
        assert_eq!(whats(10, 10, &[1, 21]), "hold.within");
        assert_eq!(whats(0, 1, &[21]), "hold.running hold.within");
    }
}
