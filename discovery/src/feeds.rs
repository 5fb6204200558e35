//! Feeds, the sending side: one for each receiver, which is told what there is and then what changes.
//!
//! ```text
//!  begin ─► ADVERTISE 0, 1 … (a snapshot, in parts) ─► told ──┬─ something changed ─► REFRESH, WITHDRAW ─┐
//!    ▲                                                   ▲     └─ time to say so ───► REFRESH of nothing ─┤
//!    │                                                   └──────────── Taken{the next number} ◄──────────┤
//!    └───────────────────── silence, a refusal, or another number: a feed of a new id ◄──────────────────┘
//! ```
//! One message at a time is under way to a receiver. What waits is remembered by name alone and looked up when it is
//! said: a thousand changes of one offer are one, and the memory is bounded by what there is to say. Nothing here
//! knows what is said, or to whom it may be.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{AskId, DomainKey, FlavourId, NodeId, Span, Time};
use rear_proto::{
    Extensions, Request, Selector,
    door::MAX_LIST,
    flavour::Party,
    local::Caller,
    message::{Advertise, Offered, Refresh, Withdraw, Withdrawn},
    wire::frame,
};

use crate::index::OfferKey;

/// The most bytes of offers in one message; the rest of the frame is for what comes later.
const MESSAGE_BYTES: usize = frame::MAX_REQUEST as usize * 3 / 4;
/// The most names in one WITHDRAW: about 50 bytes each.
const MESSAGE_NAMES: usize = 2048;
/// The most items that are looked at for one message, so that the mind is not kept busy by offers that the receiver
/// may not see: a look takes some microseconds.
const MESSAGE_LOOKS: usize = 2048;
/// The longest wait before a receiver that does not take what it is told is tried again.
const LONGEST_WAIT: Span = Span::secs(60);

/// What may be said in a feed: for which viewer, where it is published, and which offer of the index.
pub(crate) type Item = (Option<DomainKey>, OfferKey);

/// An item as the receiver may see it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) offered: Offered,
    /// The id that it goes by there.
    pub(crate) id: FlavourId,
    /// For how long it may be relied on.
    pub(crate) lives: Span,
    /// What it takes on the wire.
    pub(crate) bytes: usize,
}

/// An item as the receiver may see it, if it may, and how many looks of the usual kind it took to find that out.
pub(crate) type Looked = (Option<Shown>, usize);

/// What a receiver is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A supernode of the own domain: what this node offers.
    Supernode,
    /// A catalogue: what each partner may see, signed.
    Catalogue,
    /// One that has subscribed, to what it may see.
    Subscriber {
        /// As whom.
        caller: Caller,
        /// What it wants.
        selector: Selector,
        /// For how long.
        until: Time,
    },
}

/// How much, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Changes wait so long for others.
    pub(crate) every: Span,
    /// The most offers that one receiver is told of.
    pub(crate) most: usize,
    /// The largest offer, in bytes.
    pub(crate) offer_bytes: usize,
}

/// The feeds.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    /// Boxed, since a map makes room for eleven at once, and most nodes tell one or two.
    feeds: BTreeMap<NodeId, Box<Feed>>,
    due: BTreeSet<(Time, NodeId)>,
    asks: BTreeMap<AskId, NodeId>,
    starts: u32,
    opened: u32,
}

/// The word to one receiver.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) to: Party,
    pub(crate) kind: Kind,
    id: u64,
    next: u64,
    /// When to begin anew, where that is so.
    begin: Option<Time>,
    /// What of the snapshot is yet to be said.
    rest: Option<BTreeSet<Item>>,
    /// What may have changed since it was said.
    changed: BTreeSet<Item>,
    /// What is to be withdrawn.
    gone: BTreeSet<Withdrawn>,
    /// When to say so.
    change: Option<Time>,
    /// What was said: under which id, and for how long it may be relied on.
    said: BTreeMap<Item, (FlavourId, Span)>,
    /// When what was said is to be said to hold still.
    hold: Option<Time>,
    under_way: Option<AskId>,
    failures: u32,
    /// When it is due, as the order of all feeds has it.
    listed: Option<Time>,
}

impl Feeds {
    /// Begins a life: feeds of this one are unlike, and later than, those of all before.
    pub(crate) const fn begin(&mut self, starts: u32) {
        self.starts = starts;
    }

    /// Begins to tell a receiver, with a snapshot at that time; what it was told before is void.
    pub(crate) fn open(&mut self, at: Time, to: Party, kind: Kind) {
        let node = to.node;
        self.close(&node);
        self.put(Feed::new(at, to, kind));
    }

