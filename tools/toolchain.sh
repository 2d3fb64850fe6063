#!/usr/bin/env bash
# Helps where rust-toolchain.toml names a toolchain that is not installed under that name, while one of the same
# version is installed under another (such as `stable`): using that one saves a download that may not be possible.
#
#   toolchain.sh           prints the name to use, for RUSTUP_TOOLCHAIN; nothing where rustup needs no help
#   toolchain.sh --link    gives it the name that rustup looks for, so that plain `cargo` works, too
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Without rustup, cargo is whatever is installed.
command -v rustup >/dev/null || exit 0
wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
mapfile -t installed < <(rustup toolchain list | cut -d' ' -f1)
for name in "${installed[@]}"; do
  if [[ $name == "$wanted" || $name == "$wanted"-* ]]; then exit 0; fi
done
for name in "${installed[@]}"; do
  [[ $(rustup run "$name" rustc --version 2>/dev/null) == "rustc $wanted "* ]] || continue
  if [[ ${1:-} == --link ]]; then
    root=$(rustup run "$name" rustc --print sysroot)
    host=$(rustup run "$name" rustc -vV | sed -n 's/^host: //p')
    ln -s "$root" "$(rustup show home)/toolchains/$wanted-$host"
    echo "toolchain: $wanted is the installed $name"
  else
    echo "$name"
  fi
  exit 0
done
