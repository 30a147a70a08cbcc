#!/bin/sh
# A private Docker Engine: own data, socket, bridge and containerd, none of the machine's.
#
#   dockerd.sh start DIR BRIDGE SUBNET   e.g. brtest0 10.213.7.1/24; returns when it answers
#   dockerd.sh restart DIR               after a kill -9: same arguments, same data
#   dockerd.sh quit DIR                  as by its service manager; the bridge stays
#   dockerd.sh kill DIR                  as a crash: containers' processes live on
#   dockerd.sh power DIR                 as a power cut: nothing that ran is left; prints containers' pids
#   dockerd.sh stop DIR                  and removes the bridge; DIR may be removed then
#
# The socket is DIR/docker.sock. No iptables rules: published ports go through docker-proxy.
set -eu

command=$1
dir=$2

alive() {
    [ -s "$dir/docker.pid" ] && kill -0 "$(cat "$dir/docker.pid")" 2>/dev/null
}

begin() {
    rm -f "$dir/docker.pid"
    setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
        --host "unix://$dir/docker.sock" --config-file "$dir/daemon.json" --bridge "$bridge" \
        --iptables=false --ip-forward=false --ip-masq=false --storage-driver overlay2 \
        --shutdown-timeout 5 --log-level warn >>"$dir/dockerd.log" 2>&1 </dev/null &
    daemon=$!
}

# One that ends at once (its containerd took too long on a busy machine) is begun again, as its
# service manager would.
launch() {
    bridge=$(cat "$dir/bridge")
    begin
    n=0
    until docker -H "unix://$dir/docker.sock" version >/dev/null 2>&1; do
        n=$((n + 1))
        kill -0 "$daemon" 2>/dev/null || begin
        if [ $n -gt 900 ]; then
            echo "dockerd does not answer:" >&2
            tail -20 "$dir/dockerd.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# Dead is enough, whoever has yet to reap it.
lives() {
    read -r state <"/proc/$1/stat" 2>/dev/null || return 1
    state=${state##*) }
    [ "${state%% *}" != Z ]
}

wait_gone() {
    n=0
    while lives "$1" && [ $n -lt 200 ]; do
        n=$((n + 1))
        sleep 0.1
    done
}

# Processes that have our directory in their command line: containerd, its shims and runc. The
# brackets keep grep from finding itself.
ours() {
    grep -ls -- "$dir/exe[c]/" /proc/[0-9]*/cmdline | cut -d/ -f3
}

# Processes in the control groups of our containers.
contained() {
    ls "$dir/data/containers" >"$dir/ids"
    [ ! -s "$dir/ids" ] || grep -lsFf "$dir/ids" /proc/[0-9]*/cgroup | cut -d/ -f3
}

# Its containerd dies with a dockerd that is killed. The next one would take its pid for a living one, until
# somebody has reaped it, and wait for its answer for 15 s.
forget_containerd() {
    pid_file=$dir/exec/containerd/containerd.pid
    wait_gone "$(cat "$pid_file")"
    rm "$pid_file"
}

kill_all() {
    for one in "$@"; do kill -9 "$one" 2>/dev/null || true; done
    for one in "$@"; do wait_gone "$one"; done
}

# Shims outlive a dockerd that was killed, as do containers.
kill_rest() {
    rest=$(ours)
    while [ -n "$rest" ]; do
        # shellcheck disable=SC2086
        kill_all $rest
        rest=$(ours)
    done
    # shellcheck disable=SC2046
    kill_all $(contained)
}

# Shims listen in a place that all Docker Engines of the machine share.
remove_sockets() {
    for id in $(ls "$dir/data/containers"); do
        name=$(printf '%s' "$dir/exec/containerd/containerd.sock/moby/$id" | sha256sum)
        rm -f "/run/containerd/s/${name%% *}"
    done
}

unmount_all() {
    awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
}

case $command in
start)
    mkdir -p "$dir"
    echo '{}' >"$dir/daemon.json"
    ip link add name "$3" type bridge
    echo "$3" >"$dir/bridge" # from here on it is ours to remove
    ip addr add "$4" dev "$3"
    ip link set "$3" up
    launch
    ;;
restart)
    launch
    ;;
quit)
    pid=$(cat "$dir/docker.pid")
    kill "$pid"
    wait_gone "$pid"
    ;;
kill)
    pid=$(cat "$dir/docker.pid")
    kill -9 "$pid"
    wait_gone "$pid"
    forget_containerd
    ;;
power)
    pid=$(cat "$dir/docker.pid")
    kill -9 "$pid"
    wait_gone "$pid"
    containers=$(contained)
    kill_rest
    unmount_all
    remove_sockets
    rm -rf "$dir/exec"
    echo "$containers"
    ;;
stop)
    if alive; then
        pid=$(cat "$dir/docker.pid")
        kill "$pid"
        wait_gone "$pid"
    fi
    kill_rest
    remove_sockets
    unmount_all
    [ ! -s "$dir/bridge" ] || ip link del "$(cat "$dir/bridge")" 2>/dev/null || true
    ;;
*)
    echo "usage: dockerd.sh start|restart|quit|kill|stop DIR" >&2
    exit 2
    ;;
esac
