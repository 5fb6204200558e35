//! What is between two domains: what each has said to the other, and what follows from both.

use std::collections::BTreeMap;

use rear_proto::{
    Epoch, Extensions,
    operator::{Federator, Given, Grant, RequestNo, Statement, ZoneId, ZoneInfo},
};

/// How far something is that takes both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nobody wants it.
    Planned,
    /// It is wanted, and the other side has not said yes.
    Registering,
    /// Both say so.
    Registered,
    /// It is wanted no longer, and the other side has not heard of it, or something still runs on it.
    Deregistering,
    /// The other side has said no.
    Refused(String),
}

impl Phase {
    /// Returns the phase's name, as JSON has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Registering => "Registering",
            Self::Registered => "Registered",
            Self::Deregistering => "Deregistering",
            Self::Refused(_) => "Refused",
        }
    }
}

/// What a domain is for its partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may use what the partner shares.
    Consumer,
    /// It shares with the partner.
    Provider,
}

/// What became of a statement that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is the last word now.
    New,
    /// A later one was known.
    Old,
}

/// What is between this domain and one partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// What the partner is called here.
    pub(super) name: String,
    /// What this domain says.
    pub(super) ours: Statement,
    /// Which of its statements the partner has heard.
    pub(super) heard: Option<Epoch>,
    /// What the partner said last.
    pub(super) theirs: Option<Statement>,
}

impl Edge {
    /// Makes one of which nothing is said yet; `life` grows whenever another supernode speaks for the domain here.
    pub(super) fn new(name: String, life: u32, federator: Option<Federator>) -> Self {
        let ours = Statement {
            number: Epoch { starts: life, changes: 0 },
            federator,
            registers: None,
            wants: BTreeMap::new(),
            admits: None,
            shares: BTreeMap::new(),
            grants: BTreeMap::new(),
            is_gone: false,
            extensions: Extensions::new(),
        };
        Self { name, ours, heard: None, theirs: None }
    }

    /// Returns what the partner is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what is to be said to the partner, where it has not heard it.
    pub fn unheard(&self) -> Option<&Statement> {
        (self.heard != Some(self.ours.number)).then_some(&self.ours)
    }

    /// Returns how the partner describes itself.
    pub fn federator(&self) -> Option<&Federator> {
        self.theirs.as_ref()?.federator.as_ref()
    }

    /// Changes what this domain says.
    pub(super) fn say(&mut self, change: impl FnOnce(&mut Statement)) {
        let before = self.ours.clone();
        change(&mut self.ours);
        if self.ours != before {
            self.ours.number.changes += 1;
        }
    }

    /// The partner has heard a statement. One that was never made does not count: what comes would pass for heard.
    pub fn acknowledged(&mut self, number: Epoch) {
        self.heard = self.heard.max(Some(number).filter(|number| *number <= self.ours.number));
    }

    /// Takes in what the partner says; `decide` says what is to be granted of a zone that it wants anew, and `is_used`
    /// whether something of the partner's still runs in a zone.
    pub fn hear(
        &mut self,
        statement: Statement,
        decide: impl Fn(&ZoneId) -> Result<Grant, String>,
        is_used: impl Fn(&ZoneId) -> bool,
    ) -> Taken {
        if self.theirs.as_ref().is_some_and(|known| statement.number <= known.number) {
            return Taken::Old;
        }
        if self.theirs.as_ref().is_some_and(|known| known.number.starts < statement.number.starts) {
            // It has begun anew, and may know nothing of what it had heard.
            self.heard = None;
        }
        self.theirs = Some(statement);
        self.answer(decide, is_used);
        Taken::New
    }

