//! Tells what a module is from its bytes, without compiling it.

use wasmparser::{Encoding, Parser, Payload};

/// What a component can be run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers HTTP requests until it is stopped: exports `wasi:http/incoming-handler`.
    Service,
    /// Runs to its end: exports `wasi:cli/run`.
    Command,
}

/// Why bytes cannot be run; each variant reads as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAComponent {
    /// The bytes do not begin as a WebAssembly file does.
    #[error("this is not a WebAssembly file")]
    NotWebAssembly,
    /// The file is damaged or uses what this reader does not know.
    #[error("this WebAssembly file cannot be read: {0}")]
    Damaged(String),
    /// The file is a core module.
    #[error("this is a core WebAssembly module, not a component (`wasm-tools component new` makes one of it)")]
    CoreModule,
    /// The component has no entry point that this driver knows.
    #[error("this component exports neither wasi:http/incoming-handler nor wasi:cli/run of WASI 0.2")]
    NoEntryPoint,
}

/// The interfaces that make a component runnable, and as what; the earlier one decides where a component has both.
const ENTRY_POINTS: [(&str, Kind); 2] =
    [("wasi:http/incoming-handler@0.2.", Kind::Service), ("wasi:cli/run@0.2.", Kind::Command)];

/// Reads the outermost exports of a component. Takes a time linear in the number of its sections.
pub fn inspect(bytes: &[u8]) -> Result<Kind, NotAComponent> {
    if !bytes.starts_with(b"\0asm") {
        return Err(NotAComponent::NotWebAssembly);
    }
    let mut depth = 0_usize;
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(NotAComponent::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let name = export.map_err(damaged)?.name.name;
                    found.extend(ENTRY_POINTS.iter().position(|(interface, _)| name.starts_with(interface)));
                }
            }
            _ => {}
        }
    }
    found.into_iter().min().map(|first| ENTRY_POINTS[first].1).ok_or(NotAComponent::NoEntryPoint)
}

fn damaged(error: wasmparser::BinaryReaderError) -> NotAComponent {
    NotAComponent::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(bytes: &[u8], expected: Result<Kind, &str>) {
        assert_eq!(inspect(bytes).map_err(|error| error.to_string()), expected.map_err(String::from));
    }

    #[test]
    fn what_cannot_run_is_told_in_one_sentence() {
        let core = "this is a core WebAssembly module, not a component (`wasm-tools component new` makes one of it)";
        let none = "this component exports neither wasi:http/incoming-handler nor wasi:cli/run of WASI 0.2";
        check(b"", Err("this is not a WebAssembly file"));
        check(b"#!/bin/sh\n", Err("this is not a WebAssembly file"));
        check(&wat::parse_str("(module)").unwrap(), Err(core));
        check(&wat::parse_str("(component)").unwrap(), Err(none));
        check(&wat::parse_str("(component (core module))").unwrap(), Err(none));
        let nested = r#"(component (component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i))))"#;
        check(&wat::parse_str(nested).unwrap(), Err(none));
        let next = r#"(component (instance $i) (export "wasi:cli/run@0.3.0" (instance $i)))"#;
        check(&wat::parse_str(next).unwrap(), Err(none));
    }

    #[test]
    fn a_truncated_component_is_damaged_and_not_a_panic() {
        let whole = include_bytes!("../../examples/hello.wasm");
        for length in (4..whole.len()).step_by(997) {
            assert!(matches!(inspect(&whole[..length]), Err(NotAComponent::Damaged(_))), "{length}");
        }
    }

    #[test]
    fn the_examples_are_a_service_and_a_command() {
        check(include_bytes!("../../examples/hello.wasm"), Ok(Kind::Service));
        check(include_bytes!("../../examples/batch.wasm"), Ok(Kind::Command));
    }

    #[test]
    fn a_component_with_both_entry_points_is_a_service() {
        let both = r#"(component (instance $i)
            (export "wasi:cli/run@0.2.0" (instance $i)) (export "wasi:http/incoming-handler@0.2.3" (instance $i)))"#;
        check(&wat::parse_str(both).unwrap(), Ok(Kind::Service));
    }
}
