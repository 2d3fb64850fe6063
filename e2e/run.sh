#!/usr/bin/env bash
# The browser tests, with what they need. As root on Debian it installs what is missing, otherwise it says what to install.
#
#   run.sh [FILE…]          tests in e2e/ (all of them), on shops of their own; the servers' URLs are in the environment
#   run.sh --screenshots    pictures of every page, into docs/images/ and target/screenshots/
#   run.sh --install        what they need, and nothing else
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
for pair in node=nodejs npm=npm sqlite3=sqlite3 psql=postgresql-client ssconvert=gnumeric "${CHROMIUM:-chromium}=chromium"; do
  command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
# Without its glyphs Chinese is boxes.
[[ -n $(fc-list :lang=zh-cn 2>/dev/null | head -n 1) ]] || missing+=(fontconfig fonts-noto-cjk)
if ((${#missing[@]} > 0)); then
  [[ $EUID -eq 0 ]] || { echo "e2e: missing: sudo apt-get install --no-install-recommends ${missing[*]}" >&2; exit 1; }
  echo "e2e: installing ${missing[*]}" >&2
  log=$(mktemp)
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 "${missing[@]}"; } >"$log" 2>&1 </dev/null ||
    { tail -n 20 "$log" >&2; echo "e2e: could not install ${missing[*]}" >&2; exit 1; }
  rm -f "$log"
fi
if ! cmp -s package-lock.json node_modules/.installed-from; then
  npm ci --silent --no-audit --no-fund --ignore-scripts
  cp package-lock.json node_modules/.installed-from
fi

case ${1:-} in
  --install) ;;
  --screenshots) exec node screenshots.mjs ;;
  *) exec node run.mjs "$@" ;;
esac