    /// Looks what follows for this domain from what the partner wants: what is wanted is granted or refused once, and what
    /// is wanted no longer is withdrawn as soon as nothing runs on it.
    pub fn answer(&mut self, decide: impl Fn(&ZoneId) -> Result<Grant, String>, is_used: impl Fn(&ZoneId) -> bool) {
        let Some(theirs) = self.theirs.clone() else { return };
        self.say(|ours| {
            let wants = |zone: &ZoneId| theirs.registers.and(theirs.wants.get(zone)).filter(|_| !theirs.is_gone);
            // A wish for a zone that runs out: nothing new, and the grant goes with the last that runs.
            ours.grants.retain(|zone, given| match given {
                Given::Granted { .. } => wants(zone).is_some() || is_used(zone),
                Given::Refused { request, .. } => wants(zone) == Some(request),
            });
            let registers = theirs.registers.filter(|_| !theirs.is_gone && !ours.is_gone);
            let is_empty = ours.grants.values().all(|given| matches!(given, Given::Refused { .. }));
            ours.admits = match (registers, ours.admits) {
                (Some(request), _) => Some(request),
                // Its zones go first.
                (None, admitted) if !is_empty => admitted,
                (None, _) => None,
            };
            if ours.admits.is_none() {
                return;
            }
            for (zone, request) in &theirs.wants {
                if registers.is_none() {
                    break;
                }
                let given = match ours.grants.get(zone) {
                    // The same zone by another wish, which came after one that was withdrawn: the grant goes on.
                    Some(Given::Granted { grant, .. }) => Given::Granted { request: *request, grant: grant.clone() },
                    Some(Given::Refused { request: known, .. }) if known == request => continue,
                    Some(Given::Refused { .. }) | None if !ours.shares.contains_key(zone) => {
                        Given::Refused { request: *request, why: format!("zone {zone} is not shared with you") }
                    }
                    Some(Given::Refused { .. }) | None => match decide(zone) {
                        Ok(grant) => Given::Granted { request: *request, grant: Box::new(grant) },
                        Err(why) => Given::Refused { request: *request, why },
                    },
                };
                ours.grants.insert(zone.clone(), given);
            }
        });
    }

    /// Returns how far this domain's or the partner's use of the other is.
    pub fn federation(&self, role: Role) -> Phase {
        let theirs = self.theirs.as_ref();
        match role {
            Role::Consumer => {
                let admitted = theirs.filter(|it| !it.is_gone).and_then(|it| it.admits);
                phase(self.ours.registers, admitted)
            }
            Role::Provider => phase(theirs.filter(|it| !it.is_gone).and_then(|it| it.registers), self.ours.admits),
        }
    }

    /// Returns how far a zone's registration is: the partner's zone where this domain is the consumer, else this domain's.
    pub fn registration(&self, role: Role, zone: &ZoneId) -> Phase {
        let theirs = self.theirs.as_ref();
        let (wish, given) = match role {
            Role::Consumer => (self.ours.wants.get(zone), theirs.and_then(|it| it.grants.get(zone))),
            Role::Provider => (theirs.and_then(|it| it.wants.get(zone)), self.ours.grants.get(zone)),
        };
        match (wish, given) {
            (Some(wish), Some(Given::Refused { request, why })) if wish == request => Phase::Refused(why.clone()),
            (Some(wish), Some(Given::Granted { request, .. })) if wish == request => Phase::Registered,
            (Some(_), _) => Phase::Registering,
            (None, Some(Given::Granted { .. })) => Phase::Deregistering,
            (None, _) => Phase::Planned,
        }
    }

    /// Returns the zones that the partner shares with this domain.
    pub fn offered(&self) -> impl Iterator<Item = (&ZoneId, &ZoneInfo)> {
        self.theirs.iter().filter(|it| !it.is_gone).flat_map(|it| &it.shares)
    }

    /// Returns what the partner has granted of a zone of its.
    pub fn granted(&self, zone: &ZoneId) -> Option<&Grant> {
        match (self.ours.wants.get(zone)?, self.theirs.as_ref()?.grants.get(zone)?) {
            (wish, Given::Granted { request, grant }) if wish == request => Some(grant),
            _ => None,
        }
    }

    /// Says whether the partner sees a zone's flavours: it is shared with it, and registered by it.
    pub fn exposes(&self, zone: &ZoneId) -> bool {
        self.ours.shares.contains_key(zone) && self.registration(Role::Provider, zone) == Phase::Registered
    }
}

fn phase(wish: Option<RequestNo>, taken_up: Option<RequestNo>) -> Phase {
    match (wish, taken_up) {
        (Some(wish), Some(taken_up)) if wish == taken_up => Phase::Registered,
        (Some(_), _) => Phase::Registering,
        (None, Some(_)) => Phase::Deregistering,
        (None, None) => Phase::Planned,
    }
}
