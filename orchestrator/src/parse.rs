//! The YAML form of an intent, read into one clear value or one clear sentence.
//!
//! No file is opened here: a component's path is handed to whoever has the files, and what it was uploaded as
//! comes back in [`Parsed::resolve`]. What makes sense is said in `intent/check.rs`; here is only how it is written.

mod reader;
mod tree;

use std::{collections::BTreeMap, fmt, str::FromStr};

use kernel::{Digest, Quantity, Resources};
use rear_proto::{
    price::{Currency, Money, Period, Rate},
    workload::{Image, Port, Restart, Workload},
};

use self::{
    reader::{At, Map},
    tree::Node,
};
use crate::intent::{Component, DEFAULT_TERM, Intent, MAX_REPLICAS, Place};

/// The longest text that is read, in bytes.
pub const MAX_TEXT: usize = 64 << 10;
/// The most documents in one text: one for each workload of the largest intent.
pub const MAX_DOCUMENTS: usize = 64;
/// The version and the kind that are understood.
const API_VERSION: &str = "tombolo/v1";
const KIND: &str = "Intent";

/// A text that is no intent: one sentence that says what and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where in the document (`spec.workloads[0].resources.cpu`); empty where it is the whole of it.
    pub path: String,
    /// Where in the text: line and column, from 1.
    pub at: Option<(u64, u64)>,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.at, self.path.as_str()) {
            (Some((line, column)), "") => write!(f, "line {line}, column {column}: {}", self.why),
            (Some((line, column)), path) => write!(f, "{path} (line {line}, column {column}): {}", self.why),
            (None, "") => f.write_str(&self.why),
            (None, path) => write!(f, "{path}: {}", self.why),
        }
    }
}

impl std::error::Error for ParseError {}

impl ParseError {
    fn whole(why: impl Into<String>) -> Self {
        Self { path: String::new(), at: None, why: why.into() }
    }
}

/// An intent whose components are still files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The intent; what stands in `files` has an empty component in it.
    intent: Intent,
    /// Which workload is which file.
    files: BTreeMap<usize, String>,
}

/// A file that stands for a component that is not known yet; never leaves this module.
const UNRESOLVED: Image = Image::Wasm { digest: Digest([0; 32]), size: 1 };

impl Parsed {
    /// Returns the intent's name.
    pub fn name(&self) -> &str {
        &self.intent.name
    }

    /// Returns the paths of the components, as they are written, each once.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let mut paths: Vec<_> = self.files.values().map(String::as_str).collect();
        paths.sort_unstable();
        paths.dedup();
        paths.into_iter()
    }

    /// Puts in the place of each path what was uploaded from there: the digest and the size of its bytes.
    ///
    /// # Errors
    /// The first that `uploaded` gives.
    pub fn resolve<E>(self, mut uploaded: impl FnMut(&str) -> Result<(Digest, u64), E>) -> Result<Intent, E> {
        let Self { mut intent, files } = self;
        for (at, component) in intent.workloads.iter_mut().enumerate() {
            if let Some(path) = files.get(&at) {
                let (digest, size) = uploaded(path)?;
                component.workload.image = Image::Wasm { digest, size };
            }
        }
        Ok(intent)
    }
}

/// Parses a text with one intent in it.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut all = parse_many(text)?;
    match (all.pop(), all.len()) {
        (Some(parsed), 0) => Ok(parsed),
        (_, others) => {
            Err(ParseError::whole(format!("there are {} intents in the text, where one is expected", others + 1)))
        }
    }
}

/// Parses a text with one intent in each of its documents, of which there is at least one.
///
/// # Errors
/// What is wrong first, and where.
pub fn parse_many(text: &str) -> Result<Vec<Parsed>, ParseError> {
    if text.len() > MAX_TEXT {
        return Err(ParseError::whole(format!("the text has {} bytes, and at most {MAX_TEXT} are read", text.len())));
    }
    let documents = tree::read(text)?;
    if documents.is_empty() {
        return Err(ParseError::whole("the text is empty: an intent is expected"));
    }
    documents.iter().map(read_intent).collect()
}