    /// Tells a receiver nothing more.
    pub(crate) fn close(&mut self, node: &NodeId) {
        drop(self.take(node));
    }

    /// Takes a feed out, to put it back changed.
    pub(crate) fn take(&mut self, node: &NodeId) -> Option<Feed> {
        let mut feed = *self.feeds.remove(node)?;
        if let Some(at) = feed.listed.take() {
            self.due.remove(&(at, *node));
        }
        if let Some(ask) = feed.under_way {
            self.asks.remove(&ask);
        }
        Some(feed)
    }

    /// Puts a feed back.
    pub(crate) fn put(&mut self, mut feed: Feed) {
        let node = feed.to.node;
        feed.listed = feed.due();
        self.due.extend(feed.listed.map(|at| (at, node)));
        self.asks.extend(feed.under_way.map(|ask| (ask, node)));
        self.feeds.insert(node, Box::new(feed));
    }

    /// Returns a number for a new feed.
    pub(crate) const fn number(&mut self) -> u64 {
        self.opened = self.opened.wrapping_add(1);
        (self.starts as u64) << 32 | self.opened as u64
    }

    /// Returns the receiver of a question of a feed.
    pub(crate) fn asked(&self, ask: &AskId) -> Option<NodeId> {
        self.asks.get(ask).copied()
    }

    /// Returns when the first is due, and which.
    pub(crate) fn due(&self) -> Option<(Time, NodeId)> {
        self.due.first().copied()
    }

    /// Returns the feed of a receiver.
    pub(crate) fn of(&self, node: &NodeId) -> Option<&Feed> {
        self.feeds.get(node).map(Box::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.values().map(Box::as_ref)
    }

    /// Takes note that items may have changed, in each feed for which `items` returns some.
    pub(crate) fn touch(&mut self, at: Time, items: impl Fn(&Feed) -> Vec<Item>) {
        let touched: Vec<(NodeId, Vec<Item>)> =
            self.feeds.iter().map(|(node, feed)| (*node, items(feed))).filter(|(_, items)| !items.is_empty()).collect();
        for (node, items) in touched {
            if let Some(mut feed) = self.take(&node) {
                feed.touch(at, items);
                self.put(feed);
            }
        }
    }
}

impl Feed {
    fn new(at: Time, to: Party, kind: Kind) -> Self {
        Self {
            to,
            kind,
            id: 0,
            next: 0,
            begin: Some(at),
            rest: None,
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            change: None,
            said: BTreeMap::new(),
            hold: None,
            under_way: None,
            failures: 0,
            listed: None,
        }
    }

    /// Returns when there is something to say; while a message is under way, nothing is.
    fn due(&self) -> Option<Time> {
        if self.under_way.is_some() {
            return None;
        }
        self.begin.or_else(|| [self.change, self.hold].into_iter().flatten().min())
    }

    fn touch(&mut self, at: Time, items: Vec<Item>) {
        // What a snapshot is yet to say it will say as it is then; before it has begun, that is everything.
        if self.begin.is_some() {
            return;
        }
        let rest = self.rest.as_ref();
        let items = items.into_iter().filter(|item| rest.is_none_or(|rest| !rest.contains(item)));
        self.changed.extend(items);
        if !self.changed.is_empty() {
            self.change.get_or_insert(at);
        }
    }

    /// Returns what is known to have been said.
    pub(crate) fn said(&self) -> impl Iterator<Item = &Item> {
        self.said.keys()
    }

    /// Says whether it has to begin with a snapshot of everything.
    pub(crate) const fn is_to_begin(&self) -> bool {
        self.begin.is_some()
    }

    /// Begins under a new id, with all that there may be to say.
    pub(crate) fn begin(&mut self, id: u64, all: BTreeSet<Item>) {
        self.id = id;
        self.next = 0;
        self.begin = None;
        self.rest = Some(all);
        self.changed.clear();
        self.gone.clear();
        self.change = None;
        self.said.clear();
        self.hold = None;
    }

    /// Takes note that a message is under way.
    pub(crate) const fn sent(&mut self, ask: AskId) {
        self.under_way = Some(ask);
    }

    /// Returns the next message, where there is something to say; `look` knows an item as the receiver may see it now.
    pub(crate) fn message(&mut self, now: Time, pace: &Pace, look: impl FnMut(&Item) -> Looked) -> Option<Request> {
        let request = if self.rest.is_some() {
            Some(Request::Advertise(self.advertise(pace, look)))
        } else {
            self.change(now, pace, look)
        };
        let holds = matches!(request, Some(Request::Advertise(_) | Request::Refresh(_)));
        if holds {
            let shortest = self.said.values().map(|(_, lives)| *lives).min();
            self.hold = shortest.map(|lives| now + lives.divided(3).max(pace.every));
        } else if self.said.is_empty() {
            self.hold = None;
        }
        // What did not fit need not wait for others.
        let more = self.rest.is_some() || !self.changed.is_empty() || !self.gone.is_empty();
        self.change = more.then_some(now);
        request
    }

