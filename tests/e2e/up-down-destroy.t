#!/bin/bash
# up-down-destroy.t - an installation comes up, is repeated, survives kills, goes down, and leaves
# nothing behind: not in libvirt, not among processes, files, users, bridges
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"
# shellcheck source=tests/lib/libvirt.sh
. tests/lib/libvirt.sh

# What this machine has that an installation adds to; one thing a line.
world() {
    local list
    for list in list net-list pool-list; do
        virsh -q -c qemu:///system "$list" --all --name 2>/dev/null | sed "/^ *$/d; s/^/$list /"
    done
    getent passwd | cut -d: -f1 | sed 's/^/user /'
    ip -o link show | awk -F': ' '{ sub(/@.*/, "", $2); print "link " $2 }'
    find /var/lib/libvirt /var/log/libvirt /etc/libvirt /run/libvirt -name "*$scratch_name*" \
        -printf 'file %p\n' 2>/dev/null
}
# Only what bears our name: others may come and go on the machine meanwhile.
of_ours() { grep -F -- "$scratch_name"; }
processes() { pgrep -f -- "$scratch_root" | wc -l; }
seconds_of() {
    local from status
    from=$(date +%s%N)
    "$@" >"$scratch_root.out" 2>&1
    status=$?
    spent_ms=$((($(date +%s%N) - from) / 1000000))
    return $status
}
daemon_pid() { cut -d' ' -f1 "$scratch_root/run/berth/up-$1.pid"; }
answers() { berth aws sts get-caller-identity >/dev/null 2>&1; }
well() { berth status >/dev/null; }
network_is() { virsh -q -c qemu:///system net-info "$1" >/dev/null; }
hosts_well() { [[ $(berth host list | grep -c ' OK ') == 2 ]]; }

scratch_new
trap 'scratch_gone; libvirt_return; rm -rf "$scratch_root" "$scratch_root.out"' EXIT
trap 'exit 130' INT TERM HUP

# ---- up
if seconds_of berth up; then ok "berth up brings it up"; else
    not_ok "berth up brings it up"
    remark <"$scratch_root.out"
    bail "no installation to test"
fi
echo "# first up: $spent_ms ms"
check "the stock aws command is answered" answers
check "two zones have a host that is well" hosts_well
check "berth status finds all well" well
owner=$(stat -c %U "$scratch_root/var/lib/berth/postgresql")
check "PostgreSQL runs as a user of its own ($owner)" test "$(ps -o user= -p "$(daemon_pid postgresql)" | cut -c1-7)" = "${owner:0:7}"
check "PostgreSQL listens on no port" test -z "$(ss -ltnpH 2>/dev/null | grep "pid=$(daemon_pid postgresql),")"
check "keys are readable by root only" test "$(stat -c %a "$scratch_root/var/lib/berth/master.key" "$scratch_root/var/lib/berth/tls/ca.key" | xargs)" = "600 600"

seconds_of berth up
check "a second up succeeds" test $? = 0
check "and starts nothing" test -z "$(grep -E 'started|made|wrote' "$scratch_root.out")"
echo "# second up: $spent_ms ms"
check "in under two seconds" test "$spent_ms" -lt 2000

# ---- kills
for part in berthd postgresql registry; do
    kill -9 "$(daemon_pid $part)"
    within 10 test ! -d "/proc/$(daemon_pid $part)" || true
    check "up after kill -9 of $part" seconds_of berth up
    check "brings $part back" grep -q "started" "$scratch_root.out"
    check "and the API answers" within 15 answers
done
account=$(berth aws sts get-caller-identity --query Account --output text)
for delay in 0.02 0.1 0.3; do
    berth down >/dev/null 2>&1
    "$build/berth" up >/dev/null 2>&1 &
    up=$!
    sleep $delay
    kill -9 $up 2>/dev/null
    wait $up 2>/dev/null
    check "up after an up killed at $delay s" seconds_of berth up
    check "runs one berthd" test "$(pgrep -f -- "berthd --config $scratch_root" | wc -l)" = 1
done
check "it is the same installation" test "$(berth aws sts get-caller-identity --query Account --output text)" = "$account"
kill -9 "$(daemon_pid berthd)"
berth up >/dev/null 2>&1 &
berth up >/dev/null 2>&1
wait $!
check "two ups at once start one berthd" test "$(pgrep -f -- "berthd --config $scratch_root" | wc -l)" = 1

# ---- down
check "berth down" seconds_of berth down
check "leaves no process" test "$(processes)" = 0
check "keeps the database" test -d "$scratch_root/var/lib/berth/postgresql"
berth status >/dev/null 2>&1
check "status fails then" test $? = 1
check "down again is fine" seconds_of berth down
check "up again" seconds_of berth up
check "with the same account" test "$(berth aws sts get-caller-identity --query Account --output text)" = "$account"

# ---- destroy
berth destroy </dev/null >/dev/null 2>&1
check "destroy asks, and refuses where nobody can answer" test $? = 2
check "and has removed nothing" answers
# a foreign network of almost our name must survive
foreign="${scratch_name}x-net"
virsh -q -c qemu:///system net-define /dev/stdin >/dev/null <<END
<network><name>$foreign</name></network>
END
kill -9 "$(daemon_pid berthd)" "$(daemon_pid postgresql)"
check "destroy works with berthd and PostgreSQL dead" seconds_of berth destroy --yes
remark <"$scratch_root.out"
# destroy stopped libvirtd if up had started it
libvirt_borrow
check "a foreign network with a like name is still there" network_is "$foreign"
virsh -q -c qemu:///system net-undefine "$foreign" >/dev/null
left=$(world | of_ours)
check "nothing is left in libvirt, users, links or its files" test -z "$left"
[[ -z $left ]] || remark <<<"$left"
libvirt_return
check "no process is left" within 5 test "$(processes)" = 0
check "no file is left below its folder" test ! -e "$scratch_root"
[[ ! -e $scratch_root ]] || find "$scratch_root" | head -20 | remark
check "destroy again is fine" berth destroy --yes
done_testing