fn read_intent(document: &Node) -> Result<Parsed, ParseError> {
    let root = At::root(document);
    check_kind(&root)?;
    let fields = root.map(&["apiVersion", "kind", "metadata", "spec"])?;
    let name = fields.need("metadata")?.map(&["name"])?.need("name")?.text()?.to_owned();
    let spec = fields.need("spec")?.map(&["workloads", "where", "price", "term"])?;
    let mut files = BTreeMap::new();
    let mut workloads = Vec::new();
    for (at, item) in spec.need("workloads")?.list()?.enumerate() {
        let (component, file) = read_component(&item)?;
        workloads.push(component);
        files.extend(file.map(|path| (at, path)));
    }
    let place = spec.optional("where").map_or_else(|| Ok(Place::default()), |at| read_place(&at))?;
    let ceiling = spec.optional("price").map(|at| read_price(&at)).transpose()?;
    let term = spec.parsed("term")?.unwrap_or(DEFAULT_TERM);
    let intent = Intent { name, workloads, place, ceiling, term };
    intent.check().map_err(|invalid| root.fail_at(&invalid.path, invalid.why))?;
    Ok(Parsed { intent, files })
}

/// Turns away what is another kind of document before its unknown keys are complained about.
fn check_kind(root: &At<'_>) -> Result<(), ParseError> {
    let fields = root.open()?;
    let (version, kind) = (fields.need("apiVersion")?, fields.need("kind")?);
    let (is_version, is_kind) = (version.text()?, kind.text()?);
    if is_version == API_VERSION && is_kind == KIND {
        return Ok(());
    }
    let only = format!("only {API_VERSION} {KIND} is understood here yet");
    if is_version.split('/').next() == API_VERSION.split('/').next() {
        if is_kind != KIND {
            return Err(kind.fail(format!("'{is_kind}' is no kind of {API_VERSION}: {only}")));
        }
        return Err(version.fail(format!("version '{is_version}' is not known: {only}")));
    }
    Err(kind.fail(format!("this is kind '{is_kind}' of {is_version}: {only}")))
}

fn read_component(item: &At<'_>) -> Result<(Component, Option<String>), ParseError> {
    const KEYS: [&str; 11] =
        ["name", "wasm", "image", "resources", "ports", "env", "args", "replicas", "restart", "wall", "reach"];
    let fields = item.map(&KEYS)?;
    let name = fields.need("name")?.text()?.to_owned();
    let (image, file) = match (fields.optional("wasm"), fields.optional("image")) {
        (Some(wasm), None) => (UNRESOLVED, Some(read_path(&wasm)?)),
        (None, Some(image)) => (Image::Oci(image.text()?.to_owned()), None),
        (Some(_), Some(image)) => return Err(image.fail("there is a 'wasm' already: a workload has one of the two")),
        (None, None) => return Err(item.fail("there is neither 'wasm' nor 'image': a workload has one of the two")),
    };
    let workload = Workload {
        name,
        image,
        resources: read_resources(&fields.need("resources")?)?,
        ports: fields.each("ports", read_port)?,
        args: fields.each("args", |at| at.text().map(str::to_owned))?,
        env: fields.optional("env").map_or_else(|| Ok(BTreeMap::new()), |at| read_env(&at))?,
        restart: fields.optional("restart").map_or(Ok(Restart::default()), |at| read_restart(&at))?,
        wall: fields.parsed("wall")?,
        reach: fields.each("reach", |at| at.text().map(str::to_owned))?,
    };
    let replicas = match fields.optional("replicas") {
        Some(at) => at.whole(1, u64::from(MAX_REPLICAS))?,
        None => 1,
    };
    Ok((Component { workload, replicas: u16::try_from(replicas).unwrap_or(MAX_REPLICAS) }, file))
}

fn read_path(at: &At<'_>) -> Result<String, ParseError> {
    let path = at.text()?;
    if path.trim().is_empty() || path.contains('\0') {
        return Err(at.fail("there is no path in it"));
    }
    Ok(path.to_owned())
}

