#!/bin/bash
# hosts.sh - hypervisor hosts of a test's own on this machine: each a set of namespaces (network,
# mount, process, host name, IPC) with virtlogd, libvirtd and sshd inside, as one far machine would have
#
#   hosts.sh up DIR COUNT         makes DIR and hosts 1 to COUNT in it, and the network between
#   hosts.sh uri DIR N KIND       the libvirt URI of host N by tcp, unix or ssh
#   hosts.sh kill DIR N           power cut: every process of it is gone at once, nothing says goodbye
#   hosts.sh boot DIR N           power on: its disks are as they were, /run is empty
#   hosts.sh freeze|thaw DIR N    every process of it stands still, its kernel answers
#   hosts.sh cut|mend DIR N       the network swallows its packets; links stay up
#   hosts.sh inside DIR N COMMAND...
#   hosts.sh tell DIR N           what runs there and what it said last
#   hosts.sh down DIR             ends all and removes DIR
#
# Management network: a bridge with the first address of DIR/network (10.X.Y.0/24), host N has .10+N.
# Guests run as root without cgroups, security driver or KVM. Needs root; no systemd.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

fail() { echo "hosts.sh: $*" >&2; exit 1; }
within() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

tag() { cat "$dir/tag"; }           # in names of interfaces and network namespaces
address() { echo "$(<"$dir/network").$((10 + $1))"; }
space() { echo "$(tag)-$1"; }
link() { echo "$(tag)-$1v"; }
numbers() { (cd "$dir" && printf '%s\n' host[0-9]* | sed -n 's/^host\([0-9]*\)$/\1/p'); }
# The process that is number 1 inside.
init_of() {
    local outer
    outer=$(cat "$dir/host$1/pid" 2>/dev/null) || return 1
    tr -d ' ' <"/proc/$outer/task/$outer/children" 2>/dev/null | grep .
}
inside() {
    local init
    init=$(init_of "$1") || fail "host $1 is off"
    nsenter --target "$init" --mount --net --pid --uts --ipc -- "${@:2}"
}

