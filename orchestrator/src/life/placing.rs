//! Finding a place for each replica, and giving it back.

use kernel::{
    RequestId, Span, Time,
    planted::{self, Bug},
};
use rear_proto::{Deed, Mode, Refusal, local::Placement};

use super::{
    Leaving, Life,
    replica::{Marks, Place, Run, Stage, State},
};
use crate::{
    config::Config,
    mail::Effect,
    record::Going,
    selector::selector,
    turn::{Turn, trace},
};

impl Life {
    /// Asks for room for a replica: here first, or on the contract that its user named.
    pub(super) fn begin(&mut self, turn: &mut Turn<'_>, at: usize) {
        let replica = &mut self.replicas[at];
        let request = turn.open(self.id, at, replica.round);
        replica.marks = Marks::default();
        if at == 0 && replica.round == 0 {
            // Told once for the whole intent, as the beginning of its first replica's story.
            turn.did(request, Deed::IntentArrived);
            turn.did(request, Deed::IntentTranslated);
        }
        if let Some(contract) = self.contract {
            replica.state = State::Seeking { request, stage: Stage::Discovering };
            turn.requests.go_beyond(request);
            self.steps.go_beyond(at, replica.round);
            turn.say(Effect::Use { request, contract, trace: trace(request) });
        } else {
            replica.state = State::LookingUp { request };
            let selector = selector(&replica.workload, &self.intent.place);
            turn.say(Effect::LookUp { request, selector, origin: replica.origin, trace: trace(request) });
        }
        self.changed = true;
    }

    /// Asks again, as another attempt under another number; of the story, the attempt before it is still told.
    pub(super) fn begin_anew(&mut self, turn: &mut Turn<'_>, at: usize) {
        let replica = &mut self.replicas[at];
        self.steps.forget_before(at, replica.round);
        replica.round = replica.round.saturating_add(1);
        self.begin(turn, at);
    }

    /// Asks for room elsewhere.
    pub(super) fn seek(&mut self, turn: &mut Turn<'_>, at: usize, request: RequestId) {
        // One alone is agreed on at once; several are held until all are there.
        let mode = if self.established || self.replicas.len() == 1 { Mode::Direct } else { Mode::Hold };
        let replica = &mut self.replicas[at];
        replica.state = State::Seeking { request, stage: Stage::Discovering };
        turn.requests.go_beyond(request);
        self.steps.go_beyond(at, replica.round);
        turn.did(request, Deed::PassedToRear);
        turn.say(Effect::Acquire {
            request,
            selector: selector(&replica.workload, &self.intent.place),
            mode,
            term: self.intent.term,
            ceiling: self.intent.ceiling,
            origin: replica.origin,
            trace: trace(request),
        });
        self.changed = true;
    }

    /// A replica has a place; `fresh` where it was looked for, and not claimed again after a restart.
    pub(super) fn place(&mut self, turn: &mut Turn<'_>, at: usize, request: RequestId, place: Place, fresh: bool) {
        let replica = &mut self.replicas[at];
        replica.mark_placed(turn.now.since(self.arrived));
        replica.state = State::Placed { request, place, fresh };
        (self.keep, self.changed) = (true, true);
        self.advance(turn);
    }

