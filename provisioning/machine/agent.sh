# agent.sh - the container agent on a machine that is no instance of ours; runs as root there
# Arguments: look|load|start|back|remove|clear, Docker's socket, the folder of settings and state.
set -eu
verb=$1 socket=$2 folder=$3

engine() { docker -H "unix://$socket" "$@"; }

run() {
    mkdir -p "$folder/data"
    engine rm -f berth-agent >/dev/null 2>&1 || true
    engine run -d --name berth-agent --restart always --network host \
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
start) run ;;
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
    rm -rf "$folder/etc" "$folder/data" "$folder/berth-agent.tar"
    rmdir "$folder" 2>/dev/null || true
    ;;
*) exit 2 ;;
esac
