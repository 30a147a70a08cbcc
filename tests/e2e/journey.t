#!/bin/bash
# journey.t - the main job by the stock aws command alone, in real guests: two instances in two
# zones, agents, a service spread over them, its page, waiters; into containers, limits, upgrade and
# roll-back of the agent, a reboot; healing, the end
#
# Only what Amazon has no call for is asked of berth: the image, the agents' start, SSH.
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"
aws() { /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text "$@"; }
ecs() { aws ecs "$@"; }
stamp() { echo "# $1: $((SECONDS - began)) s"; }

work=$(mktemp -d)
scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
scratch_up
must "no image" berth image build ecs-optimized
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
    # asked of berth first, which costs the guests less than the aws command does
    [[ $(berth agent status --json | jq '[.[] | select(.Connected)] | length') == 2 ]] && registered || return 1
    arns=$(ecs list-container-instances --cluster default --query containerInstanceArns)
    # shellcheck disable=SC2086
    [[ $(ecs describe-container-instances --cluster default --container-instances $arns --query 'containerInstances[].agentConnected' | xargs) == "True True" ]]
}
check "both register as container instances, connected" within 180 connected
stamp registered
berth agent list | remark
in_guest() { berth ssh --identity "$work/key" "$first" -- "$@"; }
check "user data ran" within 90 in_guest sudo test -s /run/user-data
check "berth ssh asks nothing, as the image's user" test "$(in_guest id -un </dev/null)" = admin
sed -i "s/ .*/ ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/" "$scratch_root/root/.berth/hosts/$first"
check "a host key that differs is refused by plain ssh" bash -c "! ssh -i $work/key -o BatchMode=yes -o StrictHostKeyChecking=yes -o HostKeyAlias=$first -o UserKnownHostsFile=$scratch_root/root/.berth/hosts/$first admin@$first_ip true 2>/dev/null"
berth ssh --config --identity "$work/key" >/dev/null 2>&1
check "plain ssh works by instance id with the written file" ssh -F "$scratch_root/root/.berth/ssh_config" -o BatchMode=yes "$first" true
check "the first call has the console's boot log" grep -q "user data ended" <(ec2 get-console-output --instance-id "$first" --query Output)
check "no key lies on the instance: the agent has its role's" in_guest "sudo sh -c 'test -s /etc/berth/agent.conf && ! grep -q AWS_ /etc/berth/agent.conf'"

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
# Two tasks run, and none of them is this one.
healed() {
    local now
    # shellcheck disable=SC2016
    now=$(describe 'tasks[?lastStatus==`RUNNING`].taskArn')
    [[ $now != *$1* && $(wc -w <<<"$now") == 2 ]]
}

# ---- a task with limits, on the first instance: exec, logs, control groups
machine_of() { ecs list-container-instances --cluster default --filter "ec2InstanceId == $1" --query 'containerInstanceArns[0]'; }
arns=$(ecs list-container-instances --cluster default --query 'sort(containerInstanceArns)')
jq -n --arg image "$web" '{family: "limits", cpu: "256", memory: "128", containerDefinitions: [{name: "one", image: $image, memory: 64,
    entryPoint: ["sh", "-c"], command: ["trap \"exit 42\" TERM; n=0; while :; do n=$((n+1)); echo line $n; sleep 1; done"]}]}' >"$work/limits.json"
