# agent.sh - the container agent on a machine that is no instance of ours; runs as root there
# Arguments: look|load|start|back|remove|clear, Docker's socket, the folder of settings and state.
set -eu
verb=$1 socket=$2 folder=$3

engine() { docker -H "unix://$socket" "$@"; }

# Containers ask the agent at 169.254.170.2, which takes rules of the machine's network: not where
# the socket is that of a second Docker Engine, which has no claim to them.
unit=/etc/systemd/system/berth-agent-network.service
network() {
    case $socket in /run/docker.sock | /var/run/docker.sock) ;; *) return 0 ;; esac
    command -v iptables >/dev/null || {
        echo "no iptables here: containers reach neither credentials nor metadata" >&2
        return 0
    }
    [ ! -x "$folder/agent-run" ] || "$folder/agent-run" "--$1"
    [ -d /run/systemd/system ] || return 0
    if [ "$1" = up ]; then
        printf '[Unit]\nDescription=Berth container agent: its address for containers\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=%s --up\n\n[Install]\nWantedBy=multi-user.target\n' \
            "$folder/agent-run" >$unit
        systemctl --quiet enable berth-agent-network
    elif [ -e $unit ]; then
        systemctl --quiet disable berth-agent-network
        rm -f $unit
    fi
}

run() {
    mkdir -p "$folder/data"
    engine rm -f berth-agent >/dev/null 2>&1 || true
    engine run -d --name berth-agent --restart always --network host \
        --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup \
        --log-driver json-file --log-opt max-size=10m --log-opt max-file=3 \
        -v "$socket:/run/docker.sock" -v "$folder/data:/data" -v "$folder/etc:/etc/berth:ro" \
        berth-agent >/dev/null
}

case $verb in
look) # what an agent here is called already, if there is one
    engine version --format '{{.Server.Version}}' >/dev/null
    [ ! -r "$folder/etc/agent.conf" ] ||
        sed -n 's/^BERTH_INSTANCE_ID=//p' "$folder/etc/agent.conf"
    ;;
load) # the archive that was placed; the image before it is kept for going back
    if engine image inspect berth-agent:latest >/dev/null 2>&1; then
        engine tag berth-agent:latest berth-agent:former
    fi
    engine load --quiet --input "$folder/berth-agent.tar" >/dev/null
    ;;
start)
    network up
    run
    ;;
back)
    engine tag berth-agent:former berth-agent:latest
    run
    ;;
remove | clear) # clear: the containers of its tasks too
    engine rm -f berth-agent >/dev/null 2>&1 || true
    if [ "$verb" = clear ]; then
        for container in $(engine ps -aq --filter label=com.amazonaws.ecs.task-arn); do
            engine rm -f "$container" >/dev/null
        done
    fi
    engine image rm berth-agent:latest berth-agent:former >/dev/null 2>&1 || true
    network down
    rm -rf "${folder:?}/etc" "$folder/data" "$folder/berth-agent.tar" "$folder/agent-run"
    rmdir "$folder" 2>/dev/null || true
    ;;
*) exit 2 ;;
esac
