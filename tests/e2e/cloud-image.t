#!/bin/bash
# cloud-image.t - a stock cloud image in real guests, by the stock aws command: what a distribution
# publishes is imported, launched with a key and user data, logged into, restarted and ended
#
# Two guests at the same time: one is looked at closely and rebooted, the other stopped and started.
# The image is Debian's packages alone (tests/lib/cloud-image.sh): cloud-init reads our seed, and
# tells the host's keys on the serial console. Nothing of Berth's is inside.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"
began=$SECONDS
stamp() { echo "# $1: $((SECONDS - began)) s"; }

work=$(mktemp -d)
file=$(tests/lib/cloud-image.sh 2>"$work/out") || { remark <"$work/out"; bail "no cloud image"; }
remark <"$work/out"
scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
scratch_up
began=$SECONDS

# ---- import
import() { berth image import "$file" --name debian-12 --user debian >"$work/import"; }
check "the file is imported" import
image=$(ec2 describe-images --filters Name=name,Values=debian-12 --query 'Images[0].ImageId')
check "the waiter image-available ends" ec2 wait image-available --image-ids "$image"
root_device=$(ec2 describe-images --image-ids "$image" --query 'Images[0].RootDeviceName')
check "its root volume is as large as its disk" test "$(ec2 describe-images --image-ids "$image" --query 'Images[0].BlockDeviceMappings[0].Ebs.VolumeSize')" = 3
stamp imported

# ---- launch: a key, a larger disk, and user data of two kinds in one
ec2 create-key-pair --key-name cloud --key-type ed25519 --query KeyMaterial >"$work/key"
chmod 600 "$work/key"
cat >"$work/user-data" <<'END'
Content-Type: multipart/mixed; boundary="parts"
MIME-Version: 1.0

--parts
Content-Type: text/cloud-config

#cloud-config
write_files:
  - path: /etc/motd
    content: "written by cloud-config\n"

--parts
Content-Type: text/x-shellscript

#!/bin/sh
echo "script ran on $(hostname)" >>/var/lib/script-ran

--parts--
END
mapfile -t launched < <(ec2 run-instances --image-id "$image" --instance-type t2.nano --count 2 --key-name cloud \
    --user-data "file://$work/user-data" --block-device-mappings "DeviceName=$root_device,Ebs={VolumeSize=5}" \
    --query 'Instances[].[InstanceId,PrivateIpAddress]')
declare -A ip_of
for line in "${launched[@]}"; do
    read -r id ip <<<"$line"
    check "its address is promised at once ($ip)" test -n "$ip"
    ip_of[$id]=$ip
done
read -r one two < <(cut -f1 <(printf '%s\n' "${launched[@]}") | xargs)
check "the waiter instance-status-ok ends" ec2 wait instance-status-ok --instance-ids "$one" "$two"
stamp "SSH answers"

# ---- who it is, known before anybody connects
id=$one ip=${ip_of[$one]} # the guest that is spoken to
check "berth ssh asks nothing: the console told the host's keys" test "$(berth ssh --identity "$work/key" "$id" -- id -un </dev/null 2>"$work/ssh.err")" = debian
remark <"$work/ssh.err"
guest() { shared_ssh "$id" -- "$@" </dev/null 2>/dev/null; }
for instance in $one $two; do
    check "plain ssh knows $instance" within 60 shared_ssh_open "$work/key" "$instance"
done
stamp "logged in"
check "and they are the guest's own" grep -qF "$(guest cut -d" " -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" "$scratch_root/root/.berth/hosts/$id"
seed_taken() { guest grep -q DataSourceNoCloud /run/cloud-init/result.json; }
check "the seed was taken" within 180 seed_taken
check "without an error" guest "grep -q 'errors.*\[\]' /run/cloud-init/result.json"
stamp "cloud-init ended"

