# Sourced by the scripts beside it: the project's own virtual environment, made once and stamped.

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

# ensure_venv FILE: install what FILE pins, unless that has been done already. An interrupted
# installation leaves no stamp and is simply run again; two at once take turns.
ensure_venv() {
  local file="$root/$1" stamp="$venv/$1.stamp" wanted
  wanted="$(cat "$root"/requirements*.txt | sha256sum)"
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
  (
    flock 9
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && exit
    local python
    python="$(find_python)" || exit
    echo "edge-serve: installing into $venv, once" >&2
    [ -x "$venv/bin/python" ] || "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check \
      --requirement "$file" >&2 || exit
    # The checkout itself: its packages are imported from where they stand.
    echo "$root" >"$("$venv/bin/python" -c 'import site; print(site.getsitepackages()[0])')/edge-serve.pth"
    echo "$wanted" >"$stamp"
  ) 9>"$root/.venv.lock"
}
