# Sourced by the build.sh of each example: finds the tools, makes a scratch directory.

# Prints the unpacked directory of a crate from cargo's registry, e.g. `crate_files wasmtime-wasi-http 48.0.8`.
crate_files() {
  unpacked="$work/$1-$2"
  if [ ! -d "$unpacked" ]; then
    tar xzf "$(ls "${CARGO_HOME:-$HOME/.cargo}"/registry/cache/*/"$1-$2.crate" | head -1)" -C "$work"
  fi
  echo "$unpacked"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
adapters="$(crate_files wasi-preview1-component-adapter-provider 48.0.8)/artefacts"
builtins=$(clang --target=wasm32-wasi -print-libgcc-file-name)
[ -f "$builtins" ] || builtins=$(ls /usr/lib/llvm-*/lib/clang/*/lib/wasi/libclang_rt.builtins-wasm32.a | head -1)
