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

# pip_install FILE: what pip says is kept back, but for one line that shows how far it is. It is shown
# whole where pip fails, and line by line where a program wants to follow it (PIP_PROGRESS_BAR=raw).
# Python compiles what is imported when it is: all of it would be 60 MB that mostly nobody needs.
pip_install() {
  local pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-compile)
  pip+=(--requirement "$root/$1")
  if [ "${PIP_PROGRESS_BAR:-}" = raw ]; then
    "${pip[@]}" >&2
    return
  fi
  local log="$venv/$1.log" status=0
  PYTHONUNBUFFERED=1 "${pip[@]}" 2>&1 | tee "$log" | show_progress "$1"
  status="${PIPESTATUS[0]}"
  [ "$status" = 0 ] || cat "$log" >&2
  return "$status"
}

# show_progress FILE: one line on a terminal, written over and over, of what pip says.
show_progress() {
  local word what count=0 total
  total="$(pins "$1" | wc -l)"
  while read -r word what _; do
    [ -t 2 ] || continue
    case "$word" in
      Collecting | Processing)
        what="${what##*/}" # of a wheel at hand, else what is asked for
        what="${what%%[<=>]*}"
        count=$((count + 1))
        printf '\r\033[Kfetching %s of %s: %s' "$count" "$total" "${what%%-[0-9]*}"
        ;;
      Installing) printf '\r\033[Kunpacking %s packages' "$count" ;;
    esac
  done >&2
  [ ! -t 2 ] || printf '\r\033[K' >&2
}

# pins FILE: the packages that FILE pins, those of the files that it names included.
pins() {
  local word what
  while read -r word what; do
    case "$word" in
      --requirement) pins "$what" ;;
      *==*) echo "$word" ;;
    esac
  done <"$root/$1"
}

# apart COMMAND: run it where the terminal's Ctrl-C does not reach it, since Python would answer with
# a traceback; a signal to us ends it, with all that it has started, by one that it takes in silence.
apart() {
  local child
  set -m
  "$@" </dev/null &
  child=$!
  set +m
  trap 'kill -TERM -- "-$child" 2>/dev/null; exit 130' INT TERM HUP
  wait "$child" || return
  trap - INT TERM HUP
}

# ensure_venv FILE: install what FILE pins, unless that has been done already. An interrupted
# installation leaves no stamp and is simply run again; two at once take turns.
ensure_venv() {
  is_installed "$1" && return
  (
    flock 9
    is_installed "$1" && exit
    local python
    echo "edge-serve: installing $1, once, into $venv" >&2
    if [ ! -x "$venv/bin/python" ]; then
      python="$(find_python)" || exit
      apart "$python" -m venv --clear "$venv" || exit
    fi
    apart pip_install "$1" || exit
    # The checkout itself: its packages are imported from where they stand.
    local site
    for site in "$venv"/lib/python3*/site-packages; do echo "$root" >"$site/edge-serve.pth"; done
    wanted >"$venv/$1.stamp"
  ) 9>"$root/.venv.lock"
}

[ "${BASH_SOURCE[0]}" != "$0" ] || ensure_venv "$1"
