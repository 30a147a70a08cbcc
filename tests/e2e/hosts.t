#!/bin/bash
# hosts.t - two far hypervisor hosts beside this machine, with guests: instances spread over them,
# one host dies, hangs, comes back; nothing is lost, doubled or sold twice
#
# The guests are a boot sector that says a word on the serial line and halts: QEMU processes all the
# same. Hosts without guests: tests/driver/hosts.t.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"
AWAY=90 # seconds: a broken connection is noticed after 16, a hung one after 31; the machine is busy

scratch_far 2

# ---- what is asked
field() { berth host list --json | jq -r ".[] | select(.HostId == \"$1\").$2"; }
health_is() { [[ $(field "$1" Health) == "$2" ]]; }
held() { berth zone list --json | jq -r '.[] | select(.ZoneName == "home-1c") | "\(.Instances) \(.UsedVCpus) \(.CapacityVCpus)"'; }
held_is() { [[ $(held) == "$1" ]]; }
state() { ec2 describe-instances --instance-ids "$1" --query 'Reservations[0].Instances[0].State.Name'; }
state_is() { [[ $(state "$1") == "$2" ]]; }
status() { ec2 describe-instance-status --instance-ids "$1" --query 'InstanceStatuses[0].[InstanceStatus.Status,SystemStatus.Status]' | xargs; }
running() { ec2 describe-instances --filters Name=instance-state-name,Values=running Name=availability-zone,Values=home-1c --query 'length(Reservations[].Instances[])'; }
running_is() { [[ $(running) == "$1" ]]; }
# Names of the domains on far host N, without the prefix.
domains() { hosts inside "$1" virsh -q list --name "${@:2}" | sed -n "s/^$scratch_name-//p" | sort; }
domains_are() { [[ $(domains "$1" | xargs) == "$2" ]]; }
processes() { hosts inside "$1" pgrep -c qemu-system; }
launch() { ec2 run-instances --image-id "$image" --instance-type far.one --count "$1" --placement AvailabilityZone=home-1c --query 'Instances[].InstanceId' "${@:2}" | xargs; }
says() { grep -qF -- "$1" <("${@:2}" 2>&1); }

# ---- the pool
berth zone create home-1c --reserve-mib 0 >/dev/null
check "a far host is added by tcp" berth host add "$(hosts uri 1 tcp)" --zone home-1c
check "and one by ssh" berth host add "$(hosts uri 2 ssh)" --zone home-1c
one=$(berth host list --json | jq -r '.[] | select(.Uri | startswith("qemu+tcp")).HostId')
two=$(berth host list --json | jq -r '.[] | select(.Uri | startswith("qemu+libssh2")).HostId')
check "both are checked" within 60 health_is "$one" OK
check "and well" within 60 health_is "$two" OK
check "berth host check says so" says OK berth host check "$one"
berth host list | remark
check "this machine's network is here, theirs are apart" test "$(berth host list --json | jq -r '[.[].Network] | unique | join(" ")')" = "APART HERE"
capacity=$(field "$one" CapacityVCpus)
check "nothing is held yet" held_is "0 0 $((2 * capacity))"

# ---- instances
# cli; ds = 0; si = word; dx = COM1; until the word's end: lodsb, out; then hlt for ever
printf '\xfa\x31\xc0\x8e\xd8\xbe\x16\x7c\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfdhalted far away\n' >"$scratch_root/word.raw"
truncate -s 1M "$scratch_root/word.raw"
printf '\x55\xaa' | dd of="$scratch_root/word.raw" bs=1 seek=510 conv=notrunc status=none
berth image import "$scratch_root/word.raw" --name word --format raw --user nobody >/dev/null
image=$(ec2 describe-images --filters Name=name,Values=word --query 'Images[0].ImageId')
ec2 wait image-available --image-ids "$image"
berth type put far.one --vcpus 1 --memory-mib 64 >/dev/null || bail "no instance type"
read -r a b c d < <(launch 4)
check "four instances run" within 90 running_is 4
first=$(domains 1 | xargs) second=$(domains 2 | xargs)
check "two on each host ($first; $second)" test "$(wc -w <<<"$first") $(wc -w <<<"$second")" = "2 2"
check "and those that were asked for" test "$(xargs -n1 <<<"$first $second" | sort | xargs)" = "$(printf '%s\n' "$a" "$b" "$c" "$d" | sort | xargs)"
check "what they hold is known" held_is "4 4 $((2 * capacity))"
check "nothing is said of what nothing reaches" test "$(status "$a")" = "insufficient-data ok"
check "berth ssh says that there is no way" says "not reached from here" berth ssh "$a"
check "an agent there is refused" says "cannot have the agent" berth agent bootstrap "$a"
check "so is an instance that shall have one" says "no container agent reaches the API" launch 1 --iam-instance-profile Name=ecsInstanceRole
spoke() { says "halted far away" ec2 get-console-output --instance-id "$1" --query Output; }
check "their console is read from afar" within 60 spoke "$a"
local_id=$(ec2 run-instances --image-id "$image" --instance-type far.one --placement AvailabilityZone=home-1a --query 'Instances[0].InstanceId' --iam-instance-profile Name=ecsInstanceRole)
check "here an agent is let in" within 60 state_is "$local_id" running
ec2 terminate-instances --instance-ids "$local_id" >/dev/null

