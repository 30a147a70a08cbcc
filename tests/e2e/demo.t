#!/bin/bash
# demo.t - "make demo" in a scratch installation: every phase ends, what it promises is on the page
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

scratch_new
out=$(mktemp)
trap 'scratch_gone; rm -rf "$scratch_root" "$out"' EXIT
trap 'exit 130' INT TERM HUP
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}

says() { grep -qE -- "$1" "$out"; }
provisioning/demo.sh --root "$scratch_root" >"$out" 2>&1
status=$?
check "the demonstration ends well" test $status = 0
[[ $status = 0 ]] || tail -n 40 "$out" | remark
check "it shows the calls as stock commands" says '^\$ aws ec2 run-instances --image-id ami-'
check "both tasks' pages are fetched" test "$(grep -c 'Hello from Berth' "$out")" -ge 4
check "the lost guest is shown with a reason" says 'i-[0-9a-f]{17}: .*vanished'
check "it says how to remove it" says 'Remove it all: .*berth.* destroy'
check "user data ran" says 'user data ran on'
sed -n '/^the demo took/,/^$/p' "$out" | remark
scratch_gone
check "destroy leaves no domain" test -z "$(virsh -q -c qemu:///system list --all --name | grep -F "$scratch_name-")"
check "and no file" test ! -e "$scratch_root/etc"
done_testing
