//! What only the owner of a node may have stays with the owner.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path};

/// Returns the files and directories that others than the owner may read, enter or change.
fn open_to_others(path: &Path) -> Vec<String> {
    let mode = fs::metadata(path).unwrap().permissions().mode();
    let own = (mode & 0o077 != 0).then(|| format!("{} {:o}", path.display(), mode & 0o777));
    own.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_token_and_ledger_are_for_the_owner_alone() {
    let sandbox = support::sandbox();
    let mut node = sandbox.found("node", "test", "").await.unwrap();
    for name in ["", "node.key", "domain.key", "api.token"] {
        assert_eq!(open_to_others(&node.dir().join(name)), Vec::<String>::new());
    }
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_handed_to_no_proxy() {
    let sandbox = support::sandbox();
    let mut node = sandbox.found("node", "test", "").await.unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut command = node.program();
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, &url);
    }
    for name in ["no_proxy", "NO_PROXY"] {
        command.env_remove(name);
    }
    let status = command.args(["status"]).kill_on_drop(true).spawn().unwrap();
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), status.wait_with_output()).await;
    assert!(proxy.accept().is_err(), "the proxy was asked");
    assert!(done.expect("it hangs").unwrap().status.success());
    node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_token_does_not_serve() {
    let sandbox = support::sandbox();
    let mut node = sandbox.found("node", "test", "").await.unwrap();
    node.stop().await.unwrap();
    fs::write(node.dir().join("api.token"), "\n").unwrap();
    support::refused(&node.command(&["run"]).await.unwrap(), 1, &["api.token holds no token"]);
}