# ---- what a host has on its disks
furnish() {
    local home=$dir/host$1 name
    for name in run lib/qemu lib/images lib/dnsmasq lib/boot log/qemu cache/qemu; do
        mkdir -p "$home/$name"
    done
    cp -a /etc/libvirt "$home/etc"
    rm -rf "$home"/etc/{qemu,storage}/* "$home"/etc/qemu/networks
    mkdir -p "$home"/etc/qemu/networks/autostart "$home"/etc/storage/autostart
    # what QEMU can do is the same there: probing it anew takes seconds
    cp -a /var/cache/libvirt/qemu/. "$home/cache/qemu/" 2>/dev/null || true
    cat >"$home/etc/libvirtd.conf" <<END
listen_tls = 0
listen_tcp = 1
listen_addr = "$(address "$1")"
auth_tcp = "none"
auth_unix_rw = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
END
    cat >"$home/etc/qemu.conf" <<END
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
cgroup_controllers = [ ]
END
    ssh-keygen -q -t ed25519 -N '' -f "$home/hostkey"
    cat >"$home/sshd_config" <<END
ListenAddress $(address "$1")
HostKey $home/hostkey
PidFile none
AuthorizedKeysFile $dir/key.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
END
    printf '127.0.0.1 localhost\n%s far%s\n' "$(address "$1")" "$1" >"$home/hosts"
    echo "$(address "$1") $(cut -d' ' -f1,2 "$home/hostkey.pub")" >>"$dir/known_hosts"
}

# ---- links
plug() {
    local space link
    space=$(space "$1") link=$(link "$1")
    ip netns add "$space"
    ip link add "$link" type veth peer name eth0 netns "$space"
    ip link set "$link" master "$(tag)" up
    ip -n "$space" link set lo up
    ip -n "$space" addr add "$(address "$1")/24" dev eth0
    ip -n "$space" link set eth0 up
}
unplug() {
    ip link del "$(link "$1")" 2>/dev/null || true
    ip netns del "$(space "$1")" 2>/dev/null || true
}

# ---- life
# As libvirtd's unit has it (Restart=on-failure): one that dies is started again.
keep_libvirtd() {
    until libvirtd --listen; do
        echo "libvirtd ended with status $?"
        sleep 0.1
    done
}
# Process 1 of the host: its mounts, its daemons, and then whoever is orphaned.
live() {
    local home=$dir/host$1
    hostname "far$1"
    mount --make-rprivate / # /sys is that of the network already: ip netns exec makes it so
    mount -t proc proc /proc
    mount --bind "$home/run" /run
    mount --bind "$home/etc" /etc/libvirt
    mount --bind "$home/lib" /var/lib/libvirt
    mount --bind "$home/log" /var/log/libvirt
    mount --bind "$home/cache" /var/cache/libvirt
    mount --bind "$home/hosts" /etc/hosts
    [[ ! -e /dev/kvm ]] || mount --bind /dev/null /dev/kvm
    mkdir -p /run/sshd /run/lock
    virtlogd --daemon
    keep_libvirtd &
    /usr/sbin/sshd -f "$home/sshd_config"
    while :; do sleep 1000000 & wait $!; done
}

answers() { virsh -q -c "$(uri "$1" unix)" list >/dev/null 2>&1; }
boot() {
    local home=$dir/host$1
    [[ -d $home ]] || furnish "$1"
    init_of "$1" >/dev/null && fail "host $1 is on"
    rm -rf "$home"/run/*
    plug "$1"
    setsid ip netns exec "$(space "$1")" unshare --mount --pid --uts --ipc --fork --kill-child \
        "$0" live "$dir" "$1" >"$home/log/life" 2>&1 </dev/null &
    echo $! >"$home/pid"
    if ! within 30 answers "$1"; then
        tail -n 20 "$home/log/life" >&2
        fail "host $1 does not come up"
    fi
}
cut_power() {
    local outer
    ip link set "$(link "$1")" nomaster down 2>/dev/null || true # before: no peer hears of it
    outer=$(cat "$dir/host$1/pid" 2>/dev/null) || return 0
    kill -KILL "$outer" 2>/dev/null || true
    within 10 test ! -d "/proc/$outer"
    rm -f "$dir/host$1/pid"
    unplug "$1"
}
# Sends a signal to every process of the host.
signal_all() {
    local space process
    space=$(readlink "/proc/$(init_of "$1")/ns/pid")
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/ns/pid" 2>/dev/null) != "$space" ]] || kill "-$2" "${process#/proc/}" || true
    done
}
# For whoever reads why a test failed: threads, each with what it waits for, and the daemons' last words.
tell() {
    if init_of "$1" >/dev/null; then
        inside "$1" ps -eLo pid,lwp,stat,wchan:20,comm --no-headers | head -n 60
    else
        echo "it is off"
    fi
    tail -n 30 "$dir/host$1/log/life"
}

uri() {
    case $2 in
    tcp) echo "qemu+tcp://$(address "$1")/system" ;;
    unix) echo "qemu+unix:///system?socket=$dir/host$1/run/libvirt/libvirt-sock" ;;
    ssh) echo "qemu+libssh2://root@$(address "$1")/system?keyfile=$dir/key&sshauth=privkey&known_hosts=$dir/known_hosts" ;;
    *) fail "unknown kind of URI \"$2\"" ;;
    esac
}

up() {
    local n second
    mkdir -p "$dir"
    echo "f$$" >"$dir/tag"
    for second in $(shuf -i 0-127); do
        ip -4 route show | grep -q "10\.$second\." || break
    done
    echo "10.$second.9" >"$dir/network"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/key"
    ip link add "$(tag)" type bridge forward_delay 0
    ip addr add "$(<"$dir/network").1/24" dev "$(tag)"
    ip link set "$(tag)" up
    for n in $(seq "$1"); do boot "$n"; done
}
down() {
    local n
    for n in $(numbers); do cut_power "$n"; unplug "$n"; done
    ip link del "$(tag)" 2>/dev/null || true
    rm -rf "$dir"
}

[[ $# -ge 2 ]] || { sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2; exit 2; }
command=$1 dir=$2
shift 2
case $command in
up) up "$1" ;;
down) [[ ! -d $dir ]] || down ;;
uri) uri "$@" ;;
kill) cut_power "$1" ;;
boot) boot "$1" ;;
live) live "$1" ;;
freeze) signal_all "$1" STOP ;;
thaw) signal_all "$1" CONT ;;
cut) bridge link set dev "$(link "$1")" state disabled ;;
mend) bridge link set dev "$(link "$1")" state forwarding ;;
inside) inside "$@" ;;
tell) tell "$1" ;;
*) fail "unknown command \"$command\"" ;;
esac
