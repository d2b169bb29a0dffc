# Source me, from anywhere, with bash or zsh:  . scripts/env.sh
# Puts the clone's own cloister, brownie, anvil, forge, ruff, mypy… on PATH. Changes nothing on disk.
CLOISTER_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
export PATH="$CLOISTER_ROOT/.toolchain/bin:$CLOISTER_ROOT/.venv/bin:$PATH"
export SOLCX_BINARY_PATH="$CLOISTER_ROOT/.toolchain/solcx"
export FOUNDRY_CONFIG="$CLOISTER_ROOT/scripts/toolchain/foundry.toml"