# ---- draining, removing
check "a host is drained" berth host drain "$two"
e=$(launch 1)
check "a new instance goes to the other" within 60 says "$e" domains 1
check "a host that is used is not removed" says "$e" berth host remove "$one"
check "more than the other holds is refused, with the host that drains" says "$two (far2) is draining" launch "$capacity"
berth host activate "$two" >/dev/null

# ---- power cut
hosts kill 1
check "a host that lost power is down" within "$AWAY" health_is "$one" DOWN
berth why "$one" | head -n 12 | remark
check "with the reason" says "down, wanted active: " berth why "$one"
lost=${first% *} other=${second% *}
check "its instances' system is impaired" test "$(status "$lost")" = "insufficient-data impaired"
check "the others' is not" test "$(status "$other")" = "insufficient-data ok"
check "why tells an instance's owner" says "its host does not answer" berth why "$lost"
check "they hold what they held, of what is left to sell" held_is "5 5 $capacity"
read -r f g < <(launch 2)
check "launches go to the host that is left" within 60 says "$f" domains 2
check "what does not fit is refused, with host and reason" says "$one (far1) is down: " launch "$capacity"
gone=${first#* }
ec2 terminate-instances --instance-ids "$gone" >/dev/null
check "one that is to end there waits" state_is "$gone" shutting-down
check "a host that is used is not removed when it is dead, either" says "holds instances" berth host remove "$one"
check "berth up does not wait for a host of another machine" berth up
hosts boot 1
check "its power is back: it is well" within "$AWAY" health_is "$one" OK
stays=$(printf '%s\n' "$lost" "$e" | sort | xargs)
check "what was to run there runs again" within 60 domains_are 1 "$stays"
check "once" test "$(processes 1)" = 2
check "what was to end has ended" within 60 state_is "$gone" terminated
check "nothing of it is left there" test -z "$(hosts inside 1 find /var/lib/libvirt/images -name "$gone*")"
check "its instances' system is well" within 30 says ok status "$lost"
check "the pool is what it was" held_is "6 6 $((2 * capacity))"

# ---- a host that hangs while instances are made there
pids=$(hosts inside 2 pgrep qemu-system | xargs)
read -r h i j k < <(launch 4)
hosts freeze 2
check "a host that hangs is down" within "$AWAY" health_is "$two" DOWN
check "with the reason" says "down, wanted active: " berth why "$two"
m=$(launch 1)
check "launches elsewhere are not held up" within 60 says "$m" domains 1
hosts thaw 2
check "it moves again: it is well" within "$AWAY" health_is "$two" OK
check "every instance runs" within 90 running_is 11
all=$({ domains 1; domains 2; } | xargs)
check "once" test "$(xargs -n1 <<<"$all" | sort | uniq -d | wc -l) $(wc -w <<<"$all") $(($(processes 1) + $(processes 2)))" = "0 11 11"
# shellcheck disable=SC2086 # two words
check "all that were asked for" test "$(xargs -n1 <<<"$all" | sort | xargs)" = "$(printf '%s\n' "$lost" $second "$e" "$f" "$g" "$h" "$i" "$j" "$k" "$m" | sort | xargs)"
check "those that ran were not touched" test "$(hosts inside 2 pgrep qemu-system | head -n "$(wc -w <<<"$pids")" | xargs)" = "$pids"
check "the pool holds them" held_is "11 11 $((2 * capacity))"

# ---- the end
ec2 terminate-instances --instance-ids "$h" "$i" "$j" "$k" "$m" >/dev/null
check "those that ended leave" within 90 held_is "6 6 $((2 * capacity))"
scratch_gone
left() { hosts inside "$1" bash -c 'virsh -q list --all --name; virsh -q net-list --all --name; virsh -q pool-list --all --name; ls /var/lib/libvirt/images' | xargs; }
check "destroy leaves nothing on the far hosts" test "$(left 1)|$(left 2)" = "|"
done_testing
