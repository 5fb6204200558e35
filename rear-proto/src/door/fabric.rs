//! Questions and answers between two Virtual Fabric Managers, at the door.

use std::collections::BTreeSet;

use super::{
    MAX_ARGUMENT, MAX_ARGUMENTS, MAX_ARGUMENTS_TOTAL, MAX_DEADLINE, MAX_LINE, MAX_LINES, MAX_PORTS, MAX_TEXT, at_most,
    extensions, label, longest, malformed, name, steps, text, words,
};
use crate::{
    fabric::{FabricAnswer, FabricAsk, FabricReply, FabricRequest},
    refusal::Refusal,
    workload::{Image, Status, Workload},
};

impl FabricAsk {
    /// Checks every size and name in a question inside the channel.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        extensions(&self.extensions)?;
        match &self.request {
            FabricRequest::Deploy(workload) => workload.validate(),
            FabricRequest::Undeploy { workload } => label("workload's name", workload),
            FabricRequest::Status { workload, status } => {
                label("workload's name", workload)?;
                status.validate()
            }
            FabricRequest::Logs { workload, wait, .. } => {
                label("workload's name", workload)?;
                longest("time to wait", *wait, MAX_DEADLINE)
            }
            FabricRequest::ResourceRequest { .. } | FabricRequest::Close | FabricRequest::Returned => Ok(()),
        }
    }
}

impl FabricReply {
    /// Checks every size in an answer inside the channel.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        steps(&self.steps)?;
        extensions(&self.extensions)?;
        match &self.answer {
            FabricAnswer::ResourceOffer { runtimes, .. } => words("runtimes", runtimes),
            FabricAnswer::Deployed(status) => status.validate(),
            FabricAnswer::Logs { lines, .. } => {
                at_most("log lines", lines.len(), MAX_LINES)?;
                lines.iter().try_for_each(|line| text("log line", &line.text, MAX_LINE))
            }
            FabricAnswer::Refused(refusal) => refusal.validate(),
            FabricAnswer::Missing(_) | FabricAnswer::Done => Ok(()),
        }
    }
}

impl Workload {
    /// Checks names, sizes and numbers of what is to be run: ports are distinct, variables can be set.
    ///
    /// # Errors
    /// `TooLarge` or `Malformed`, with a sentence that says what.
    pub fn validate(&self) -> Result<(), Refusal> {
        label("workload's name", &self.name)?;
        match &self.image {
            Image::Wasm { .. } => {}
            Image::Oci(reference) => name("image's reference", reference)?,
        }
        self.validate_ports()?;
        at_most("arguments", self.args.len(), MAX_ARGUMENTS)?;
        at_most("variables", self.env.len(), MAX_ARGUMENTS)?;
        let mut total = 0;
        for text in self.args.iter().chain(self.env.keys()).chain(self.env.values()) {
            at_most("bytes of an argument or variable", text.len(), MAX_ARGUMENT)?;
            total += text.len();
            if text.contains('\0') {
                return Err(malformed("an argument or variable", "has a zero byte in it"));
            }
        }
        at_most("bytes of all arguments and variables", total, MAX_ARGUMENTS_TOTAL)?;
        if self.env.keys().any(|key| key.is_empty() || key.contains('=')) {
            return Err(malformed("a variable's name", "is empty or has '=' in it"));
        }
        words("hosts to reach", &self.reach)
    }

    fn validate_ports(&self) -> Result<(), Refusal> {
        at_most("ports", self.ports.len(), MAX_PORTS)?;
        let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for port in &self.ports {
            label("port's name", &port.name)?;
            if port.port == 0 {
                return Err(malformed("a port", "has number 0"));
            }
            if !names.insert(&port.name) || !numbers.insert(port.port) {
                return Err(malformed("a port", "is named or numbered as another"));
            }
        }
        Ok(())
    }
}

impl Status {
    fn validate(&self) -> Result<(), Refusal> {
        match self {
            Self::Failed { reason } | Self::BackingOff { reason, .. } => text("reason", reason, MAX_TEXT),
            Self::Starting | Self::Running | Self::Succeeded | Self::Stopped => Ok(()),
        }
    }
}
