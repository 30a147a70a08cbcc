#!/bin/bash
# demo.sh [--root DIR] - the whole journey on this machine, from nothing
#
# Installs what is missing (Debian packages only), builds, brings Berth up, makes the machine
# image, launches two instances in two zones, joins them to a cluster over SSH, keeps a web
# service of two tasks on them, then breaks a container and a guest and shows both replaced.
# Each call of the API is shown as the stock aws command that makes it. Needs root. Safe to
# repeat: what is there already is used. --root keeps all of it below one folder, whose settings
# may be given beforehand in DIR/etc/berth/berth.conf.
set -euo pipefail
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."

type=${BERTH_DEMO_TYPE:-t2.nano} cluster=default service=web key=demo
while [[ $# -gt 0 ]]; do
    case $1 in
    --root) export BERTH_ROOT=${2:?--root needs a folder}; shift ;;
    *) sed -n '2,/^set/{/^#/s/^# \?//p}' "$0" >&2; exit 2 ;;
    esac
    shift
done
build=${BUILD:-build}
berth=$PWD/$build/berth

# ---- phases and their times
began=$(date +%s%N) phase_began=$began phase_name='' phases=()
bold='' dim='' plain=''
if [[ -t 2 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; fi

seconds() { local ms=$((($(date +%s%N) - $1) / 1000000)); printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100)); }
phase() {
    if [[ -n $phase_name ]]; then
        phases+=("$(printf '%7s s  %s' "$(seconds "$phase_began")" "$phase_name")")
    fi
    phase_name=$1 phase_began=$(date +%s%N)
    [[ -z $1 ]] || printf '\n%s== %s%s\n' "$bold" "$1" "$plain" >&2
}
say() { printf '%s\n' "$*" >&2; }
stopped() {
    say ""
    say "demo: stopped in \"$phase_name\" after $(seconds "$began") s. Look: $berth status; $berth instances"
    say "Run it again to go on, or remove all: $berth destroy"
}
trap stopped ERR

[[ $(id -u) == 0 ]] || { say "demo: this needs root: sudo make demo"; exit 1; }

# ---- waiting for what the service heals
# Waits until task $1 is no longer among the running ones and two others are.
replaced() {
    local until=$((SECONDS + ${2:-180})) now
    while ((SECONDS < until)); do
        now=$(BERTH_EXPLAIN='' "$berth" service endpoints "$service" | tail -n +2) || true
        if [[ $now != *"$1"* ]] && (($(grep -c . <<<"$now") >= 2)); then return; fi
        read -rt 0.5 <> <(:) || true
    done
    say "demo: task $1 was not replaced in time"
    return 1
}

pages() {
    local task address port rest
    BERTH_EXPLAIN='' "$berth" service endpoints "$service" | tail -n +2 | while read -r task address port rest; do
        say "${dim}\$ curl http://$address:$port/$plain"
        curl -sS --max-time 10 --retry 5 --retry-connrefused "http://$address:$port/" | sed 's/^/    /'
    done
}

phase "Debian packages"
provisioning/packages.sh build run

phase "build"
make -j"$(nproc)" programs container-images

phase "berth up: PostgreSQL, libvirt, certificates, berthd, two zones"
"$berth" up

phase "machine image (Debian 12, Docker, our agent)"
"$berth" image build ecs-optimized

export BERTH_EXPLAIN=1
journey=$(date +%s%N)
phase "container image of the web server, into the local registry"
image=$("$berth" registry push "$build/web.tar" web:1)
say "$image"

phase "key pair, and two instances in two zones"
"$berth" key list 2>/dev/null | grep -q "^$key " || "$berth" key create "$key"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "user data ran on $(hostname)" >/var/tmp/user-data\n' >"$work/user-data"
zones=$(BERTH_EXPLAIN='' "$berth" zone list | awk 'NR > 1 && NR < 4 { print $1 }')
number=0
for zone in $zones; do
    number=$((number + 1))
    if BERTH_EXPLAIN='' "$berth" instances | grep -q " demo-$number "; then
        say "demo-$number is there already"
        continue
    fi
    "$berth" launch --name "demo-$number" --zone "$zone" --type "$type" --key "$key" \
        --user-data "$work/user-data" --tag purpose=demo --cluster "$cluster"
done

phase "boot, and the agents over SSH"
for number in 1 2; do
    "$berth" agent bootstrap "demo-$number" --cluster "$cluster" --wait
done
"$berth" container-instance list
"$berth" ssh demo-1 -- sudo cat /var/tmp/user-data

phase "task definition and service of two tasks over the zones"
sed "s|@IMAGE@|$image|" contrib/examples/web.json >"$work/web.json"
"$berth" task-definition register "$work/web.json"
if BERTH_EXPLAIN='' "$berth" service list | grep -q "^$service .* ACTIVE"; then
    "$berth" service update "$service" --task-definition web --count 2 --wait
else
    "$berth" service create "$service" web --count 2 --wait
fi
"$berth" service endpoints "$service"
pages

phase "what there is"
for what in "instances" "container-instance list" "task list" "service events $service"; do
    say "${dim}\$ berth $what$plain"
    # shellcheck disable=SC2086
    "$berth" $what
done

phase "healing: a container is killed"
read -r task _ _ _ instance _ < <(BERTH_EXPLAIN='' "$berth" service endpoints "$service" | sed -n 2p)
say "${dim}\$ berth ssh $instance -- sudo docker kill ...$plain"
# shellcheck disable=SC2016
"$berth" ssh "$instance" -- 'sudo docker kill $(sudo docker ps -q --filter label=com.amazonaws.ecs.task-definition-family=web | head -n 1)' >/dev/null
replaced "$task"
"$berth" task list --service "$service"

phase "healing: a guest is destroyed behind Berth's back"
read -r task _ _ _ instance _ < <(BERTH_EXPLAIN='' "$berth" service endpoints "$service" | sed -n 2p)
domain=$(virsh -c qemu:///system list --name | grep -- "-$instance\$")
say "${dim}\$ virsh destroy $domain; virsh undefine $domain$plain"
virsh -q -c qemu:///system destroy "$domain"
virsh -q -c qemu:///system undefine "$domain"
replaced "$task"
"$berth" instances "$instance"
"$berth" service endpoints "$service"
"$berth" service events "$service"
pages

phase ""
trap - ERR
say ""
say "${bold}the demo took $(seconds "$began") s, $(seconds "$journey") s of it after the image existed$plain"
printf '%s\n' "${phases[@]}" >&2
unset BERTH_EXPLAIN
prefix="$build/berth${BERTH_ROOT:+ --root $BERTH_ROOT}"
cat >&2 <<END

Look around:   $prefix status
               $prefix instances; $prefix ssh demo-1
               $prefix why $instance
               eval "\$($prefix env)"; $prefix aws ecs list-tasks
Remove it all: sudo $prefix destroy
END
