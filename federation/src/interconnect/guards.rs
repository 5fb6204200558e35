//! The verbs, and what each of them is refused for.

use std::collections::BTreeSet;

use kernel::{ContractId, DomainKey};
use rear_proto::{
    Code,
    operator::{Federator, Given, RequestNo, ZoneId},
};

use super::{Edge, Hindrance, Interconnect, Obstacle, Phase, Role, Side, Zone};

/// What runs in zones, as the managers of contracts know it.
pub trait Uses {
    /// Returns the contracts that this domain has in a partner's zone, or the partner in this domain's.
    fn contracts(&self, partner: &DomainKey, by: Side, zone: &ZoneId) -> Vec<ContractId>;
}

impl Interconnect {
    // -- the domain itself ------------------------------------------------------------------------------

    /// Says how this domain describes itself; all partners are told.
    pub fn describe(&mut self, federator: Federator) {
        for edge in self.edges.values_mut() {
            edge.say(|ours| ours.federator = Some(federator.clone()));
        }
        self.federator = Some(federator);
    }

    /// Describes this domain no longer.
    ///
    /// # Errors
    /// While there are partners.
    pub fn undescribe(&mut self) -> Result<(), Hindrance> {
        if self.federator.is_none() {
            return Err(Hindrance::refused(Code::NotFound, "this domain does not describe itself"));
        }
        let obstacles = self.edges.values().map(|edge| Obstacle::Partner { partner: edge.name.clone() }).collect();
        in_the_way("this domain can't cease to describe itself".to_owned(), obstacles)?;
        self.federator = None;
        Ok(())
    }

    /// Makes a zone. To make the same again changes nothing.
    ///
    /// # Errors
    /// When there is another of its name.
    pub fn create_zone(&mut self, zone: Zone) -> Result<(), Hindrance> {
        match self.zones.get(&zone.info.id) {
            Some(known) if *known == zone => Ok(()),
            Some(_) => {
                let text = format!("there is a zone {} already, and it is not the same", zone.info.id);
                Err(Hindrance::refused(Code::Malformed, text))
            }
            None => {
                self.zones.insert(zone.info.id.clone(), zone);
                Ok(())
            }
        }
    }

    /// Ends a zone.
    ///
    /// # Errors
    /// When it is shared with anybody.
    pub fn delete_zone(&mut self, id: &ZoneId) -> Result<(), Hindrance> {
        self.known(id)?;
        let shared = self.edges.values().filter(|edge| edge.ours.shares.contains_key(id));
        let share = |edge: &Edge| Obstacle::Share { partner: edge.name.clone(), zone: id.clone() };
        let registered = self.edges.values().filter(|edge| edge.is_granted(id));
        let registered = registered.map(|edge| edge.registration_of(Side::Theirs, id));
        in_the_way(format!("zone {id} can't be deleted"), registered.chain(shared.map(share)).collect())?;
        self.zones.remove(id);
        Ok(())
    }

    fn known(&self, id: &ZoneId) -> Result<&Zone, Hindrance> {
        self.zones.get(id).ok_or_else(|| Hindrance::refused(Code::NotFound, format!("there is no zone {id}")))
    }

    // -- a partner --------------------------------------------------------------------------------------

    /// Plans to deal with a partner: nobody is told.
    ///
    /// # Errors
    /// When there is one of that key or name.
    pub fn plan(&mut self, partner: DomainKey, name: &str, life: u32) -> Result<(), Hindrance> {
        if let Some(edge) = self.edges.get(&partner) {
            let text = format!("that domain is a partner already, as '{}'", edge.name);
            return Err(Hindrance::refused(Code::Malformed, text));
        }
        if self.edges.values().any(|edge| edge.name == name) {
            return Err(Hindrance::refused(Code::Malformed, format!("there is a partner '{name}' already")));
        }
        // The partner may remember what was said before, and would take anything that is not later for old.
        let life = life.max(self.lives);
        self.edges.insert(partner, Edge::new(name.to_owned(), life, self.federator.clone()));
        Ok(())
    }

