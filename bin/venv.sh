# Sourced by the scripts beside it: the project's own virtual environment, made once and stamped.
# Run as `bash bin/venv.sh FILE` it installs what FILE pins, unless that has been done already.

root="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)"
venv="$root/.venv"

# The first Python that is new enough and can make virtual environments; PYTHON overrides.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "edge-serve: no Python 3.11 or newer with the venv module was found;" \
    "install one (Debian: apt install python3-venv) or name it in PYTHON" >&2
  return 78
}

# Whatever the locale, the files are read in one order.
wanted() { (LC_ALL=C && cat "$root"/requirements*.txt) | sha256sum; }

is_installed() { [ "$(cat "$venv/$1.stamp" 2>/dev/null)" = "$(wanted)" ]; }

# ensure_venv FILE: install what FILE pins, unless that has been done already. An interrupted
# installation leaves no stamp and is simply run again; two at once take turns.
ensure_venv() {
  is_installed "$1" && return
  (
    flock 9
    is_installed "$1" && exit
    local python
    echo "edge-serve: installing $1 into $venv, once" >&2
    if [ ! -x "$venv/bin/python" ]; then
      python="$(find_python)" || exit
      "$python" -m venv --clear "$venv" || exit
    fi
    "$venv/bin/python" -m pip install --disable-pip-version-check \
      --requirement "$root/$1" >&2 || exit
    # The checkout itself: its packages are imported from where they stand.
    echo "$root" >"$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')/edge-serve.pth"
    wanted >"$venv/$1.stamp"
  ) 9>"$root/.venv.lock"
}

[ "${BASH_SOURCE[0]}" != "$0" ] || ensure_venv "$1"
