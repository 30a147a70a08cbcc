#!/bin/bash
# libvirtd-killed.t - kill -9 of libvirtd with guests running, starting and ending: none is lost or doubled
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

scratch_new
trap 'scratch_gone; rm -rf "$scratch_root"' EXIT
trap 'exit 130' INT TERM HUP

state() {
    berth aws ec2 describe-instances --filters "Name=tag:Name,Values=$1" \
        --query 'Reservations[0].Instances[0].State.Name' --output text
}
is() { [[ $(state "$1") == "$2" ]]; }
domains() { virsh -q -c qemu:///system list --all --name 2>/dev/null | grep -c "^$scratch_name-i-"; }
count_is() { [[ $(domains) == "$1" ]]; }
# The process that answers, killed; then up brings another, or systemd has.
kill_libvirtd() { kill -9 "$(cat /run/libvirtd.pid)" && berth up >/dev/null 2>&1; }

berth up >/dev/null 2>&1 || bail "berth up failed"
# a disk that boots nothing: the guest is a QEMU process all the same
truncate -s 1M "$scratch_root/empty.raw"
check "an image is imported" berth image import "$scratch_root/empty.raw" --name empty --format raw --user nobody
within 20 bash -c "$build/berth image list | grep -q available"
berth launch --name one --image empty --type t2.nano >/dev/null
check "an instance runs" within 30 is one running
process=$(pgrep -f "guest=$scratch_name-i-")

check "libvirtd is killed, and up again" kill_libvirtd
check "the guest is the same process" test "$(pgrep -f "guest=$scratch_name-i-")" = "$process"
check "its instance is running still" within 30 is one running

berth launch --name two --image empty --type t2.nano >/dev/null
check "libvirtd is killed while another is made" kill_libvirtd
check "which runs all the same" within 60 is two running
check "once: there are two domains" count_is 2

berth terminate one >/dev/null
check "libvirtd is killed while one ends" kill_libvirtd
check "it ends all the same" within 60 is one terminated
check "and one domain is left" within 20 count_is 1
scratch_gone
check "destroy leaves none" test "$(domains)" = 0
done_testing
