//! From a wish to a signed contract: look here, look into the index, ask outside, try one after the other.

use kernel::{
    AllocationId, Key, NodeId, RequestId, Resources, Span,
    planted::{self, Bug},
};
use rear_proto::{
    Code, Mode, Refusal, Selector, Trace,
    flavour::{Flavour, Partitionable},
    local::{Candidate, Pick, Wish},
    price::Rate,
    selector::Filter,
    story::Deed,
};

use crate::{
    allocation::{Role, Status},
    capacity::Taker,
    mail::Effect,
    manager::Manager,
    rank::{self, Ranked},
    request::{Choice, Request, Search, Stage},
};

/// How many removed nodes are remembered.
const REMOVED: usize = 1024;

impl Manager {
    // -- here -------------------------------------------------------------------------------------------

    /// Takes room on an own flavour, if there is any.
    pub(crate) fn look_up(
        &mut self,
        request: RequestId,
        selector: &Selector,
        origin: Key,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        if let Some(known) = self.requests.get(&request) {
            // A repeat; while it is given back, or looked for elsewhere, there is nothing here for it.
            let local = match known.stage {
                Stage::Local(allocation) if !known.releasing => Some(allocation),
                _ => None,
            };
            out.push(Effect::LookedUp { request, local });
            return;
        }
        let local = self.take_locally(selector, origin, trace, out);
        if let Some(allocation) = local {
            self.requests.insert(request, Request::new(Some(origin), trace, Stage::Local(allocation)));
            self.users.insert((allocation, request));
        }
        out.push(Effect::LookedUp { request, local });
    }

    /// Takes what is needed from the own flavour of which the least is left afterwards.
    fn take_locally(
        &mut self,
        selector: &Selector,
        origin: Key,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) -> Option<AllocationId> {
        let selector = without_price(selector);
        let need = selector.need();
        let mut fitting: Vec<_> = self
            .capacity
            .flavours()
            .map(undivided)
            // One's own capacity is no distance away.
            .filter(|flavour| selector.fit(flavour, Some(0)).is_some())
            .map(|flavour| (left_over(&flavour, &need), flavour.id))
            .collect();
        fitting.sort_unstable();
        self.count += 1;
        let parts: [&[u8]; 4] =
            [self.me.as_bytes(), &self.starts.to_le_bytes(), origin.as_bytes(), &self.count.to_le_bytes()];
        let id = AllocationId::derive("local", &parts);
        fitting
            .into_iter()
            .any(|(_, flavour)| self.capacity.take(id, flavour, need, Taker::Local { origin }, trace, out).is_ok())
            .then_some(id)
    }

    // -- elsewhere --------------------------------------------------------------------------------------

    #[allow(clippy::too_many_arguments, reason = "they are the fields of one input")]
    pub(crate) fn acquire(
        &mut self,
        id: RequestId,
        selector: Selector,
        mode: Mode,
        term: Span,
        ceiling: Option<Rate>,
        origin: Key,
        trace: Trace,
        out: &mut Vec<Effect>,
    ) {
        let ending = match self.requests.get_mut(&id) {
            None => Default::default(),
            // It tries anew, while what it had is still ending.
            Some(known) if known.stage == Stage::Over && !known.releasing => std::mem::take(&mut known.ending),
            Some(_) => return,
        };
        let ceiling = lower(ceiling, selector.ceiling());
        let mut request = Request::new(Some(origin), trace, Stage::Finding);
        request.ending = ending;
        request.tell(Deed::CandidatesLookedUp, out);
        out.push(self.find(id, Pick::Matching(selector.clone()), 0));
        request.search = Some(Search::new(selector, mode, term, ceiling));
        self.requests.insert(id, request);
    }

    /// Looks into the index, for so many more than usual as were tried already.
    pub(crate) fn find(&self, request: RequestId, pick: Pick, tried: usize) -> Effect {
        Effect::Find { request, pick, k: self.config.candidates + tried, max_age: self.config.max_age }
    }

    /// Ranks candidates for a request.
    pub(crate) fn ranked(&self, selector: &Selector, candidates: Vec<Candidate>) -> Vec<Ranked> {
        let is_own = |flavour: &Flavour| self.capacity.is_own(flavour);
        rank::rank(&self.me, is_own, selector, candidates, &self.ratings, &self.config.ranking)
    }

