//! A story as it was told, held against its table.

use rear_proto::{Deed, StepManager};

use super::table::{Actor, number, table};
use crate::view::StepView;

/// Holds the steps of an intent with one replica and one attempt against the table of a story: the same steps by the
/// same managers of the same parties, in the same order; the two halves of a step that is joined by "∥" in either.
///
/// The consumer is who did step 1, the provider who drew up the contract; the supernode is who passed the order on, or
/// else the provider where it answered LIST_FLAVOURS with what its domain has advertised (15a), or else whoever first
/// did (15b). In stories 3 and 4 partner and provider must be told as letters alone.
///
/// Passed over are steps of Discovery that a question to several brings with it, and nothing else: those of own nodes
/// that were asked beside the provider (story 1) or the supernode (2 to 4); those of other partners and catalogues,
/// which have the same letters, so that 11 to 13 may come again; and those that belong to another story alone: what was
/// asked of partners or catalogues, though all was found at home (2) or at a partner (3).
///
/// # Errors
/// The first difference, in one sentence.
pub fn check_story(story: u8, steps: &[StepView]) -> Result<(), String> {
    if table(story).next().is_none() {
        return Err(format!("there is no table of a story {story}"));
    }
    let cast = Cast::of(story, steps)?;
    let mut told = steps.iter();
    for &(number, actor, deeds) in table(story).filter(|(_, actor, deeds)| cast.plays(story, *actor, deeds)) {
        let node = cast.node(actor);
        let mut left = deeds.to_vec();
        while !left.is_empty() {
            let expected = || {
                let names: Vec<_> = left.iter().map(|deed| format!("{:?}", deed.manager())).collect();
                format!("step {number} by {} of the {} {node} is expected", names.join(" or "), actor.name())
            };
            let step = loop {
                let Some(step) = told.next() else { return Err(format!("{}, and the story ends there", expected())) };
                let is_this = step.step == number && step.node == node;
                if is_this && left.contains(&step.deed) || !cast.passes_over(story, step) {
                    break step;
                }
            };
            let at = left.iter().position(|deed| *deed == step.deed && deed.manager() == step.manager);
            let (Some(at), true) = (at, step.step == number && step.node == node) else {
                return Err(format!("{}, and there is {}", expected(), what(step)));
            };
            if step.story != story {
                return Err(format!("{} is told as part of story {}, not {story}", what(step), step.story));
            }
            left.remove(at);
        }
    }
    let more = told.find(|step| !cast.passes_over(story, step));
    more.map_or(Ok(()), |step| Err(format!("after the last step there is {}", what(step))))
}

/// Who plays which part.
struct Cast<'a> {
    consumer: &'a str,
    provider: &'a str,
    supernode: &'a str,
    catalogue: &'a str,
    /// Whether a supernode of the domain passes the order on.
    relayed: bool,
}

impl<'a> Cast<'a> {
    fn of(story: u8, steps: &'a [StepView]) -> Result<Self, String> {
        let by = |is: &dyn Fn(&StepView) -> bool| steps.iter().find(|step| is(step)).map(|step| step.node.as_str());
        let consumer = by(&|step| step.step == 1).ok_or("step 1 is missing: no intent arrived")?;
        let provider = by(&|step| step.deed == Deed::ContractDrawn).unwrap_or("nobody");
        let catalogue = by(&|step| step.deed == Deed::PublishedLookedUp).unwrap_or("K");
        let ours = |step: &StepView| step.node != consumer && !matches!(step.node.as_str(), "SP" | "P" | "K");
        let advertised = |step: &StepView| step.deed == Deed::AdvertisedLookedUp && ours(step);
        let relay = by(&|step| step.deed == Deed::ReserveSent && ours(step));
        let supernode = relay
            .or_else(|| by(&|step| advertised(step) && step.node == provider))
            .or_else(|| by(&advertised))
            .unwrap_or("nobody");
        let cast = Self { consumer, provider, supernode, catalogue, relayed: relay.is_some() };
        for (one, other, what) in [
            (consumer, provider, "consumer and provider"),
            (consumer, supernode, "consumer and supernode"),
            (if cast.relayed { supernode } else { "" }, provider, "relay and provider"),
        ] {
            if story > 0 && one == other {
                return Err(format!("{one} is {what} at once"));
            }
        }
        if story > 2 && provider != "P" && provider != "nobody" {
            return Err(format!("the provider is told as {provider}, and is to be known by its letter alone"));
        }
        Ok(cast)
    }

    fn node(&self, actor: Actor) -> &'a str {
        match actor {
            Actor::C => self.consumer,
            Actor::P => self.provider,
            Actor::S => self.supernode,
            Actor::SP => "SP",
            Actor::K => self.catalogue,
        }
    }

    /// Says whether a line is to be told: in story 2 the supernode relays in one of the variants alone.
    fn plays(&self, story: u8, actor: Actor, deeds: &[Deed]) -> bool {
        let relays = actor == Actor::S && deeds.iter().all(|deed| deed.manager() != StepManager::DM);
        story != 2 || !relays || self.relayed
    }

    /// Says whether a step, where it is not the next, may be there all the same.
    fn passes_over(&self, story: u8, step: &StepView) -> bool {
        if step.manager != StepManager::DM || step.deed.manager() != StepManager::DM || step.node == self.consumer {
            return false;
        }
        let node = step.node.as_str();
        match story {
            0 => false,
            1 => node != self.provider,
            2 => node != self.supernode || belongs_elsewhere(2, step),
            _ => node != self.supernode || belongs_elsewhere(story, step),
        }
    }
}

/// Whether what the supernode did is a step of another story alone, and told so.
fn belongs_elsewhere(story: u8, step: &StepView) -> bool {
    let alone = |other| number(other, step.deed, Actor::S);
    alone(story).is_none() && step.story != story && alone(step.story) == Some(step.step)
}

fn what(step: &StepView) -> String {
    format!("step {} ({:?}) by {:?} of {}", step.step, step.deed, step.manager, step.node)
}
