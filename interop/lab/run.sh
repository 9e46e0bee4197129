# A run from start to end: output folder, time limit, verdicts, cleaning up.
#
# Exit codes: 0 all checks passed, 1 a check failed, 2 usage, 3 the laboratory could not be set up,
# 77 a program is missing, 124 or 143 the time limit or a signal.

# lab_main: fills in parameters, starts the clock. Called once, before anything else.
lab_main() {
  RECIPE=$(basename "$0" .sh)
  . "$INTEROP/lab/parameters.sh"
  if [ -z "${LAB_INNER:-}" ]; then
    # TERM goes to the whole process group, so every command of the run gets it.
    LAB_INNER=1 exec timeout --kill-after=20 "$TIME_LIMIT" bash "$0"
  fi
  unset LAB_INNER
  lab_folder
  exec 3>&1
  SOCKETS=/tmp/${PREFIX}sockets
  LAB_START=$(date +%s%N)
  LAB_FAILED=0 LAB_PASSED=0 LAB_NICS=0
  : >"$OUT/namespaces"
  trap 'exit 143' TERM INT HUP
  trap lab_end EXIT
  (set -o posix; set) | grep -E "^($LAB_PARAMETERS)=" >"$OUT/parameters.env"
  say "$RECIPE  server=$SERVER  out=$OUT  limit=${TIME_LIMIT}s"
}

lab_folder() {
  [ "$(id -u)" = 0 ] || { echo "must run as root" >&2; exit 3; }
  OUT=${OUT:-$INTEROP/out/$RECIPE-$(date +%Y%m%d-%H%M%S)-$$}
  [[ $OUT != *[[:space:]]* ]] || { echo "the output folder must not have blanks in its name: $OUT" >&2; exit 3; }
  [ ! -e "$OUT/result.txt" ] || { echo "$OUT holds an earlier run; name a new folder" >&2; exit 3; }
  mkdir -p "$OUT/pki"
  OUT=$(cd "$OUT" && pwd)
  if ip netns list | grep -q "^$PREFIX"; then
    echo "namespaces named $PREFIX* exist: another run (take another PREFIX), or left over (clean.sh)" >&2
    exit 3
  fi
}

elapsed() {
  local t=$(( ($(date +%s%N) - LAB_START) / 10000000 ))
  printf '%d.%02d' $((t / 100)) $((t % 100))
}

say()  { printf '[%6s] %s\n' "$(elapsed)" "$*" | tee -a "$OUT/result.txt" >&3; }
step() { say "== $*"; }
info() { say "  info  $*"; }
pass() { LAB_PASSED=$((LAB_PASSED + 1)); say "  ok    $*"; }
fail() { LAB_FAILED=$((LAB_FAILED + 1)); say "  FAIL  $*"; }
# The laboratory is at fault, not the server.
die()  { say "SETUP FAILED: $*"; exit 3; }

# check TEXT COMMAND...: one verdict; what the command prints goes to checks.log.
check() {
  local text=$1
  shift
  if { echo "--- $text: $*"; "$@"; } >>"$OUT/checks.log" 2>&1; then
    pass "$text"
  else
    fail "$text"
    return 1
  fi
}

# must TEXT COMMAND...: as check, but nothing after it would make sense.
must() { check "$@" || exit 1; }

# not COMMAND...: succeeds when the command fails.
not() { ! "$@"; }

# prints PATTERN COMMAND...: what it prints matches.
prints() {
  local pattern=$1 output
  shift
  output=$("$@" 2>&1)
  echo "$output"
  grep -qE "$pattern" <<<"$output"
}

need() {
  local command
  for command; do
    command -v "$command" >/dev/null || { echo "missing command: $command (install-packages.sh)" >&2; exit 77; }
  done
}

# until_ok SECONDS COMMAND...: polls ten times a second.
until_ok() {
  local end=$(( $(date +%s%N) + $1 * 1000000000 ))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$(date +%s%N)" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# The last line of a recipe: the server's farewell; the verdict is the count of checks.
finish() {
  server_farewell
  exit 0
}

lab_end() {
  local rc=$?
  trap '' TERM INT HUP
  trap - EXIT
  [ $rc != 143 ] || say "STOPPED (time limit of ${TIME_LIMIT}s or a signal)"
  if server_is_up; then srv_kill >/dev/null 2>&1; fi
  lab_cleanup
  rm -rf "$SOCKETS"
  if [ $rc = 0 ] && { [ "$LAB_FAILED" != 0 ] || [ "$LAB_PASSED" = 0 ]; }; then rc=1; fi
  say "$([ $rc = 0 ] && echo PASS || echo "FAIL rc=$rc")  $RECIPE  ok=$LAB_PASSED fail=$LAB_FAILED"
  if [ $rc = 0 ] && [ -n "${LAB_DISCARD:-}" ]; then rm -rf "$OUT"; fi
  exit $rc
}

# Ends, by pid, what lives in the namespaces of this run, then removes them. Never removes below a node's mnt folder:
# if its mounts were visible here that would reach the machine's own files.
lab_cleanup() {
  local name pid folder
  guests_flush
  for signal in TERM KILL; do
    while read -r name; do
      for pid in $(ip netns pids "$name" 2>/dev/null); do kill -$signal "$pid" 2>/dev/null; done
    done <"$OUT/namespaces"
    sleep 0.2
  done
  while read -r name; do ip netns del "$name" 2>/dev/null; done <"$OUT/namespaces"
  for folder in "$OUT"/*/; do
    rm -rf "${folder:?}/queue" "$folder/uml" "$folder"/*.pid
    rmdir "$folder/mnt" 2>/dev/null
  done
  rm -f "$OUT/namespaces"
}
