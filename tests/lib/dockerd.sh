#!/bin/sh
# A private Docker Engine: own data, socket, bridge and containerd, none of the machine's.
#
#   dockerd.sh start DIR BRIDGE SUBNET   e.g. brtest0 10.213.7.1/24; returns when it answers
#   dockerd.sh restart DIR               after a kill -9: same arguments, same data
#   dockerd.sh quit DIR                  as by its service manager; the bridge stays
#   dockerd.sh kill DIR                  as a crash: containers' processes live on
#   dockerd.sh stop DIR                  and removes the bridge; DIR may be removed then
#
# The socket is DIR/docker.sock. No iptables rules: published ports go through docker-proxy.
set -eu

command=$1
dir=$2

alive() {
    [ -s "$dir/docker.pid" ] && kill -0 "$(cat "$dir/docker.pid")" 2>/dev/null
}

launch() {
    bridge=$(cat "$dir/bridge")
    rm -f "$dir/docker.pid"
    setsid dockerd --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
        --host "unix://$dir/docker.sock" --config-file "$dir/daemon.json" --bridge "$bridge" \
        --iptables=false --ip-forward=false --ip-masq=false --storage-driver overlay2 \
        --shutdown-timeout 5 --log-level warn >>"$dir/dockerd.log" 2>&1 </dev/null &
    n=0
    until docker -H "unix://$dir/docker.sock" version >/dev/null 2>&1; do
        n=$((n + 1))
        if [ $n -gt 300 ]; then
            echo "dockerd does not answer:" >&2
            tail -20 "$dir/dockerd.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

wait_gone() {
    n=0
    while kill -0 "$1" 2>/dev/null && [ $n -lt 200 ]; do
        n=$((n + 1))
        sleep 0.1
    done
}

case $command in
start)
    mkdir -p "$dir"
    echo '{}' >"$dir/daemon.json"
    echo "$3" >"$dir/bridge"
    ip link add name "$3" type bridge
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
    ;;
stop)
    if alive; then
        pid=$(cat "$dir/docker.pid")
        kill "$pid"
        wait_gone "$pid"
    fi
    # containerd and its shims outlive a dockerd that was killed: all that has our directory
    for proc in /proc/[0-9]*; do
        if grep -qs -- "$dir/exec" "$proc/cmdline"; then
            kill -9 "${proc#/proc/}" 2>/dev/null || true
        fi
    done
    awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r mount; do umount -l "$mount" 2>/dev/null || true; done
    ip link del "$(cat "$dir/bridge")" 2>/dev/null || true
    ;;
*)
    echo "usage: dockerd.sh start|restart|quit|kill|stop DIR" >&2
    exit 2
    ;;
esac
