#!/bin/sh
# Builds examples/hello.wasm from main.c: see ../README.md for the tools it needs.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../toolchain.sh"

cp -r "$here/wit" "$work/wit"
cp -r "$(crate_files wasmtime-wasi-http 48.0.8)/wit/deps" "$work/wit/deps"
cd "$work"
wit-bindgen c wit --world hello
clang --target=wasm32-wasi -Os -mexec-model=reactor -nostdlib -I/usr/include/wasm32-wasi -L/usr/lib/wasm32-wasi -I. \
  "$here/main.c" hello.c hello_component_type.o -lc "$builtins" /usr/lib/wasm32-wasi/crt1-reactor.o \
  -Wl,--no-entry -Wl,--export=_initialize -Wl,--strip-all -o core.wasm
wasm-tools component new core.wasm --adapt "wasi_snapshot_preview1=$adapters/wasi_snapshot_preview1.proxy.wasm" \
  -o "$here/../hello.wasm"
