#!/bin/bash
# destroy-frozen.t - berth destroy beside a far host that stands still: it ends, removes all the rest,
# names the host and says what to type there; typed there, nothing is left
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

scratch_far 1
left() { hosts inside 1 bash -c 'virsh -q list --all --name; virsh -q net-list --all --name; virsh -q pool-list --all --name; ls /var/lib/libvirt/images' | xargs; }
here() { virsh -q list --all --name 2>/dev/null; virsh -q net-list --all --name 2>/dev/null; ls /var/lib/libvirt/images; }

berth zone create home-1c --reserve-mib 0 >/dev/null
uri=$(hosts uri 1 tcp)
berth host add "$uri" --zone home-1c >/dev/null
well() { [[ $(berth host list --zone home-1c --json | jq -r '.[].Health') == OK ]]; }
check "a far host is well" within 90 well
truncate -s 1M "$scratch_root/empty.raw"
berth image import "$scratch_root/empty.raw" --name empty --format raw --user nobody >/dev/null
image=$(ec2 describe-images --filters Name=name,Values=empty --query 'Images[0].ImageId')
ec2 wait image-available --image-ids "$image"
berth type put far.one --vcpus 1 --memory-mib 64 >/dev/null
instance=$(ec2 run-instances --image-id "$image" --instance-type far.one --placement AvailabilityZone=home-1c --query 'Instances[0].InstanceId')
runs() { [[ $(ec2 describe-instances --instance-ids "$instance" --query 'Reservations[0].Instances[0].State.Name') == running ]]; }
check "an instance runs there" within 90 runs

hosts freeze 1
begin=$SECONDS
timeout 240 "$build/berth" destroy --yes >"$scratch_root.out" 2>&1
code=$?
remark <"$scratch_root.out"
check "destroy ends, and says by its exit code that something is left" test $code = 1
remark <<<"after $((SECONDS - begin)) s"
check "it names the host" grep -qF "not cleaned: host $uri: " "$scratch_root.out"
check "no settings are left" test ! -e "$scratch_root/etc/berth/berth.conf"
check "nor anything on this machine" test -z "$(here | grep -F "$scratch_name")"
hosts thaw 1
answers() { timeout 10 tests/lib/hosts.sh inside "$scratch_root.far" 1 virsh -q list >/dev/null 2>&1; }
check "the host moves again" within 60 answers
check "with what was there" grep -qF "$scratch_name-$instance" <<<"$(left)"
sed -n '/^when it answers again/,$p' "$scratch_root.out" | sed '1d;/^berth /,$d' >"$scratch_root.sh"
check "what destroy said is typed there" hosts inside 1 bash "$scratch_root.sh"
check "and nothing is left" test -z "$(left)"
rm -f "$scratch_root.out" "$scratch_root.sh"
done_testing