    /// Lets what is left to say wait until then.
    pub(crate) fn delay(&mut self, until: Time) {
        self.change = self.change.map(|at| at.max(until));
    }

    /// Returns the next part of the snapshot.
    fn advertise(&mut self, pace: &Pace, look: impl FnMut(&Item) -> Looked) -> Advertise {
        let mut rest = self.rest.take().unwrap_or_default();
        let offers = self.gather(&mut rest, pace, look);
        let more = !rest.is_empty();
        self.rest = more.then_some(rest);
        // What was there and is not any more stays unsaid: the snapshot replaces all that was said.
        Advertise { feed: self.id, number: self.numbered(), offers, more, extensions: Extensions::new() }
    }

    fn change(&mut self, now: Time, pace: &Pace, look: impl FnMut(&Item) -> Looked) -> Option<Request> {
        let mut changed = std::mem::take(&mut self.changed);
        let offers = self.gather(&mut changed, pace, look);
        self.changed = changed;
        let (feed, extensions) = (self.id, Extensions::new());
        if offers.is_empty() && !self.gone.is_empty() {
            let mut offers = Vec::new();
            while offers.len() < MESSAGE_NAMES
                && let Some(name) = self.gone.pop_first()
            {
                offers.push(name);
            }
            return Some(Request::Withdraw(Withdraw { feed, number: self.numbered(), offers, extensions }));
        }
        // A change that the receiver can't see is none of its business.
        if offers.is_empty() && self.hold.is_none_or(|at| at > now) {
            return None;
        }
        Some(Request::Refresh(Refresh { feed, number: self.numbered(), offers, extensions }))
    }

    /// Takes as many items as fit from `names` and returns them as they may be seen; those that may no longer be seen
    /// are to be withdrawn.
    fn gather(
        &mut self,
        names: &mut BTreeSet<Item>,
        pace: &Pace,
        mut look: impl FnMut(&Item) -> Looked,
    ) -> Vec<Offered> {
        let mut offers = Vec::new();
        let (mut bytes, mut looks) = (0, 0);
        while looks < MESSAGE_LOOKS
            && offers.len() < MAX_LIST as usize
            && let Some(item) = names.pop_first()
        {
            let has_room = self.said.len() < pace.most || self.said.contains_key(&item);
            let (shown, work) = if has_room { look(&item) } else { (None, 0) };
            looks += work.max(1);
            let shown = shown.filter(|shown| shown.bytes <= pace.offer_bytes);
            let Some(shown) = shown else {
                self.retract(&item);
                continue;
            };
            bytes += shown.bytes;
            if bytes > MESSAGE_BYTES && !offers.is_empty() {
                names.insert(item);
                break;
            }
            // The same under another id is another.
            if self.said.get(&item).is_some_and(|(id, _)| *id != shown.id) {
                self.retract(&item);
            }
            self.gone.remove(&Withdrawn { viewer: item.0, flavour: shown.id });
            self.said.insert(item, (shown.id, shown.lives));
            offers.push(shown.offered);
        }
        offers
    }

    fn retract(&mut self, item: &Item) {
        if let Some((flavour, _)) = self.said.remove(item) {
            self.gone.insert(Withdrawn { viewer: item.0, flavour });
        }
    }

    const fn numbered(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Takes note of which number the receiver waits for; `None` where it said nothing, or would not.
    ///
    /// Returns whether the message was taken.
    pub(crate) fn answered(&mut self, now: Time, next: Option<u64>, pace: &Pace) -> bool {
        self.under_way = None;
        if next == Some(self.next) {
            if self.rest.is_none() {
                self.failures = 0;
            }
            return true;
        }
        // A gap is mended at once; but who finds one every time must not be told everything all the time.
        let wait = if next.is_some() && self.failures == 0 {
            Span::ZERO
        } else {
            pace.every.max(Span::millis(1)).times(1 << self.failures.min(16)).min(LONGEST_WAIT)
        };
        self.failures = self.failures.saturating_add(1);
        self.begin = Some(now + wait);
        self.rest = None;
        false
    }

    /// Returns how many times in a row it had to begin anew.
    pub(crate) const fn failures(&self) -> u32 {
        self.failures
    }
}
