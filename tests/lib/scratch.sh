# shellcheck shell=bash
# scratch.sh - an installation of Berth of a test's own: sourced by scripts that bring one up
#
# scratch_new makes a folder with settings in it: a name, ports, a bridge and a network that
# nothing else on this machine uses. After it: $scratch_root, $scratch_name, $scratch_port,
# $scratch_registry_port, $scratch_cidr; berth calls the program on it. scratch_up brings it up, after
# which ec2 is the stock command on it; scratch_far is both with hosts beside. scratch_gone destroys it.
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
#
# Looks at most half of the time: an aws command takes a core for a second, which guests need. What
# takes longer than that waits for somebody, and costs nothing.
within() {
    local end=$((SECONDS + $1)) from took
    shift
    while :; do
        from=$EPOCHREALTIME
        "$@" && return
        ((SECONDS < end)) || return 1
        took=$((${EPOCHREALTIME/./} - ${from/./}))
        ((took > 200000)) || took=200000
        ((took < 3000000)) || took=3000000
        sleep "$((took / 1000000)).$(printf %06d $((took % 1000000)))"
    done
}

# free_port FROM: one of the 4000 from there. Below 32768: from there on the kernel takes ports for
# connections, between this look and the use.
free_port() {
    /usr/bin/python3 - "$1" <<'END'
import random, socket, sys
first = int(sys.argv[1])
for port in random.sample(range(first, first + 4000), 4000):
    try:
        socket.socket().bind(("", port))
    except OSError:
        continue
    print(port)
    break
END
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
    scratch_port=$(free_port 20000)
    scratch_registry_port=$(free_port 24000)
    scratch_cidr=$(free_network)
    chmod 755 "$scratch_root"
    mkdir -p "$scratch_root/etc/berth"
    cat >"$scratch_root/etc/berth/berth.conf" <<END
[berth]
root=$scratch_root
name=$scratch_name
[api]
listen_port=$scratch_port
channel_port=$(free_port 28000)
[hosts]
bridge=b$scratch_name
network_cidr=$scratch_cidr
[images]
registry=${scratch_cidr%.0/16}.1:$scratch_registry_port
END
    export BERTH_ROOT=$scratch_root
    quick_waiters
}

# The stock waiters with their own rules and their own patience, but a look each second: as they
# are they sleep up to 15 s between two looks, which adds up to most of a test's time.
quick_waiters() {
    local stock=/usr/lib/python3/dist-packages/awscli/botocore/data service
    AWS_DATA_PATH=$(realpath -m "$build")/tests/waiters
    export AWS_DATA_PATH
    for service in ec2/2016-11-15 ecs/2014-11-13; do
        mkdir -p "$AWS_DATA_PATH/$service"
        jq '.waiters[] |= (.maxAttempts *= .delay | .delay = 1)' "$stock/$service/waiters-2.json" \
            >"$AWS_DATA_PATH/$service/waiters-2.json" || bail "no waiters of $service"
    done
}

berth() { "$build/berth" "$@"; }
ec2() { /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text ec2 "$@"; }

# must CLAIM COMMAND...: without it there is nothing to test; what it says is told when it fails.
must() { "${@:2}" >"$scratch_root/out" 2>&1 || { remark <"$scratch_root/out"; bail "$1"; }; }

scratch_up() {
    must "berth up failed" berth up
    eval "$(berth env)"
}

# One connection for all calls to a guest: each login costs a guest without KVM up to seconds.
# shared_ssh_open KEY INSTANCE; shared_ssh INSTANCE -- COMMAND..., which makes one of its own where
# none is open; shared_ssh_close INSTANCE, before the guest goes down and before the test ends. A guest
# that went down in the middle of a greeting never says so.
shared_ssh() {
    ssh -F "$scratch_root/root/.berth/ssh_config" -o BatchMode=yes -o ConnectTimeout=25 \
        -o "ControlPath=$scratch_root/%C" "$@"
}
shared_ssh_open() {
    berth ssh --config --identity "$1" >/dev/null 2>&1 && shared_ssh -fNM "$2" </dev/null >/dev/null 2>&1
}
shared_ssh_close() { shared_ssh -O exit "$1" 2>/dev/null; }

scratch_gone() {
    [[ ! -e $scratch_root/etc/berth/berth.conf ]] || berth destroy --yes 2>&1 | remark
}

# ---- beside far hosts
# scratch_far COUNT: a new installation that is up, and so many hypervisor hosts of its own, which
# hosts VERB ARG... (tests/lib/hosts.sh) is about; all of it is gone when the test ends.
hosts() { tests/lib/hosts.sh "$1" "$scratch_root.far" "${@:2}"; }
scratch_far() {
    scratch_new
    scratch_far_count=$1
    trap scratch_far_gone EXIT
    trap 'exit 130' INT TERM HUP
    must "no far hosts" hosts up "$1"
    scratch_up
}
scratch_far_gone() {
    local number
    for number in $(seq "$scratch_far_count"); do
        hosts thaw "$number" 2>/dev/null # or destroy would wait for it in vain
    done
    scratch_gone
    hosts down
    rm -rf "$scratch_root"
}
