#!/bin/sh
# check_tools.sh PYTHON: one clear line for each missing tool, and exit 1 if there is any.
python=$1
missing=0
want() { echo "missing: $1" >&2; missing=1; }

version_ok='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
if ! "$python" -c "$version_ok" 2>/dev/null; then
  want "Python 3.11, 3.12 or 3.13 ('$python' is $("$python" --version 2>/dev/null || echo 'not found')): install it, or point to one: make PYTHON=/path/to/python3.12"
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  want "Python's venv module: install it (Debian, Ubuntu: apt install python3-venv)"
fi
node_major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
[ "$node_major" -ge 20 ] || want "Node.js 20 or newer ($(node --version 2>/dev/null || echo 'none found')): install it"
command -v npm >/dev/null || want "npm: install it, it comes with Node.js"
command -v cc >/dev/null || want "a C compiler: install gcc or clang (Debian, Ubuntu: apt install build-essential; macOS: xcode-select --install)"
command -v git >/dev/null || want "git: install it"
command -v make >/dev/null || want "make: install it"
exit $missing