    /// Asks a partner to be let use what it shares.
    ///
    /// # Errors
    /// When this domain has done so.
    pub fn register(&mut self, partner: &DomainKey, request: RequestNo) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        if edge.ours.registers.is_some() {
            let text = format!("this domain is registered with {} already", edge.name);
            return Err(Hindrance::refused(Code::Malformed, text));
        }
        edge.say(|ours| ours.registers = Some(request));
        Ok(())
    }

    /// Uses what a partner shares no longer.
    ///
    /// # Errors
    /// When this domain does not, or while any of the partner's zones is registered.
    pub fn deregister(&mut self, partner: &DomainKey, uses: &dyn Uses) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        if edge.ours.registers.is_none() {
            let text = format!("this domain is not registered with {}", edge.name);
            return Err(Hindrance::refused(Code::NotFound, text));
        }
        let obstacles = edge.wanted().into_iter().flat_map(|zone| edge.uses_of(partner, Side::Ours, &zone, uses));
        in_the_way(format!("this domain can't deregister from {}", edge.name), obstacles.collect())?;
        edge.say(|ours| {
            ours.registers = None;
            // What is left was refused: it must not be granted when this domain registers again.
            ours.wants.clear();
        });
        Ok(())
    }

    /// Deals with a partner no longer.
    ///
    /// # Errors
    /// While either is registered with the other, or a zone is shared with it.
    pub fn delete(&mut self, partner: &DomainKey, uses: &dyn Uses) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        in_the_way(format!("partner {} can't be deleted", edge.name), edge.all(partner, uses))?;
        let life = edge.ours.number.starts;
        self.edges.remove(partner);
        self.lives = self.lives.max(life.saturating_add(1));
        Ok(())
    }

    /// Returns all that is in the way of leaving a partner, in the order in which it has to go.
    ///
    /// # Errors
    /// When there is no such partner.
    pub fn leave_plan(&self, partner: &DomainKey, uses: &dyn Uses) -> Result<Vec<Obstacle>, Hindrance> {
        let edge = self.edges.get(partner).ok_or_else(no_partner)?;
        let mut plan = edge.all(partner, uses);
        plan.push(Obstacle::Partner { partner: edge.name.clone() });
        Ok(plan)
    }

    /// Leaves a partner whatever is in the way, and says so when it is heard of again.
    ///
    /// # Errors
    /// When there is no such partner.
    pub fn force_local(&mut self, partner: &DomainKey) -> Result<(), Hindrance> {
        self.edge_mut(partner)?.say(|ours| {
            (ours.registers, ours.admits, ours.is_gone) = (None, None, true);
            ours.wants.clear();
            ours.shares.clear();
            ours.grants.clear();
        });
        Ok(())
    }

    // -- its zones, and ours ----------------------------------------------------------------------------

    /// Shares a zone with a partner. To share it again changes nothing.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn share(&mut self, zone: &ZoneId, partner: &DomainKey) -> Result<(), Hindrance> {
        let info = self.known(zone)?.info.clone();
        self.edge_mut(partner)?.say(|ours| {
            ours.shares.insert(zone.clone(), info);
        });
        Ok(())
    }

    /// Shares a zone with a partner no longer.
    ///
    /// # Errors
    /// When it is not shared, or while the partner has registered it.
    pub fn unshare(&mut self, zone: &ZoneId, partner: &DomainKey, uses: &dyn Uses) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        if !edge.ours.shares.contains_key(zone) {
            let text = format!("zone {zone} is not shared with {}", edge.name);
            return Err(Hindrance::refused(Code::NotFound, text));
        }
        if edge.is_granted(zone) {
            let obstacles = edge.uses_of(partner, Side::Theirs, zone, uses).collect();
            return in_the_way(format!("zone {zone} can't be unshared from {}", edge.name), obstacles);
        }
        edge.say(|ours| {
            ours.shares.remove(zone);
        });
        Ok(())
    }

    /// Asks a partner to be let use a zone of its.
    ///
    /// # Errors
    /// When this domain is not registered with it, or the partner shares no such zone, or it is asked for already.
    pub fn register_zone(&mut self, zone: &ZoneId, partner: &DomainKey, request: RequestNo) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        if edge.federation(Role::Consumer) != Phase::Registered {
            let text = format!("this domain may not use the zones of {}: register with it first", edge.name);
            return Err(Hindrance::refused(Code::NotShared, text));
        }
        if edge.offered().all(|(offered, _)| offered != zone) {
            let text = format!("there is no zone {zone} that {} shares with this domain", edge.name);
            return Err(Hindrance::refused(Code::NotFound, text));
        }
        if let Phase::Registering | Phase::Registered = edge.registration(Role::Consumer, zone) {
            let text = format!("zone {zone} of {} is registered already", edge.name);
            return Err(Hindrance::refused(Code::Malformed, text));
        }
        edge.say(|ours| {
            ours.wants.insert(zone.clone(), request);
        });
        Ok(())
    }

    /// Uses a zone of a partner's no longer.
    ///
    /// # Errors
    /// When it is not registered, or while something runs there.
    pub fn deregister_zone(&mut self, zone: &ZoneId, partner: &DomainKey, uses: &dyn Uses) -> Result<(), Hindrance> {
        let edge = self.edge_mut(partner)?;
        if !edge.ours.wants.contains_key(zone) {
            let text = format!("zone {zone} of {} is deregistered already", edge.name);
            return Err(Hindrance::refused(Code::NotFound, text));
        }
        let obstacles = edge.contracts(partner, Side::Ours, zone, uses).collect();
        in_the_way(format!("zone {zone} of {} can't be deregistered", edge.name), obstacles)?;
        edge.say(|ours| {
            ours.wants.remove(zone);
        });
        Ok(())
    }

    /// Returns what is between this domain and a partner, to hear and say something.
    ///
    /// # Errors
    /// When there is no such partner.
    pub fn edge_mut(&mut self, partner: &DomainKey) -> Result<&mut Edge, Hindrance> {
        self.edges.get_mut(partner).ok_or_else(no_partner)
    }
}

