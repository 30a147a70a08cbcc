#!/bin/bash
# journey.t - the main job by the stock aws command alone, in real guests: two instances in two
# zones, agents, a service spread over them, its page, waiters, healing, the end
#
# Only what Amazon has no call for is asked of berth: the image, the agents' start, SSH.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"
aws() { /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text "$@"; }
ec2() { aws ec2 "$@"; }
ecs() { aws ecs "$@"; }
stamp() { echo "# $1: $((SECONDS - began)) s"; }

work=$(mktemp -d)
scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
berth up >"$work/out" 2>&1 || { remark <"$work/out"; bail "berth up failed"; }
berth image build ecs-optimized >"$work/out" 2>&1 || { remark <"$work/out"; bail "no image"; }
eval "$(berth env)"
began=$SECONDS

# ---- an image, a key, a web server to run
image=$(ec2 describe-images --owners self --query 'Images[0].ImageId')
check "the image is available" test "$(ec2 describe-images --image-ids "$image" --query 'Images[0].[State,Architecture,RootDeviceType]' | xargs)" = "available x86_64 ebs"
ec2 create-key-pair --key-name journey --key-type ed25519 --query KeyMaterial >"$work/key"
chmod 600 "$work/key"
check "the private key is one" ssh-keygen -y -P '' -f "$work/key"
web=$(berth registry push "$build/web.tar" web:1)

# ---- two instances, one per zone
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "ran on $(hostname)" >/run/user-data\n' >"$work/user-data"
launch() {
    ec2 run-instances --image-id "$image" --instance-type t2.nano --key-name journey \
        --placement "AvailabilityZone=$1" --user-data "file://$work/user-data" \
        --iam-instance-profile Name=ecsInstanceRole --client-token "journey-$1" \
        --tag-specifications "ResourceType=instance,Tags=[{Key=Name,Value=$1},{Key=purpose,Value=test}]" \
        --query 'Instances[0].[InstanceId,PrivateIpAddress]'
}
check "a dry run says that it would have worked" grep -q DryRunOperation <(ec2 run-instances --dry-run --image-id "$image" --instance-type t2.nano 2>&1)
read -r first first_ip < <(launch home-1a)
read -r second second_ip < <(launch home-1b)
check "addresses are known at once ($first_ip, $second_ip)" test -n "$first_ip" -a -n "$second_ip" -a "$first_ip" != "$second_ip"
check "the same token launches nothing new" test "$(launch home-1a | cut -f1)" = "$first"
check "the waiter instance-running ends" ec2 wait instance-running --instance-ids "$first" "$second"
stamp running
for id in $first $second; do
    check "the agent of $id is asked for" berth agent bootstrap "$id" --cluster default
done
check "the waiter instance-status-ok ends" ec2 wait instance-status-ok --instance-ids "$first" "$second"
stamp "status ok"
registered() { [[ $(ecs list-container-instances --cluster default --query 'length(containerInstanceArns)' 2>/dev/null) == 2 ]]; }
connected() {
    local arns
    registered || return 1
    arns=$(ecs list-container-instances --cluster default --query containerInstanceArns)
    # shellcheck disable=SC2086
    [[ $(ecs describe-container-instances --cluster default --container-instances $arns --query 'containerInstances[].agentConnected' | xargs) == "True True" ]]
}
check "both register as container instances, connected" within 180 connected
stamp registered
berth agent list | remark
in_guest() { berth ssh --identity "$work/key" "$first" -- "$@"; }
check "user data ran" within 30 in_guest sudo test -s /run/user-data
check "berth ssh asks nothing, as the image's user" test "$(in_guest id -un </dev/null)" = admin
sed -i "s/ .*/ ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/" "$scratch_root/root/.berth/hosts/$first"
check "a host key that differs is refused by plain ssh" bash -c "! ssh -i $work/key -o BatchMode=yes -o StrictHostKeyChecking=yes -o HostKeyAlias=$first -o UserKnownHostsFile=$scratch_root/root/.berth/hosts/$first admin@$first_ip true 2>/dev/null"
berth ssh --config --identity "$work/key" >/dev/null 2>&1
check "plain ssh works by instance id with the written file" ssh -F "$scratch_root/root/.berth/ssh_config" -o BatchMode=yes "$first" true
console() { grep -q "user data ended" <(ec2 get-console-output --instance-id "$first" --query Output); }
check "the console has the boot log, fetched when first asked for" within 30 console

