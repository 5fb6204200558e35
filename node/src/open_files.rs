//! How many files the daemon may have open: connections, components, the ledger's next file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the number of open files to the most that the system allows this process, and returns it.
///
/// The usual soft limit of 1024 is kept for programs that use `select`. A node that stayed under it could be kept from
/// its own disk by strangers that only connect to it.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, ?current, "can not raise the number of open files");
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_may_open_as_many_files_as_the_system_allows() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(512), maximum });
        assert_eq!(raise(), maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
