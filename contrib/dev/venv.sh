#!/bin/sh
# Makes the virtual environment and installs the project into it, unless that has been done with these very files.
# usage: venv.sh PYTHON DIRECTORY [EXTRA]
# What a target needs besides stays installed for the others: none of them would be the worse for it.
set -eu
python=$1 directory=$2 more=${3:-}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "venv: Innkeeper needs Python 3.11 or later; $python is $("$python" --version)" >&2
    exit 1
}
extras=postgres,dev
if pkg-config --exists libvirt 2>/dev/null; then
    extras=libvirt,postgres,dev
else
    echo "venv: without libvirt, whose headers are not installed (make packages); only simulated guests will run"
fi
if [ -n "$more" ] || grep -qs '^ansible' "$directory/installed"; then
    extras=${more:-ansible},$extras
fi
state="$extras $("$python" --version) $(cat pyproject.toml constraints.txt | cksum)"
[ "$(cat "$directory/installed" 2>/dev/null)" != "$state" ] || exit 0

echo "venv: installing into $directory, which takes about a minute the first time"
[ -x "$directory/bin/python" ] || "$python" -m venv "$directory"
"$directory/bin/pip" install -qq --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]"
echo "$state" >"$directory/installed"
