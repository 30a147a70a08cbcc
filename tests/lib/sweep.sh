# shellcheck shell=bash
# sweep.sh - removes what tests that were cut off left on this machine: sourced by tests/check.sh
#
# An installation of a dead test may hold the metadata address, and its network starts again with
# libvirtd: every later test with guests would fail. Touched is only what bears a test's name:
# scratch installations "tPID" (tests/lib/scratch.sh), "hyper1NN" (tests/lib/region.c) and bridges "bragtPID"
# (tests/lib/agent_rig.py).
sweep_virsh() { virsh -q -c qemu:///system "$@" 2>/dev/null; }

# Whether NAME is a scratch installation whose test runs still.
sweep_in_use() {
    [[ $1 =~ ^t([0-9]+)$ ]] && tr '\0' ' ' 2>/dev/null <"/proc/${BASH_REMATCH[1]}/cmdline" | grep -q '\.t '
}

# The names of tests among lines like NAME, NAME-net, NAME-console, NAME-i-...
sweep_names() { sed -nE 's/^ *(t[0-9]+|hyper1[0-9]{2})(-.*)? *$/\1/p' | sort -u; }

sweep_installation() {
    local root
    for root in /var/tmp/berth-"$1".*/; do
        [[ -e $root/etc/berth/berth.conf ]] || continue
        BERTH_ROOT=${root%/} "${BUILD:-build}/berth" destroy --yes >/dev/null 2>&1
        rm -rf "$root"
    done
}

sweep_libvirt() {
    local kind object
    for object in $(sweep_virsh list --all --name | grep "^$1-"); do
        sweep_virsh destroy "$object"
        sweep_virsh undefine "$object" --nvram
    done
    for object in "$1" "$1-console"; do
        sweep_virsh pool-destroy "$object"
        sweep_virsh pool-undefine "$object"
        rm -rf "/var/lib/libvirt/images/$object"
    done
    for kind in destroy undefine; do sweep_virsh "net-$kind" "$1-net"; done
}

# Far hosts (tests/lib/hosts.sh) whose test is dead.
sweep_far() {
    local far pid
    for far in /var/tmp/berth-t*.far /tmp/berth-far-*; do
        [[ $far =~ berth-(t|far-)([0-9]+) && -d $far ]] || continue
        pid=${BASH_REMATCH[2]}
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q '\.t ' && continue
        echo "# swept: $far, left by a test that was cut off"
        tests/lib/hosts.sh down "$far"
    done
}

# Docker Engines and bridges of dead tests: a bridge keeps its addresses from later ones.
tests_sweep_rigs() {
    local bridge dir
    for bridge in $(ip -o link show type bridge | sed -nE 's/^[0-9]+: (bragt[0-9]+):.*/\1/p'); do
        tr '\0' ' ' 2>/dev/null <"/proc/${bridge#bragt}/cmdline" | grep -qE '\.(t|py) ' && continue
        echo "# swept: $bridge, left by a test that was cut off"
        dir=$(grep -ls -x "$bridge" /tmp/berth-agent-*/docker/bridge | head -n 1)
        if [ -n "$dir" ]; then
            dir=${dir%/docker/bridge}
            pkill -9 -f "$dir/" # its registry, its agent
            tests/lib/dockerd.sh stop "$dir/docker"
            rm -rf "$dir"
        fi
        ip link del "$bridge" 2>/dev/null
    done
}

# Needs libvirtd to answer. Prints what it removed.
tests_sweep() {
    local name
    sweep_far
    for name in $({ (cd /var/tmp && printf '%s\n' berth-t* | sed -nE 's/^berth-(t[0-9]+)\..*/\1/p')
                    sweep_virsh list --all --name; sweep_virsh net-list --all --name
                    sweep_virsh pool-list --all --name; } | sweep_names); do
        sweep_in_use "$name" && continue
        echo "# swept: $name, left by a test that was cut off"
        sweep_installation "$name"
        sweep_libvirt "$name" >/dev/null
    done
}