impl Edge {
    /// Says whether the partner may use a zone of this domain's.
    fn is_granted(&self, zone: &ZoneId) -> bool {
        matches!(self.ours.grants.get(zone), Some(Given::Granted { .. }))
    }

    /// Returns the partner's zones that this domain wants, or still has.
    fn wanted(&self) -> BTreeSet<ZoneId> {
        let granted = self.theirs.iter().filter(|it| !it.is_gone).flat_map(|it| &it.grants);
        let granted = granted.filter(|(_, given)| matches!(given, Given::Granted { .. })).map(|(zone, _)| zone);
        // Who was refused has nothing to give back.
        let wanted =
            self.ours.wants.keys().filter(|zone| !matches!(self.registration(Role::Consumer, zone), Phase::Refused(_)));
        wanted.chain(granted).cloned().collect()
    }

    fn registration_of(&self, by: Side, zone: &ZoneId) -> Obstacle {
        Obstacle::Registration { by, partner: self.name.clone(), zone: zone.clone() }
    }

    fn contracts(
        &self,
        partner: &DomainKey,
        by: Side,
        zone: &ZoneId,
        uses: &dyn Uses,
    ) -> impl Iterator<Item = Obstacle> + use<> {
        let (name, zone) = (self.name.clone(), zone.clone());
        uses.contracts(partner, by, &zone).into_iter().map(move |contract| Obstacle::Contract {
            by,
            partner: name.clone(),
            zone: zone.clone(),
            contract,
        })
    }

    fn uses_of(
        &self,
        partner: &DomainKey,
        by: Side,
        zone: &ZoneId,
        uses: &dyn Uses,
    ) -> impl Iterator<Item = Obstacle> + use<> {
        self.contracts(partner, by, zone, uses).chain([self.registration_of(by, zone)])
    }

    /// Returns all that there is between the two, in the order in which it has to go.
    fn all(&self, partner: &DomainKey, uses: &dyn Uses) -> Vec<Obstacle> {
        let mut all: BTreeSet<Obstacle> = BTreeSet::new();
        for zone in self.wanted() {
            all.extend(self.uses_of(partner, Side::Ours, &zone, uses));
        }
        for zone in self.ours.grants.keys().filter(|zone| self.is_granted(zone)) {
            all.extend(self.uses_of(partner, Side::Theirs, zone, uses));
        }
        let federation = |by| Obstacle::Federation { by, partner: self.name.clone() };
        if self.federation(Role::Consumer) != Phase::Planned {
            all.insert(federation(Side::Ours));
        }
        if self.federation(Role::Provider) != Phase::Planned {
            all.insert(federation(Side::Theirs));
        }
        let share = |zone: &ZoneId| Obstacle::Share { partner: self.name.clone(), zone: zone.clone() };
        all.extend(self.ours.shares.keys().map(share));
        all.into_iter().collect()
    }
}

fn no_partner() -> Hindrance {
    Hindrance::refused(Code::NotFound, "there is no such partner")
}

fn in_the_way(what: String, obstacles: Vec<Obstacle>) -> Result<(), Hindrance> {
    if obstacles.is_empty() { Ok(()) } else { Err(Hindrance::InTheWay { what, obstacles }) }
}
