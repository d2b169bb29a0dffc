#!/bin/sh
# freeze.sh PYTHON: the exact versions in that Python's environment, for constraints.txt.
cat <<'EOF'
# The exact version of every Python package, for `pip install --constraint`. Written by `make constraints`.
# torch's own GPU libraries are not listed: torch pins each of them, and not every platform has them.
EOF
# a local version label (torch's +cpu) names a build, which differs from machine to machine
"$1" -m pip freeze --all --exclude cloister --exclude-editable |
  grep -E '^[A-Za-z0-9._-]+==' | grep -viE '^(nvidia-|cuda-|triton)' | sed 's/+[a-z0-9.]*$//' | LC_ALL=C sort -f
