# shellcheck shell=bash
# scratch.sh - an installation of Berth of a test's own: sourced by scripts that bring one up
#
# scratch_new makes a folder with settings in it: a name, ports, a bridge and a network that
# nothing else on this machine uses. After it: $scratch_root, $scratch_name, $scratch_port,
# $scratch_registry_port, $scratch_cidr; berth calls the program on it. scratch_gone destroys it.
# Also: TAP (ok, not_ok, check, bail, done_testing) and within SECONDS COMMAND...
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export LC_ALL=C.UTF-8 PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
build=${BUILD:-build}

checks=0 failures=0
ok() { checks=$((checks + 1)); echo "ok $checks - $1"; }
not_ok() { checks=$((checks + 1)) failures=$((failures + 1)); echo "not ok $checks - $1"; }
check() { if "${@:2}"; then ok "$1"; else not_ok "$1"; fi; }
bail() { echo "Bail out! $*"; exit 1; }
done_testing() { echo "1..$checks"; return $((failures > 0)); }
# Prints standard input as comments of TAP.
remark() { sed 's/^/# /'; }

# within SECONDS COMMAND... - tries until it succeeds or time is up
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.2
    done
}

free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A /16 in 10/8 that no route leads to.
free_network() {
    local second
    for second in $(shuf -i 128-250); do
        if ! ip -4 route show | grep -q "10\.$second\."; then
            echo "10.$second.0.0/16"
            return
        fi
    done
    bail "every network is taken"
}

scratch_new() {
    [[ $(id -u) == 0 ]] || bail "this test needs root"
    [[ -x $build/berth && -x $build/berthd ]] || bail "no programs in $build: run make"
    scratch_name=t$$
    scratch_root=$(mktemp -d "/var/tmp/berth-$scratch_name.XXXX")
    scratch_port=$(free_port)
    scratch_registry_port=$(free_port)
    scratch_cidr=$(free_network)
    chmod 755 "$scratch_root"
    mkdir -p "$scratch_root/etc/berth"
    cat >"$scratch_root/etc/berth/berth.conf" <<END
[berth]
root=$scratch_root
name=$scratch_name
[api]
listen_port=$scratch_port
channel_port=$(free_port)
[hosts]
bridge=b$scratch_name
network_cidr=$scratch_cidr
[images]
registry=${scratch_cidr%.0/16}.1:$scratch_registry_port
END
    export BERTH_ROOT=$scratch_root
}

berth() { "$build/berth" "$@"; }

scratch_gone() {
    [[ ! -e $scratch_root/etc/berth/berth.conf ]] || berth destroy --yes 2>&1 | remark
}
