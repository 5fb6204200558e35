//! Lines of a replica's log: asked for by the operator, read where the replica runs. Who waits for a line holds
//! nobody else up: it is one number in a table.

use kernel::{ContractId, RequestId, Span, Ticket, Time};
use rear_proto::{
    Code, Refusal, Trace,
    fabric::{FabricAnswer, FabricRequest},
    local::Placement,
    workload::LogLine,
};

use crate::{
    mail::{Effect, Instance},
    manager::{About, Manager, Said, ask, plain, refuse, reply},
    timers::Due,
};

/// The most bytes of lines in one answer: half of what a frame may hold.
const MAX_LINES: usize = 512 << 10;
/// What a line takes up beside its text, at most.
const LINE: usize = 32;

/// Who waits for lines that the runtime reads.
#[derive(Debug)]
pub(crate) enum Reader {
    /// The operator.
    Own(Ticket),
    /// A customer, under a contract.
    Customer(Ticket, ContractId),
}

impl Manager {
    /// The operator wants lines.
    pub(crate) fn logs(
        &mut self,
        now: Time,
        ticket: Ticket,
        request: RequestId,
        from: u64,
        wait: Span,
        out: &mut Vec<Effect>,
    ) {
        let Some(replica) = self.replicas.get(&request) else {
            let refusal = Refusal::new(Code::NotFound, "the replica is not deployed");
            out.push(Effect::Respond { ticket, result: Err(refusal) });
            return;
        };
        let (workload, wait) = (replica.workload.name.clone(), wait.min(self.config.longest_wait));
        match replica.on {
            Placement::Local(allocation) => {
                let instance = Instance { allocation, workload };
                self.read(Reader::Own(ticket), instance, from, wait, out);
            }
            Placement::Remote(contract) => {
                let question = ask(FabricRequest::Logs { workload, from, wait });
                let deadline = wait.plus(self.config.answer_within);
                let id = self.send(contract, About::Logs(ticket), question, deadline, Trace::None, out);
                self.timers.set(Due::Logs(id), Self::lost_at(now, deadline));
            }
        }
    }

    fn read(&mut self, reader: Reader, instance: Instance, from: u64, wait: Span, out: &mut Vec<Effect>) {
        let inquiry = self.number();
        self.readers.insert(inquiry, reader);
        out.push(Effect::ReadLogs { inquiry, instance, from, wait });
    }

    /// A provider has answered the operator's question.
    pub(crate) fn logs_answered(&mut self, id: u64, ticket: Ticket, said: Said, out: &mut Vec<Effect>) {
        self.timers.clear(&Due::Logs(id));
        let result = match said {
            Said::Answer(FabricAnswer::Logs { lines, next }, _) => Ok((lines, next)),
            other => Err(other.into_refusal()),
        };
        out.push(Effect::Respond { ticket, result });
    }

    /// A customer wants lines.
    pub(crate) fn serve_logs(
        &mut self,
        ticket: Ticket,
        contract: ContractId,
        workload: String,
        from: u64,
        wait: Span,
        out: &mut Vec<Effect>,
    ) {
        let allocation = match self.open_lodging(contract) {
            Ok(allocation) => allocation,
            Err(refusal) => return out.push(reply(ticket, plain(FabricAnswer::Refused(refusal)))),
        };
        let instance = Instance { allocation, workload };
        if self.hosted(&instance).is_none() {
            out.push(refuse(ticket, Code::NotFound, "no such workload runs under this contract"));
            return;
        }
        let following = |reader: &&Reader| matches!(reader, Reader::Customer(_, of) if *of == contract);
        if self.readers.values().filter(following).count() >= self.config.followers_per_contract as usize {
            let text = "too many questions about logs wait under this contract";
            let refusal = Refusal::new(Code::Overloaded, text).retry_after(Span::secs(1));
            out.push(reply(ticket, plain(FabricAnswer::Refused(refusal))));
            return;
        }
        let wait = wait.min(self.config.longest_wait);
        self.read(Reader::Customer(ticket, contract), instance, from, wait, out);
    }

    /// The runtime has read.
    pub(crate) fn logs_read(&mut self, inquiry: u64, lines: Vec<LogLine>, next: u64, out: &mut Vec<Effect>) {
        match self.readers.remove(&inquiry) {
            Some(Reader::Own(ticket)) => out.push(Effect::Respond { ticket, result: Ok((lines, next)) }),
            Some(Reader::Customer(ticket, _)) => {
                let (lines, next) = cut(lines, next);
                out.push(reply(ticket, plain(FabricAnswer::Logs { lines, next })));
            }
            None => {}
        }
    }

    /// A contract is over: nobody reads for its customer any more.
    pub(crate) fn forget_followers(&mut self, contract: ContractId, out: &mut Vec<Effect>) {
        self.readers.retain(|_, reader| match reader {
            Reader::Customer(ticket, of) if *of == contract => {
                out.push(refuse(*ticket, Code::Closed, format!("contract {contract} is over")));
                false
            }
            Reader::Customer(..) | Reader::Own(_) => true,
        });
    }
}

/// Leaves as many lines as fit an answer, and says where to go on.
fn cut(mut lines: Vec<LogLine>, next: u64) -> (Vec<LogLine>, u64) {
    let mut room = MAX_LINES;
    let fitting = lines.iter().take_while(|line| {
        let takes = line.text.len() + LINE;
        let fits = takes <= room;
        room = room.saturating_sub(takes);
        fits
    });
    let count = fitting.count();
    if count == lines.len() {
        return (lines, next);
    }
    // One line alone is over the limit: what fits of it is sent.
    let count = if count == 0 {
        let first = &mut lines[0];
        let end = (0..=MAX_LINES - LINE).rev().find(|end| first.text.is_char_boundary(*end)).unwrap_or(0);
        first.text.truncate(end);
        1
    } else {
        count
    };
    let next = lines[count - 1].seq.saturating_add(1);
    lines.truncate(count);
    (lines, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lengths: &[usize]) -> Vec<LogLine> {
        let line =
            |(seq, length): (usize, &usize)| LogLine { seq: seq as u64, stderr: false, text: "ä".repeat(*length) };
        lengths.iter().enumerate().map(line).collect()
    }

    #[test]
    fn lines_are_cut_to_what_an_answer_holds_and_none_is_lost() {
        let check = |lengths: &[usize], count: usize, next: u64| {
            let (kept, then) = cut(lines(lengths), lengths.len() as u64);
            assert_eq!((kept.len(), then), (count, next), "{lengths:?}");
        };
        check(&[], 0, 0);
        check(&[1, 2, 3], 3, 3);
        check(&[200_000, 50_000, 50_000], 2, 2);
        check(&[300_000, 1], 1, 1);
    }
}
