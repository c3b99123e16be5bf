# Sourced by quickstart.sh and test.sh: makes .venv with what a group of requirements needs.
# Does nothing if that was done and the requirements have not changed since. With Python 3.11 the
# versions are those of constraints.txt, else the newest within the bounds.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# make_environment GROUP: an optional group of pyproject.toml such as "dev".
make_environment() {
    local group=$1 stamp=.venv/.installed-$1 python
    local constraints=/dev/null
    if [[ ! -x .venv/bin/python ]]; then
        python=$(find_python)
        echo "Making .venv with $("$python" --version)"
        "$python" -m venv .venv || {
            rm -rf .venv
            echo "error: $python cannot make a virtual environment: install its venv module" \
                "(Debian: apt-get install python3-venv)." >&2
            exit 1
        }
    fi
    if [[ -e $stamp &&
        -z $(find pyproject.toml requirements.txt constraints.txt -newer "$stamp") ]]; then
        return
    fi
    # The other groups have requirements that these versions need not meet.
    if [[ $group == quickstart || $group == dev ]] &&
        .venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        constraints=constraints.txt
    fi
    echo "Installing what '$group' needs (a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --constraint "$constraints" --editable ".[$group]"
    touch "$stamp"
}

find_python() {
    local python
    for python in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
        if [[ -n $python ]] && command -v "$python" > /dev/null &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$python"
            return
        fi
    done
    echo "error: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python." >&2
    exit 1
}