    pub(crate) fn found(&mut self, id: RequestId, candidates: Vec<Candidate>, out: &mut Vec<Effect>) {
        if self.by_hand.contains_key(&id) {
            return self.found_by_hand(id, candidates, out);
        }
        let finding = |request: &&Request| request.stage == Stage::Finding;
        let Some(search) = self.requests.get(&id).filter(finding).and_then(|request| request.search.as_ref()) else {
            return;
        };
        let choices: Vec<_> = self
            .ranked(&search.selector, candidates)
            .into_iter()
            .map(|Ranked { candidate, fit, .. }| {
                let direct = self.capacity.is_direct(&candidate.flavour);
                Choice::new(candidate, direct, fit.partition, fit.price)
            })
            .collect();
        let Some(search) = self.requests.get_mut(&id).and_then(|request| request.search.as_mut()) else { return };
        for choice in choices.into_iter().filter(|choice| !self.removed.contains(&choice.seller.node)) {
            let price = choice.price;
            match search.ceiling.map(|ceiling| (price.within(&ceiling), ceiling)) {
                None | Some((Some(true), _)) => search.line_up(choice),
                Some((within, ceiling)) if search.is_of_use(&choice) => {
                    let code = if within.is_some() { Code::PriceTooLow } else { Code::CurrencyMismatch };
                    let text = format!("flavour {}: {price} is not within {ceiling}", choice.flavour);
                    search.note_refusal(choice.seller.node, Refusal::new(code, text));
                }
                Some(_) => {}
            }
        }
        self.try_next(id, out);
    }

    pub(crate) fn discovered(&mut self, id: RequestId, silent: u32, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id).filter(|request| request.stage == Stage::Discovering) else {
            return;
        };
        let Some(search) = &mut request.search else { return };
        search.silent = silent;
        request.stage = Stage::Finding;
        let (pick, tried) = (Pick::Matching(search.selector.clone()), search.tried.len());
        out.push(self.find(id, pick, tried));
    }

    /// Tries the next candidate; where there is none, asks outside; where that was done often enough, gives up.
    pub(crate) fn try_next(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let Some(search) = &mut request.search else { return };
        if let Some(choice) = search.queue.pop_front() {
            search.tried.insert((choice.seller.node, choice.flavour));
            search.fresh = true;
            search.current = Some(choice.clone());
            let origin = request.origin.unwrap_or(Key([0; 16]));
            self.count += 1;
            let starts = if planted::is(Bug::RepeatKeys) { 0 } else { self.starts };
            let parts: [&[u8]; 4] =
                [self.me.as_bytes(), &starts.to_le_bytes(), origin.as_bytes(), &self.count.to_le_bytes()];
            let key = Key::derive("order", &parts);
            let purchase = Box::new(Wish {
                key,
                seller: choice.seller,
                flavour: choice.flavour,
                epoch: choice.epoch,
                partition: choice.partition,
                mode: search.mode,
                term: search.term,
                renew: true,
                activate_within: None,
                ceiling: ceiling(&choice.price, search.ceiling.as_ref(), self.config.tolerance_percent),
            });
            request.stage = Stage::Reserving(key);
            self.orders.insert(key, id);
            request.tell(Deed::CandidateFound, out);
            request.tell(Deed::ReservationStarted, out);
            out.push(Effect::Start { request: id, purchase, trace: request.trace });
        } else if search.rounds < self.config.rounds && (search.rounds == 0 || search.fresh) {
            search.rounds += 1;
            search.fresh = false;
            let (selector, ceiling, exclude) = (search.selector.clone(), search.ceiling, search.excluded());
            request.stage = Stage::Discovering;
            request.tell(Deed::SelectorBuilt, out);
            let (k, trace) = (self.config.candidates, request.trace);
            out.push(Effect::Discover { request: id, selector, ceiling, k, exclude, trace });
        } else {
            let refusal = search.refusal();
            self.fail(id, refusal, out);
        }
    }

    /// Gives a request up.
    pub(crate) fn fail(&mut self, id: RequestId, refusal: Refusal, out: &mut Vec<Effect>) {
        out.push(Effect::Failed { request: id, refusal });
        self.over(id, out);
    }

    pub(crate) fn held(&mut self, id: RequestId, key: Key, price: Rate, purchase_within: Span, out: &mut Vec<Effect>) {
        if self.by_hand.contains_key(&id) {
            return self.held_by_hand(id, key, price, purchase_within, out);
        }
        if let Some(request) = self.requests.get_mut(&id).filter(|request| request.stage == Stage::Reserving(key)) {
            request.stage = Stage::Held(key);
            out.push(Effect::Holding { request: id });
        }
    }

    pub(crate) fn purchase(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Stage::Held(key) = request.stage {
            request.stage = Stage::Purchasing(key);
            out.push(Effect::Purchase { request: id, key, trace: request.trace });
        }
    }

    pub(crate) fn refused(&mut self, id: RequestId, key: Key, refusal: Refusal, out: &mut Vec<Effect>) {
        if self.by_hand.contains_key(&id) {
            return self.refused_by_hand(id, key, refusal, out);
        }
        let stage = self.requests.get(&id).filter(|request| request.order() == Some(key)).map(|request| request.stage);
        let Some(stage) = stage else {
            // What was refused was being ended anyway.
            return self.key_over(key, out);
        };
        self.orders.remove(&key);
        if stage != Stage::Reserving(key) {
            // Whoever holds several things at once has to hear that one of them is not to be had.
            return self.fail(id, refusal, out);
        }
        self.next_after(id, refusal, out);
    }

    /// Notes why the candidate that was being tried is not to be had, and goes on to the next.
    pub(crate) fn next_after(&mut self, id: RequestId, refusal: Refusal, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        match &mut request.search {
            Some(search) => {
                search.came_to_nothing(self.me, refusal);
                self.try_next(id, out);
            }
            None => self.fail(id, refusal, out),
        }
    }

    /// A node is not to be dealt with: what was found of it is not tried. An order that is under way is Contract's to end.
    pub(crate) fn member_gone(&mut self, node: NodeId, removed: bool) {
        for search in self.requests.values_mut().filter_map(|request| request.search.as_mut()) {
            search.queue.retain(|choice| choice.seller.node != node);
        }
        for order in self.by_hand.values_mut() {
            order.ways.retain(|choice| choice.seller.node != node);
        }
        if removed && !self.removed.contains(&node) {
            // What was asked before may be answered after; that of the first of so many is long over.
            if self.removed.len() >= REMOVED {
                self.removed.pop_front();
            }
            self.removed.push_back(node);
        }
    }

    /// Takes note that a peer has not been heard of: what comes back to an order with it is not its own word.
    pub(crate) fn note_silence(&mut self, peer: NodeId) {
        let searches = self.requests.values_mut().filter_map(|request| request.search.as_mut());
        for choice in searches.filter_map(|search| search.current.as_mut()).filter(|it| it.seller.node == peer) {
            choice.silent = true;
        }
    }

    /// Leaves a request with nothing; it is forgotten when nothing of it is left to end.
    pub(crate) fn over(&mut self, id: RequestId, out: &mut Vec<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        if let Some(allocation) = request.allocation() {
            self.users.remove(&(allocation, id));
        }
        request.stage = Stage::Over;
        request.search = None;
        if request.ending.is_empty() {
            if request.releasing {
                out.push(Effect::Released { request: id });
            }
            self.requests.remove(&id);
        }
    }

    /// Returns whether an allocation is a living virtual node.
    pub(crate) fn is_virtual_node(&self, id: &AllocationId) -> bool {
        self.capacity
            .allocation(id)
            .is_some_and(|a| matches!(a.role, Role::VirtualNode { .. }) && a.status != Status::Released)
    }
}