fn read_resources(at: &At<'_>) -> Result<Resources, ParseError> {
    let fields = at.map(&["cpu", "memory", "storage", "gpu"])?;
    let amount = |key| Ok::<_, ParseError>(fields.parsed::<Quantity>(key)?.unwrap_or(Quantity::ZERO));
    // Both are needed, so that a missing one is named as missing.
    fields.need("cpu")?;
    fields.need("memory")?;
    let (cpu, memory) = (amount("cpu")?, amount("memory")?);
    Ok(Resources { cpu, memory, pods: Quantity::ZERO, storage: amount("storage")?, gpu: amount("gpu")? })
}

fn read_port(at: &At<'_>) -> Result<Port, ParseError> {
    let fields = at.map(&["name", "port"])?;
    let name = fields.need("name")?.text()?.to_owned();
    let port = fields.need("port")?.whole(1, u64::from(u16::MAX))?;
    Ok(Port { name, port: u16::try_from(port).unwrap_or(0) })
}

fn read_env(at: &At<'_>) -> Result<BTreeMap<String, String>, ParseError> {
    at.open()?.entries().map(|(name, at)| Ok((name.to_owned(), at.text()?.to_owned()))).collect()
}

fn read_restart(at: &At<'_>) -> Result<Restart, ParseError> {
    let text = at.text()?;
    let plain: String = text.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect();
    match plain.as_str() {
        "always" => Ok(Restart::Always),
        "onfailure" => Ok(Restart::OnFailure),
        "never" => Ok(Restart::Never),
        _ => Err(at.fail(format!("'{}' is none of always, on-failure and never", reader::shown(text)))),
    }
}

fn read_place(at: &At<'_>) -> Result<Place, ParseError> {
    let fields = at.map(&["location", "latencyMs", "domains", "notDomains", "architecture", "tags"])?;
    let word = |key| Ok::<_, ParseError>(fields.optional(key).map(|at| at.text()).transpose()?.map(str::to_owned));
    let words = |key| fields.each(key, |at| at.text().map(str::to_owned));
    let latency = fields.optional("latencyMs").map(|at| at.whole(1, u64::from(u32::MAX))).transpose()?;
    Ok(Place {
        location: word("location")?,
        latency_ms: latency.and_then(|ms| u32::try_from(ms).ok()),
        domains: words("domains")?,
        not_domains: words("notDomains")?,
        architecture: word("architecture")?,
        tags: words("tags")?,
    })
}

fn read_price(at: &At<'_>) -> Result<Rate, ParseError> {
    let fields = at.map(&["max", "currency", "period"])?;
    fields.need("max")?;
    let amount: Money = fields.parsed("max")?.unwrap_or_default();
    let currency: Currency = fields.parsed_or("currency", "EUR")?;
    Ok(Rate { amount, currency, period: fields.parsed_or::<Period>("period", "hour")? })
}

impl Map<'_> {
    /// Reads a scalar that has a text form of its own, where the key is there.
    fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Result<Option<T>, ParseError> {
        let Some(at) = self.optional(key) else { return Ok(None) };
        at.scalar()?.parse().map(Some).map_err(|error: T::Err| at.fail(error.to_string()))
    }

    /// Likewise, with what stands where the key is not there.
    fn parsed_or<T: FromStr<Err: fmt::Display>>(&self, key: &str, default: &str) -> Result<T, ParseError> {
        match self.parsed(key)? {
            Some(value) => Ok(value),
            None => default.parse().map_err(|error: T::Err| ParseError::whole(error.to_string())),
        }
    }

    /// Reads each item of a list, which is empty where the key is not there.
    fn each<T>(&self, key: &str, read: impl Fn(&At<'_>) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
        self.optional(key).map_or_else(|| Ok(Vec::new()), |at| at.list()?.map(|item| read(&item)).collect())
    }
}

#[cfg(test)]
mod tests;
