# dev/lib.sh - what the commands in this folder share; sourced by them (bash, set -eu).
#
# root is the top of the tree.  Everything prints what it does on standard error, so that the
# callers' standard output stays theirs.

PATH="${PATH:-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATH="${PATH#:}"
export PATH LC_ALL=C.UTF-8
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

# need_home - npm wants a home it can write to; a service account or a scrubbed environment has none.
# The directory made here is removed by whoever calls drop_home on exit.
made_home=""
need_home() {
	if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
		made_home="$(mktemp -d /tmp/sluice-home.XXXXXX)"
		export HOME="$made_home"
	fi
}
drop_home() { [ -z "$made_home" ] || rm -rf "$made_home"; }

# as_root COMMAND... - run it as root: directly, or through sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "this needs root, and sudo is not installed: $*"
	fi
}

# need_packages GROUP... - install what is missing of these groups of packages.txt.
need_packages() {
	local package group command missing=()
	while read -r package group command; do
		case "$package" in '' | '#'*) continue ;; esac
		case " $* " in *" $group "*) ;; *) continue ;; esac
		if [ -n "$command" ] && command -v "$command" >/dev/null; then continue; fi
		case "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" in
		installed) ;;
		*) missing+=("$package") ;;
		esac
	done <"$root/dev/packages.txt"
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "missing, and this is no Debian: ${missing[*]}"
	say "installing from Debian: ${missing[*]}"
	local log
	log="$(mktemp /tmp/sluice-apt.XXXXXX)"
	if ! { as_root apt-get -q update &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
			-o Dpkg::Use-Pty=0 install "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "apt-get failed; its last lines are above"
	fi
	rm -f "$log"
}

# need_modules FOLDER - npm ci there, unless it was done for the lock that is there now.
need_modules() {
	local folder="$root/$1" now
	now="$(cat "$folder/package.json" "$folder/package-lock.json" | sha256sum)"
	if [ "$(cat "$folder/node_modules/.sluice-lock" 2>/dev/null || true)" = "$now" ]; then return 0; fi
	say "installing npm packages of $1/"
	local log
	log="$(mktemp /tmp/sluice-npm.XXXXXX)"
	if ! (cd "$folder" && npm ci --no-audit --no-fund --no-update-notifier) >"$log" 2>&1 </dev/null; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		die "npm ci failed in $1/; its last lines are above"
	fi
	rm -f "$log"
	printf '%s\n' "$now" >"$folder/node_modules/.sluice-lock"
}

# run_logged LOG COMMAND... - quiet while it works; on failure its last lines are shown.
run_logged() {
	local log="$1"
	shift
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		tail -n 60 "$log" >&2
		say "failed: $*  (whole output: $log)"
		return 1
	fi
}

# build_into DIR CONFIGURE-OPTION... - bootstrap and configure when needed, then make.
# Configure runs again when configure.ac or the options changed.
build_into() {
	local dir="$1" log
	shift
	mkdir -p "$dir"
	log="$dir/dev.log"
	: >"$log"
	if [ ! -x "$root/configure" ] || [ "$root/configure.ac" -nt "$root/configure" ]; then
		say "bootstrap"
		run_logged "$log" "$root/bootstrap" || return 1
	fi
	if [ ! -f "$dir/Makefile" ] || [ "$root/configure" -nt "$dir/config.status" ] ||
		[ "$(cat "$dir/dev.options" 2>/dev/null || true)" != "$*" ]; then
		say "configure in ${dir#"$root"/}"
		(cd "$dir" && run_logged "$log" "$root/configure" "$@") || return 1
		printf '%s\n' "$*" >"$dir/dev.options"
	fi
	say "make in ${dir#"$root"/}"
	run_logged "$log" make -C "$dir" -j "$(nproc)"
}

# free_port - a loopback TCP port nobody listens on right now.
free_port() {
	node -e 'const s = require("net").createServer(); s.listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });'
}

# wait_for SECONDS COMMAND... - until it succeeds; fails when the time is over.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# stop_process PID SECONDS - TERM, wait, then KILL.  PID may be gone or empty.
stop_process() {
	[ -n "$1" ] && kill -TERM "$1" 2>/dev/null || return 0
	local end=$((SECONDS + $2))
	while kill -0 "$1" 2>/dev/null; do
		if [ "$SECONDS" -ge "$end" ]; then
			kill -KILL "$1" 2>/dev/null || true
			break
		fi
		sleep 0.1
	done
}