/// Returns the ceiling that an order for what was seen at this price gets: a little over the price, and never
/// over what the buyer would pay.
pub(crate) fn ceiling(price: &Rate, most: Option<&Rate>, tolerance_percent: u64) -> Rate {
    let tolerant = Rate { amount: price.amount.with_tolerance(tolerance_percent), ..*price };
    match most {
        Some(most) if tolerant.within(most) != Some(true) => *most,
        Some(_) | None => tolerant,
    }
}

/// Returns the lower of two ceilings; in different currencies the first, which nothing in the other is within.
fn lower(a: Option<Rate>, b: Option<Rate>) -> Option<Rate> {
    match (a, b) {
        (Some(a), Some(b)) if b.within(&a) == Some(true) => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// One's own capacity costs nothing.
fn without_price(selector: &Selector) -> Selector {
    let filters = selector.filters.iter().filter(|filter| !matches!(filter, Filter::Price(_))).cloned().collect();
    Selector { filters }
}

/// One's own capacity may be taken in any amount.
fn undivided(mut flavour: Flavour) -> Flavour {
    flavour.policies.partitionable = Some(Partitionable::default());
    flavour
}

/// How much is left of a flavour when a need is taken from it, as something to compare: the tightest fit is the
/// least, so that large flavours stay whole for large needs.
fn left_over(flavour: &Flavour, need: &Resources) -> [u128; 3] {
    let left = flavour.available.checked_sub(need).unwrap_or_default();
    [left.gpu.nanos(), left.cpu.nanos(), left.memory.nanos()]
}
