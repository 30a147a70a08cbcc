#!/bin/bash
# image-boot.t - the container-optimised machine image in a real guest, by plain QEMU under TCG
#
# IMAGE=DIR uses an image already built (default: build/images/ecs-optimized, which is made to have
# this build's agent in it). Prints the seconds of wall clock and of the guest's CPU time at each step.
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
build=${BUILD:-build}
image=${IMAGE:-$build/images/ecs-optimized}
boot_s=180 stop_s=90 wait_s=90 # a guest without KVM takes up to three times as long on one machine as on another
checks=0
ok() { checks=$((checks + 1)); echo "ok $checks - $1"; }
not_ok() { checks=$((checks + 1)); echo "not ok $checks - $1"; }
check() { if "${@:2}"; then ok "$1"; else not_ok "$1"; fi; }
bail() { echo "Bail out! $*"; exit 1; }

[[ -n ${IMAGE:-} ]] ||
    images/build.sh --agent "$build/berth-agent.tar" ecs-optimized "$image" | sed 's/^/# /'
[[ -e $image/image.json ]] || bail "no image in $image"
image=$(realpath "$image")
work=$(mktemp -d)
qemu=''
finish() {
    [[ -z $qemu ]] || { kill "$qemu"; wait "$qemu"; } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

field() { jq -r ".$1" "$image/image.json"; }
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
began=$(date +%s%N)
stamp() {
    local cpu
    cpu=$(awk '{ printf "%.1f", ($14 + $15) / 100 }' "/proc/$qemu/stat")
    echo "# $1: $(awk -v ns=$(($(date +%s%N) - began)) 'BEGIN { printf "%.1f", ns / 1e9 }') s, guest's CPU time $cpu s"
}
# within SECONDS COMMAND... - tries until it succeeds, the guest dies or time is up
within() {
    local end=$(($(date +%s) + $1))
    shift
    until "$@"; do
        kill -0 "$qemu" 2>/dev/null || return 1
        (($(date +%s) < end)) || return 1
        sleep 0.05
    done
}

ssh-keygen -q -t ed25519 -N '' -C test -f "$work/key"
web=$work/web.tar
images/web/build.sh "$web" | sed 's/^/# /'
ssh_port=$(free_port) web_port=$(free_port)
mkdir "$work/seed"
cat >"$work/seed/meta-data" <<END
instance-id: i-0123456789abcdef0
local-hostname: ip-172-31-0-9
public-keys:
  - $(<"$work/key.pub")
END
cat >"$work/seed/user-data" <<'END'
#!/bin/sh
echo "user data says $(hostname)"
touch /root/user-data-ran
echo run >>/root/user-data-runs
END
xorriso -as mkisofs -quiet -V cidata -J -r -o "$work/seed.iso" "$work/seed" 2>/dev/null
qemu-img create -q -f qcow2 -F qcow2 -b "$image/disk.qcow2" "$work/disk.qcow2" || bail "no overlay"

start_guest() {
    : >"$work/hostkey"
    began=$(date +%s%N)
    qemu-system-x86_64 -accel tcg,tb-size=256 -machine q35 -cpu max -m 512 -nodefaults \
        -display none -no-reboot -kernel "$image/$(field kernel)" -initrd "$image/$(field initrd)" \
        -append "$(field cmdline)" -drive "file=$work/disk.qcow2,if=virtio" \
        -drive "file=$work/seed.iso,if=virtio,format=raw,readonly=on" \
        -nic "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$ssh_port-:22,hostfwd=tcp:127.0.0.1:$web_port-:8080" \
        -serial "file:$work/console" -device virtio-serial-pci \
        -chardev "file,id=hostkey,path=$work/hostkey" \
        -device virtserialport,chardev=hostkey,name=org.berth.hostkey \
        -qmp "unix:$work/qmp,server=on,wait=off" 2>"$work/qemu.log" &
    qemu=$!
}
power_button() {
    /usr/bin/python3 - "$work/qmp" <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for command in ("qmp_capabilities", "system_powerdown"):
    f.write('{"execute": "%s"}\n' % command)
    f.flush()
    f.readline()
END
}
guest_gone() { ! kill -0 "$qemu" 2>/dev/null; }
await_gone() {
    local end=$(($(date +%s) + $1))
    until guest_gone; do
        (($(date +%s) < end)) || return 1
        sleep 0.1
    done
}
# One connection for all that is asked after the first login, which costs the guest a second each.
to_guest() {
    ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile="$work/known" \
        -o IdentitiesOnly=yes -o ConnectTimeout=5 -o "ControlPath=$work/%C" -i "$work/key" -p "$ssh_port" \
        "$@"
}
guest() { to_guest admin@127.0.0.1 "$@"; }
shared_open() { to_guest -fNM admin@127.0.0.1 </dev/null >/dev/null 2>&1; }
shared_close() { to_guest -O exit admin@127.0.0.1 2>/dev/null; }
has_key() { [[ $(<"$work/hostkey") == "ssh-ed25519 AAAA"*$'\n'* || $(wc -l <"$work/hostkey") -gt 0 ]]; }
login() { guest true 2>"$work/ssh.log"; }
banner() { timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$ssh_port; read -r -t 1 line <&3; [[ \$line == SSH-2.0-* ]]" 2>/dev/null; }
agent_seen() { guest "sudo docker events --since 60s --until 0s --filter container=berth-agent --filter event=start" | grep -q 'container start'; }
page() { curl -sf --max-time 2 "http://127.0.0.1:$web_port/" >"$work/page"; }

start_guest
if ! within "$boot_s" has_key; then
    sed 's/^/# console: /' "$work/console"
    bail "no host key within $boot_s s"
fi
stamp "host key"
check "the host key is reported before sshd answers" bash -c "! timeout 1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/$ssh_port; read -r -t 1 line <&3; [[ \$line == SSH* ]]' 2>/dev/null"
echo "[127.0.0.1]:$ssh_port $(head -n 1 "$work/hostkey")" >"$work/known"
check "sshd answers" within "$boot_s" banner
stamp "SSH banner"
check "admin logs in with the key, to the reported host key" within "$wait_s" login
stamp "SSH login"
check "a second login stays for what follows" shared_open
check "root may not log in" bash -c "! ssh -F none -o BatchMode=yes -o UserKnownHostsFile=$work/known -i $work/key -p $ssh_port root@127.0.0.1 true 2>/dev/null"
check "no way in but keys" grep -q '(publickey)' <(ssh -F none -o BatchMode=yes -o UserKnownHostsFile="$work/known" -o PubkeyAuthentication=no -p "$ssh_port" admin@127.0.0.1 true 2>&1)
check "admin may sudo without a password" guest sudo -n true
check "the host name is the seed's" test "$(guest hostname)" = ip-172-31-0-9
check "Docker answers" guest "for n in \$(seq 300); do docker info >/dev/null 2>&1 && exit; sleep 0.2; done; exit 1"
stamp "Docker"
guest docker info 2>&1 | grep -E 'Storage Driver|Cgroup|Security|apparmor|seccomp|Warn|WARN' | sed 's/^/# /'
check "an image loads" guest docker load -q <"$web"
check "a container starts with limits and a port mapping" \
    guest docker run -d --name web -m 64m --cpu-shares 128 -e AVAILABILITY_ZONE=home-1a -p 8080:80 berth-web
check "its page is served through the port" within "$wait_s" page
sed 's/^/# /' "$work/page"
check "the page comes from the container" grep -q '^zone:  *home-1a$' "$work/page"
check "its memory limit holds in the kernel" test "$(guest docker exec web cat /sys/fs/cgroup/memory.max)" = 67108864
check "a container stops on request, not by force" timeout 50 ssh -F none -o BatchMode=yes -o UserKnownHostsFile="$work/known" -i "$work/key" -p "$ssh_port" admin@127.0.0.1 docker stop -t 60 web
stamp "container"
if [[ -n $(field agent_sha256) ]]; then
    check "the agent's image is in Docker from the start" guest docker run --rm berth-agent --version
    guest "sudo install -m 600 /dev/stdin /etc/berth/agent.conf && sudo systemctl start berth-agent" <<'END'
BERTH_ENDPOINT=https://127.0.0.1:1
BERTH_REGION=home-1
BERTH_CLUSTER=default
BERTH_CA=/etc/berth/ca.pem
BERTH_INSTANCE_ID=i-0123456789abcdef0
AWS_ACCESS_KEY_ID=ASIAEXAMPLE
AWS_SECRET_ACCESS_KEY=secret
AWS_SESSION_TOKEN=token
END
    check "its unit starts it once it is configured" within "$wait_s" agent_seen
    stamp "agent"
fi
check "user data ran" guest sudo test -e /root/user-data-ran
check "its output is on the console" grep -q 'user data says ip-172-31-0-9' "$work/console"
check "its end is on the console" grep -q 'user data ended with status 0' "$work/console"
check "name servers come from the lease" guest grep -qx "'nameserver 10.0.2.3'" /etc/resolv.conf
failed=$(guest "sudo systemctl --failed --plain --no-legend" | grep -v berth-agent)
check "no unit failed" test -z "$failed"
[[ -z $failed ]] || sed 's/^/# /' <<<"$failed"
check "no unit was dropped from the boot" guest "! sudo journalctl --boot --no-pager | grep -q 'ordering cycle'"
check "the root file system has its full size" guest "test \$(df --output=size -m / | tail -n 1) -gt 7500"
guest free -m | sed 's/^/# /'

shared_close
first_key=$(head -n 1 "$work/hostkey")
power_button
check "the power button ends it cleanly" await_gone "$stop_s"
wait "$qemu"
start_guest
check "it starts again" within "$boot_s" has_key
check "it keeps its host key" test "$(head -n 1 "$work/hostkey")" = "$first_key"
check "admin logs in again" within "$wait_s" login
stamp "second SSH login"
check "user data is not run twice" test "$(guest sudo cat /root/user-data-runs)" = run
echo "1..$checks"
