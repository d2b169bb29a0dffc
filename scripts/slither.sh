#!/usr/bin/env bash
# slither.sh [slither options]: fails on any finding of medium impact or above.
#
# A finding that is understood is silenced where it is, with the reason on the line above:
#     // Reentrancy is harmless here: the balance is already zero.
#     // slither-disable-next-line reentrancy-eth
# This script refuses a silenced finding without such a line.
set -euo pipefail
cd "$(dirname "$0")/.."
toolchain=$PWD/.toolchain

[ -n "$(find contracts -name '*.sol' -print -quit 2>/dev/null)" ] || { echo "slither: no contracts"; exit 1; }
find contracts -name '*.sol' -print0 | xargs -0 awk '
  FNR == 1 { above = "" }
  /slither-disable-(next-line|start)/ {
    if (above !~ /^[ \t]*\/\/[^\/]/ || above ~ /slither-disable/) {
      printf "%s:%d: silenced without a reason on the line above\n", FILENAME, FNR; bad = 1
    }
  }
  { above = $0 }
  END { exit bad }'

# One detector is replaced. incorrect-equality warns of == on balances and times, which others can shift, but takes
# every field of a struct that also holds a time for one: enum states and bit masks set it off. This is the same rule
# without the noise.
shifting='((\.balance|block\.(timestamp|number)) *[!=]=|[!=]= *[a-z().]*(\.balance|block\.(timestamp|number)))'
if grep -rnE --include='*.sol' "$shifting" contracts; then
  echo "slither: never compare a balance or a time with == or != (above)"; exit 1
fi

# slither wants foundry.toml in the folder it analyses: give it a view of the project that has one
view=$toolchain/slither
mkdir -p "$view/.toolchain"
ln -sfn "$PWD/contracts" "$view/contracts"
for part in node_modules solcx; do ln -sfn "$toolchain/$part" "$view/.toolchain/$part"; done
cp scripts/toolchain/foundry.toml "$view/foundry.toml"
cd "$view"
export PATH=$toolchain/bin:$toolchain/../.venv/bin:$PATH FOUNDRY_CONFIG=$view/foundry.toml
HOME=$toolchain/home slither . --fail-medium --exclude incorrect-equality \
  --exclude-low --exclude-informational --exclude-optimization --exclude-dependencies \
  --filter-paths '(node_modules|contracts/mocks)' "$@"
