#!/bin/sh
# Builds examples/batch.wasm from main.c: see ../README.md for the tools it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../toolchain.sh"

cd "$work"
clang --target=wasm32-wasi -Os -mexec-model=command -nostdlib -I/usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi \
  "$here/main.c" -lc "$builtins" /usr/lib/wasm32-wasi/crt1-command.o -Wl,--strip-all -o core.wasm
wasm-tools component new core.wasm --adapt "wasi_snapshot_preview1=$adapters/wasi_snapshot_preview1.command.wasm" \
  -o "$here/../batch.wasm"
