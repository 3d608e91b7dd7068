# Sourced by the words in bin/: sets QUOTEJOB_TYPED, $root (the checkout) and $python (Python 3.11 or newer), or says what is missing.
# Modules come from the checkout, whatever folder the word was typed in: PYTHONPATH names it, -P leaves that folder out.

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
# Help and errors repeat the command as it was typed: the bare name where the folder is on PATH.
name=$(basename -- "$0")
QUOTEJOB_TYPED=$0
[ "$(command -v -- "$name" || true)" != "$0" ] || QUOTEJOB_TYPED=$name
export QUOTEJOB_TYPED
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