    /// Takes the steps that wait for all replicas: purchases once all are held, deploys once all have a place.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) {
        if self.going != Going::Live {
            return;
        }
        if !self.established {
            let has_or_gets_room = |state: &State| {
                matches!(
                    state,
                    State::Held { .. } | State::Buying { .. } | State::Placed { .. } | State::Deployed { .. }
                )
            };
            if !self.replicas.iter().all(|replica| has_or_gets_room(&replica.state)) {
                return;
            }
            for replica in &mut self.replicas {
                if let State::Held { request } = replica.state {
                    replica.state = State::Buying { request, stage: Stage::Reserving };
                    turn.say(Effect::Purchase { request });
                    self.changed = true;
                }
            }
            if !self.replicas.iter().all(|replica| replica.on().is_some()) {
                return;
            }
            self.established = true;
            self.keep = true;
        }
        for replica in &mut self.replicas {
            if let State::Placed { request, place, fresh } = &replica.state {
                let (request, place) = (*request, place.clone());
                if *fresh {
                    turn.did(request, Deed::WorkloadDeployed);
                }
                turn.say(Effect::Deploy { request, on: place.on, workload: replica.workload.clone() });
                replica.state = State::Deployed { request, place, run: Run::starting() };
                self.changed = true;
            }
        }
    }

    /// What a replica rested on, or was to, is lost: gives back what is left of it, and looks again.
    pub(super) fn lost(&mut self, turn: &mut Turn<'_>, at: usize, why: String) {
        let replica = &mut self.replicas[at];
        if let State::Deployed { run, .. } = &replica.state
            && run.since.is_some_and(|since| turn.now.since(since) >= turn.config.steady_after)
        {
            replica.losses = 0;
        }
        replica.losses = replica.losses.saturating_add(1);
        let losses = replica.losses;
        let why = format!("workload '{}': {why}", replica.workload.name);
        // Whether it could still be stopped is of no interest any more, so nothing waits for it.
        self.stop(turn, at);
        self.give_up(turn, at);
        if !self.ran && losses > turn.config.losses_before_running {
            return self.fail(turn, why);
        }
        self.reason = Some(why);
        // What was made by hand and has ended is not made again by hand.
        self.contract = None;
        if planted::is(Bug::LeaveLost) {
            self.replicas[at].losses = 0;
        } else if losses == 1 {
            self.begin_anew(turn, at);
        } else {
            let delay = backoff(turn.config, losses - 1, self.replicas[at].origin.0[0]);
            self.wait(turn, at, delay);
        }
        (self.keep, self.changed) = (true, true);
    }

    /// There is no room for a replica: before the intent ran, that fails it; afterwards it is looked for again.
    pub(super) fn refused(&mut self, turn: &mut Turn<'_>, at: usize, refusal: &Refusal) {
        let replica = &mut self.replicas[at];
        let why = format!("workload '{}': {refusal}", replica.workload.name);
        if let Some(request) = replica.request() {
            // REAR has nothing left of it, so there is nothing to be given back.
            turn.requests.close(request);
            replica.state = State::Empty;
        }
        if !self.ran {
            return self.fail(turn, why);
        }
        replica.losses = replica.losses.saturating_add(1);
        let delay = backoff(turn.config, replica.losses, replica.origin.0[0]);
        let asked = refusal.retry_after.unwrap_or(Span::ZERO).min(turn.config.longest_retry);
        self.reason = Some(why);
        self.wait(turn, at, delay.max(asked));
        (self.keep, self.changed) = (true, true);
    }

    fn wait(&mut self, turn: &mut Turn<'_>, at: usize, delay: Span) {
        let until = turn.now + delay;
        self.replicas[at].state = State::Waiting { until };
        turn.timers.insert((until, self.id, at));
    }

    /// Looks again for a replica whose time has come.
    pub(crate) fn retry(&mut self, turn: &mut Turn<'_>, at: usize, due: Time) {
        if self.going == Going::Live
            && self.replicas.get(at).is_some_and(|r| matches!(r.state, State::Waiting { until } if until == due))
        {
            self.begin_anew(turn, at);
        }
    }

    /// Stops what runs of a replica and gives back all that it has.
    pub(super) fn let_go(&mut self, turn: &mut Turn<'_>, at: usize) {
        if let State::Waiting { until } = self.replicas[at].state {
            turn.timers.remove(&(until, self.id, at));
            self.replicas[at].state = State::Empty;
        }
        match self.stop(turn, at) {
            Some((request, on)) => self.leave(at, request, Some(on), true),
            None => self.give_up(turn, at),
        }
    }

    /// Stops what runs, or may run, of a replica.
    fn stop(&mut self, turn: &mut Turn<'_>, at: usize) -> Option<(RequestId, Placement)> {
        let replica = &self.replicas[at];
        let (State::Adopting { request, on } | State::Deployed { request, place: Place { on, .. }, .. }) =
            &replica.state
        else {
            return None;
        };
        turn.say(Effect::Undeploy { request: *request, on: *on, workload: replica.workload.name.clone() });
        Some((*request, *on))
    }

    /// Gives back all that a replica has, without waiting for it to stop.
    fn give_up(&mut self, turn: &mut Turn<'_>, at: usize) {
        let replica = &self.replicas[at];
        if let Some(request) = replica.request() {
            turn.say(Effect::Release { request });
            self.leave(at, request, replica.on(), false);
        }
    }

    fn leave(&mut self, at: usize, request: RequestId, on: Option<Placement>, stopping: bool) {
        let replica = &mut self.replicas[at];
        replica.state = State::Empty;
        self.leaving.push(Leaving { request, replica: at, origin: replica.origin, on, stopping });
        self.changed = true;
    }
}

/// Returns how long to wait after so many failures: doubled each time, and up to a quarter less, so that those who
/// lost the same node do not all come back at once.
fn backoff(config: &Config, failures: u32, spread: u8) -> Span {
    let doubled = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    let delay = config.first_retry.times(doubled).min(config.longest_retry);
    delay.minus(delay.divided(4).times(u64::from(spread)).divided(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let config = Config::default();
        let waits: Vec<_> = (1..=9).map(|failures| backoff(&config, failures, 0).0).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff(&config, u32::MAX, 0), config.longest_retry);
        assert_eq!(backoff(&config, 1, 255), Span::millis(188));
    }
}