# ---- a service of two
sed "s|@IMAGE@|$web|" contrib/examples/web.json >"$work/web.json"
check "a task definition is registered" test "$(ecs register-task-definition --cli-input-json "file://$work/web.json" --query taskDefinition.revision)" = 1
ecs create-service --cluster default --service-name web --task-definition web --desired-count 2 >/dev/null
check "the waiter services-stable ends" ecs wait services-stable --cluster default --services web
stamp stable
tasks() { ecs list-tasks --cluster default --service-name web --query 'taskArns'; }
describe() {
    # shellcheck disable=SC2046
    ecs describe-tasks --cluster default --tasks $(tasks) --query "$1"
}
check "one task in each zone" test "$(describe 'tasks[].availabilityZone' | xargs -n1 | sort | xargs)" = "home-1a home-1b"
page_of() {
    local machine port address
    machine=$(ecs describe-tasks --cluster default --tasks "$1" --query 'tasks[0].containerInstanceArn')
    port=$(ecs describe-tasks --cluster default --tasks "$1" --query 'tasks[0].containers[0].networkBindings[0].hostPort')
    machine=$(ecs describe-container-instances --cluster default --container-instances "$machine" --query 'containerInstances[0].ec2InstanceId')
    address=$(ec2 describe-instances --instance-ids "$machine" --query 'Reservations[0].Instances[0].PrivateIpAddress')
    curl -sS --max-time 10 --retry 3 --retry-connrefused "http://$address:$port/"
}
for task in $(tasks); do
    check "task ${task##*/} serves its page" grep -q "Hello from Berth" <(page_of "$task")
done
stamp pages

# ---- healing
victim=$(tasks | cut -f1)
machine=$(ecs describe-tasks --cluster default --tasks "$victim" --query 'tasks[0].containerInstanceArn')
machine=$(ecs describe-container-instances --cluster default --container-instances "$machine" --query 'containerInstances[0].ec2InstanceId')
# shellcheck disable=SC2016
berth ssh --identity "$work/key" "$machine" -- 'sudo docker kill $(sudo docker ps -q --filter label=com.amazonaws.ecs.task-definition-family=web)' >/dev/null
healed() {
    local now
    # shellcheck disable=SC2016
    now=$(describe 'tasks[?lastStatus==`RUNNING`].taskArn')
    [[ $now != *$1* && $(wc -w <<<"$now") == 2 ]]
}
check "a killed container's task is replaced" within 90 healed "$victim"
stamp "container healed"
check "and the dead one says why" test "$(ecs describe-tasks --cluster default --tasks "$victim" --query 'tasks[0].[lastStatus,stopCode,containers[0].exitCode]' | xargs)" = "STOPPED EssentialContainerExited 137"

domain=$(virsh -q -c qemu:///system list --name | grep -F "$scratch_name-$second")
victim=$(ecs list-tasks --cluster default --container-instance "$(ecs list-container-instances --cluster default --filter "ec2InstanceId == $second" --query 'containerInstanceArns[0]')" --query 'taskArns[0]')
virsh -q -c qemu:///system destroy "$domain" && virsh -q -c qemu:///system undefine "$domain"
state_of() { ec2 describe-instances --instance-ids "$1" --query 'Reservations[0].Instances[0].State.Name'; }
is_state() { [[ $(state_of "$1") == "$2" ]]; }
check "a guest destroyed behind Berth's back is seen" within 60 is_state "$second" terminated
reason=$(ec2 describe-instances --instance-ids "$second" --query 'Reservations[0].Instances[0].StateReason.[Code,Message]')
echo "# reason: $reason"
check "with a reason that blames the server" grep -q '^Server\.' <<<"$reason"
check "its task is replaced on the other instance" within 150 healed "$victim"
stamp "guest healed"
check "services-stable again" ecs wait services-stable --cluster default --services web
for task in $(tasks); do
    check "task ${task##*/} serves its page" grep -q "Hello from Berth" <(page_of "$task")
done
ecs describe-services --cluster default --services web --query 'services[0].events[].message' | tr '\t' '\n' | remark

# ---- the end
ecs update-service --cluster default --service web --desired-count 0 >/dev/null
check "the waiter services-stable ends at zero" ecs wait services-stable --cluster default --services web
ecs delete-service --cluster default --service web >/dev/null
check "the waiter services-inactive ends" ecs wait services-inactive --cluster default --services web
ec2 stop-instances --instance-ids "$first" >/dev/null
check "the waiter instance-stopped ends" ec2 wait instance-stopped --instance-ids "$first"
ec2 start-instances --instance-ids "$first" >/dev/null
check "a stopped instance starts again with its address" within 60 is_state "$first" running
check "the same one" test "$(ec2 describe-instances --instance-ids "$first" --query 'Reservations[0].Instances[0].PrivateIpAddress')" = "$first_ip"
back() { [[ $(ecs list-container-instances --cluster default --filter 'agentConnected == true' --query 'length(containerInstanceArns)') == 1 ]]; }
check "its agent comes back by itself" within 120 back
ec2 terminate-instances --instance-ids "$first" >/dev/null
check "the waiter instance-terminated ends" ec2 wait instance-terminated --instance-ids "$first"
check "no domain is left" test -z "$(virsh -q -c qemu:///system list --all --name | grep -F "$scratch_name-i-")"
stamp "all"
done_testing