# ---- the other one is stopped while this one is looked at
keep() { guest 'echo kept | sudo tee /var/lib/kept && sync' >/dev/null; }
boot_id() { guest cat /proc/sys/kernel/random/boot_id; }
rebooted() { local now; now=$(boot_id); [[ -n $now && $now != "${first[$id]}" ]] && shared_ssh_open "$work/key" "$id"; }
declare -A first
id=$two
check "the other took its seed, too" within 180 seed_taken
keep
first[$id]=$(boot_id)
shared_ssh_close "$id"
ec2 stop-instances --instance-ids "$id" >/dev/null
id=$one

check "the guest has the name that DescribeInstances tells" test "$(guest hostname)" = "$(ec2 describe-instances --instance-ids "$id" --query 'Reservations[0].Instances[0].PrivateDnsName' | cut -d. -f1)"
check "and the address that was promised" test "$(guest hostname -I | xargs)" = "$ip"
check "its root has grown to the volume" guest "test \$(df --output=size -BM / | tail -n 1 | tr -dc 0-9) -gt 4500"
check "cloud-config was obeyed" test "$(guest cat /etc/motd)" = "written by cloud-config"
script_ran() { [[ $(guest cat /var/lib/script-ran) == "script ran on $(guest hostname)" ]]; }
check "the script ran" script_ran
# shellcheck disable=SC2016 # for the guest to expand
check "metadata answer inside" test "$(guest 'T=$(curl -s -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 60" http://169.254.169.254/latest/api/token) && curl -s -H "X-aws-ec2-metadata-token: $T" http://169.254.169.254/latest/meta-data/instance-id')" = "$id"
console() { ec2 get-console-output --instance-id "$id" --query Output >"$work/console"; grep -q "$1" "$work/console"; }
check "the console has the kernel's words" within 30 console "EXT4-fs (vda1): mounted"
check "and cloud-init's" grep -q "Cloud-init v.* finished" "$work/console"

# ---- reboot here, stop and start there: the same machines
keep
first[$id]=$(boot_id)
shared_ssh_close "$id"
ec2 reboot-instances --instance-ids "$id"
check "the waiter instance-stopped ends" ec2 wait instance-stopped --instance-ids "$two"
check "the guest switched itself off" grep -q "Power down" <(tail -n 5 "/var/lib/libvirt/images/$scratch_name-console/$two.console")
ec2 start-instances --instance-ids "$two" >/dev/null
stamp stopped
again() {
    # SSH answers before cloud-init has ended and told how
    check "$1: the seed was found again" within 180 seed_taken
    check "$1: its data are there" test "$(guest cat /var/lib/kept)" = kept
    # shellcheck disable=SC2016
    check "$1: with the same name and address" test "$(guest 'echo $(hostname) $(hostname -I)')" = "ip-${ip//./-} $ip"
    check "$1: cloud-init knows it for the same: the script has run once" test "$(guest cat /var/lib/script-ran | wc -l)" = 1
    check "$1: no unit failed" test "$(guest 'systemctl --failed --plain --no-legend; echo none')" = none
}
check "it boots again when asked to" within 600 rebooted
again reboot
stamp rebooted
id=$two ip=${ip_of[$two]}
check "the other starts again" within 600 rebooted
again start
stamp restarted

# ---- the end
shared_ssh_close "$one"
shared_ssh_close "$two"
ec2 terminate-instances --instance-ids "$one" "$two" >/dev/null
check "the waiter instance-terminated ends" ec2 wait instance-terminated --instance-ids "$one" "$two"
left() {
    virsh -q -c qemu:///system list --all --name
    for pool in "$scratch_name" "$scratch_name-console"; do virsh -q -c qemu:///system vol-list "$pool"; done
    virsh -q -c qemu:///system net-dumpxml "$scratch_name-net"
}
check "nothing of them is left" bash -c "! grep -qE '$one|$two|${ip_of[$one]}|${ip_of[$two]}' <<<\"\$1\"" - "$(left)"
stamp all
done_testing