ecs register-task-definition --cli-input-json "file://$work/limits.json" >/dev/null
busy=$(ecs start-task --cluster default --task-definition limits --container-instances "$(machine_of "$first")" --query 'tasks[0].taskArn')
check "the waiter tasks-running ends" ecs wait tasks-running --cluster default --tasks "$busy"
busy=${busy##*/}
in_task() { berth exec --identity "$work/key" "$busy" -- "$@"; }
said=$(in_task sh -c 'cat; echo out; echo err >&2; exit 3' 2>"$work/err" <<<in)
check "exec passes input, both outputs and the exit code" test "$? $(xargs <<<"$said") $(<"$work/err")" = "3 in out err"
# Docker tells a terminal's size a moment after the command has begun
script -qec "stty rows 33 cols 99; $build/berth exec --identity $work/key $busy -- sh -c 'test -t 0 || exit 8
    for n in 1 2 3 4 5 6 7 8 9; do stty size 2>/dev/null | grep -q ^[1-9] && break; sleep 1; done; stty size; exit 7'" /dev/null </dev/null >"$work/out" 2>&1
check "with a terminal it has one, of the same size" test "$? $(tr -dc '0-9 \n' <"$work/out" | xargs)" = "7 33 99"
check "logs of a task: its last line" grep -qx 'line [0-9]*' <(berth logs --identity "$work/key" "$busy" --tail 1)
: >"$work/log"
"$build/berth" logs -f --identity "$work/key" "$busy" --tail 0 >"$work/log" 2>&1 &
follow=$!
followed() { [[ $(wc -l <"$work/log") -ge 3 ]]; }
check "logs -f goes on" within 60 followed
kill -9 $follow
wait $follow 2>/dev/null
no_client() { in_guest "! pgrep -f '[d]ocker.* logs --follow' >/dev/null" </dev/null; }
check "killed here, it leaves nothing there" within 60 no_client
check "logs of a service name its tasks" test "$(berth logs --identity "$work/key" web 2>&1 | grep -c ' web | .*serves on port')" = 2
limits=$(in_guest "cd /sys/fs/cgroup/ecs/$busy && cat cpu.max memory.max && cat */cgroup.procs" </dev/null)
check "its control group has its limits, and its processes" grep -qE '^25000 100000 134217728 [0-9]+' <(xargs <<<"$limits")
stamp "exec, logs, limits"

# ---- the first instance reboots; meanwhile another agent under the second one's tasks, and a broken one
reached() { ecs describe-container-instances --cluster default --container-instances "$(machine_of "$1")" --query 'containerInstances[0].agentConnected'; }
away() { [[ $(reached "$first") == False ]]; }
tasks_there=$(ecs list-tasks --cluster default --container-instance "$(machine_of "$second")" --query taskArns)
# shellcheck disable=SC2086
containers() { ecs describe-tasks --cluster default --tasks $tasks_there --query 'tasks[].containers[].[runtimeId,lastStatus]' | sort | xargs; }
same=$(containers)
victim=$(ecs list-tasks --cluster default --service-name web --container-instance "$(machine_of "$first")" --query 'taskArns[0]')
objcopy --add-section .another=/etc/hostname "$build/berth-agent" "$work/agent"
images/agent-image.sh "$work/agent" "$work/agent.tar" >/dev/null
check "another agent's image is another" bash -c "! cmp -s $work/agent.tar $build/berth-agent.tar"
ec2 reboot-instances --instance-ids "$first"
check "an instance that reboots is away" within 90 away
berth agent upgrade --one --image "$work/agent.tar" >"$work/out" 2>&1
check "berth agent upgrade puts another agent there" test $? = 0
remark <"$work/out"
check "on the machine that is not away" grep -q "^ *$second  *replaced" "$work/out"
check "under the same containers" test "$(containers)" = "$same"
stamp upgrade
mkdir -p "$work/bad/bin" && cp /bin/busybox "$work/bad/bin/false"
images/container-archive.sh "$work/bad" "$work/bad.tar" berth-agent:latest '{"Entrypoint":["/bin/false"]}' >/dev/null
berth agent upgrade --one --image "$work/bad.tar" --timeout 10 >"$work/out" 2>&1
check "a broken one is refused" test $? = 1
remark <"$work/out"
check "the former one is back" grep -q "the former agent is back" "$work/out"
check "under the same containers still" test "$(containers)" = "$same"
stamp roll-back
ended() { [[ $(ecs describe-tasks --cluster default --tasks "$busy" --query 'tasks[0].lastStatus') == STOPPED ]]; }
check "a reboot ends tasks" within 180 ended
check "with the exit code of their own ends" test "$(ecs describe-tasks --cluster default --tasks "$busy" --query 'tasks[0].[stopCode,containers[0].exitCode]' | xargs)" = "EssentialContainerExited 42"
check "both agents are connected again" within 120 connected
check "as the same container instances" test "$(ecs list-container-instances --cluster default --query 'sort(containerInstanceArns)')" = "$arns"
check "the service is whole again" within 90 healed "$victim"
running_there() { berth ssh --identity "$work/key" "$1" -- "sudo docker ps -q --filter label=com.amazonaws.ecs.task-definition-family=web | wc -l" </dev/null; }
check "with no container too many" test "$(($(running_there "$first") + $(running_there "$second")))" = 2
stamp reboot

# ---- healing
victim=$(tasks | cut -f1)
machine=$(ecs describe-tasks --cluster default --tasks "$victim" --query 'tasks[0].containerInstanceArn')
machine=$(ecs describe-container-instances --cluster default --container-instances "$machine" --query 'containerInstances[0].ec2InstanceId')
# shellcheck disable=SC2016
berth ssh --identity "$work/key" "$machine" -- 'sudo docker kill $(sudo docker ps -q --filter label=com.amazonaws.ecs.task-definition-family=web)' >/dev/null
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
