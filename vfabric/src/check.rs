//! What a stranger's workload may look like before it costs anything.

use kernel::{Resource, Resources};
use rear_proto::{
    Code, Refusal,
    workload::{Image, Workload},
};

/// The longest name: that of a DNS label, which a cluster requires.
pub(crate) const MAX_NAME: usize = 63;
/// The most ports: more than any server of the examples has by far.
const MAX_PORTS: usize = 16;
/// The most arguments.
const MAX_ARGS: usize = 128;
/// The most variables.
const MAX_ENV: usize = 256;
/// The most hosts to be reached outside.
const MAX_REACH: usize = 32;
/// The most bytes of text in all of them together: half of what Linux takes for one program's, with room to spare.
const MAX_TEXT: usize = 64 << 10;

/// Checks that a workload is well formed and of a sensible size.
///
/// # Errors
/// A sentence that says what is wrong with which part.
pub(crate) fn well_formed(workload: &Workload) -> Result<(), Refusal> {
    let Workload { name, image, resources: _, ports, args, env, restart: _, wall: _, reach } = workload;
    let malformed = |text: String| Err(Refusal::new(Code::Malformed, text));
    if !is_label(name) {
        let name: String = name.chars().take(MAX_NAME).collect();
        return malformed(format!(
            "'{name}' is no name for a workload: lower-case letters, digits and '-', at most 63"
        ));
    }
    for (what, count, most) in [
        ("ports", ports.len(), MAX_PORTS),
        ("arguments", args.len(), MAX_ARGS),
        ("variables", env.len(), MAX_ENV),
        ("hosts to reach", reach.len(), MAX_REACH),
    ] {
        if count > most {
            let text = format!("workload '{name}' has {count} {what}, over the limit of {most}");
            return Err(Refusal::new(Code::TooLarge, text));
        }
    }
    let reference = match image {
        Image::Wasm { .. } => "",
        Image::Oci(reference) => reference,
    };
    let texts = || {
        let variables = env.iter().flat_map(|(name, value)| [name, value]);
        args.iter().chain(variables).chain(reach).map(String::as_str).chain([reference])
    };
    if texts().map(str::len).sum::<usize>() > MAX_TEXT {
        let text = format!("arguments and variables of workload '{name}' are over the limit of {MAX_TEXT} bytes");
        return Err(Refusal::new(Code::TooLarge, text));
    }
    if texts().any(|text| text.contains('\0')) || env.keys().any(|key| key.is_empty() || key.contains('=')) {
        return malformed(format!("workload '{name}' has an argument or a variable that no program can be given"));
    }
    for (at, port) in ports.iter().enumerate() {
        let again = ports[..at].iter().any(|other| other.name == port.name);
        if again || port.port == 0 || !is_label(&port.name) {
            return malformed(format!("port {} of workload '{name}' has no good name and number of its own", at + 1));
        }
    }
    Ok(())
}

fn is_label(name: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| inside(byte) || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Checks that a workload fits into a partition beside those that are there; `most` is how many there may be where
/// the partition names no number of pods.
///
/// # Errors
/// `TooLarge`, naming the resource.
pub(crate) fn fits<'a>(
    workload: &Workload,
    others: impl Iterator<Item = &'a Workload>,
    partition: &Resources,
    most: u32,
) -> Result<(), Refusal> {
    let refused =
        |why: String| Refusal::new(Code::TooLarge, format!("workload '{}' does not fit: {why}", workload.name));
    let pods = partition.pods.to_units();
    let most = if pods == 0 { u64::from(most) } else { pods };
    let (mut left, mut count) = (*partition, 0);
    for other in others {
        count += 1;
        // What is there did fit, so this is no shortage; if ever it were, nothing would be left.
        left = left.checked_sub(&takes(other, partition)).unwrap_or_default();
    }
    if count >= most {
        return Err(refused(format!("pods: {most} are there, and no more may be")));
    }
    left.holds(&takes(workload, partition)).map_err(|shortage| refused(shortage.to_string()))
}

/// What a workload can take of a partition: of cores and memory that it does not name, all there is, since nothing
/// holds it to less.
fn takes(workload: &Workload, partition: &Resources) -> Resources {
    let mut takes = workload.resources;
    for resource in [Resource::Cpu, Resource::Memory] {
        if takes.of(resource).is_zero() {
            *takes.of_mut(resource) = partition.of(resource);
        }
    }
    takes
}
