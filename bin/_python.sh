# Sourced by bin/demo and bin/test: sets $bin (this folder) and $python (a Python 3.11 or newer), or says what is missing.

bin=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
python=
for name in python3 python python3.14 python3.13 python3.12 python3.11; do
    # Asked from /, where no .python-version changes the answer; the interpreter's own path is kept, not a shim's.
    python=$(cd / && "$name" -c 'import sys; sys.version_info < (3, 11) and sys.exit(1); print(sys.executable)' \
        2>/dev/null) && break || python=
done
if [ -z "$python" ]; then
    echo "$(basename "$0"): needs Python 3.11 or newer; found: $(python3 --version 2>&1 || true)." >&2
    echo "Install one (https://www.python.org/downloads/, or your system's python3 package) and run this again." >&2
    exit 1
fi
