#!/bin/bash
# metadata.t - real guests read the metadata service at its own address: tokens, identity, the role's
# credentials, which the API takes; a guest that lies about its address is heard by nobody. One of
# them stands for any machine with Docker, too, which "berth agent install" makes a container instance
set -u
# shellcheck source=tests/lib/scratch.sh
. "$(dirname "$0")/../lib/scratch.sh"

work=$(mktemp -d)
scratch_new
trap 'scratch_gone; rm -rf "$scratch_root" "$work"' EXIT
trap 'exit 130' INT TERM HUP
export BERTH_IMAGE_CACHE=${BERTH_IMAGE_CACHE:-/var/cache/berth/images}
scratch_up
must "no image" berth image build ecs-optimized

image=$(ec2 describe-images --owners self --query 'Images[0].ImageId')
ec2 create-key-pair --key-name meta --key-type ed25519 --query KeyMaterial >"$work/key"
chmod 600 "$work/key"
printf '#!/bin/sh\ntrue\n' >"$work/user-data"
launch() {
    ec2 run-instances --image-id "$image" --instance-type t2.nano --key-name meta \
        --query 'Instances[0].[InstanceId,PrivateIpAddress]' "$@"
}
read -r one one_ip < <(launch --user-data "file://$work/user-data" --iam-instance-profile Name=ecsInstanceRole)
read -r two two_ip < <(launch)
for id in $one $two; do
    check "$id answers" within 180 ec2 wait instance-status-ok --instance-ids "$id"
    check "and lets its user in" within 60 shared_ssh_open "$work/key" "$id"
done

# A client in the guest needs bash alone. ask METHOD PATH [HEADER...] prints status line and body.
cat >"$work/ask" <<'END'
exec 3<>"/dev/tcp/${HOST:-169.254.169.254}/80" || exit 9
printf '%s %s HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n' "$1" "$2" >&3
shift 2
printf '%s\r\n' "$@" >&3
printf '\r\n' >&3
timeout "${SECONDS_MAX:-5}" cat <&3
END
in_guest() { shared_ssh "$@"; }
ask() {
    local guest=$1
    shift
    in_guest "$guest" -- "timeout 9 bash -s -- $(printf '%q ' "$@")" <"$work/ask" 2>/dev/null | tr -d '\r'
}
body() { sed '1,/^$/d'; }
token_of() { ask "$1" PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 300' | body; }
token=$(token_of "$one")
other=$(token_of "$two")
check "a guest gets a token" test "${#token}" = 56
get() { ask "$one" GET "/latest/$1" "X-aws-ec2-metadata-token: $token" | body; }
check "it reads which instance it is" test "$(get meta-data/instance-id)" = "$one"
check "the other one reads the other" test "$(ask "$two" GET /latest/meta-data/instance-id "X-aws-ec2-metadata-token: $other" | body)" = "$two"
check "its address is its own" test "$(get meta-data/local-ipv4)" = "$one_ip"
check "the identity document names it" test "$(get dynamic/instance-identity/document | jq -r .instanceId)" = "$one"
check "user data is what was given" test "$(get user-data)" = "$(cat "$work/user-data")"
check "without a token it reads nothing" grep -q ' 401 ' <(ask "$one" GET /latest/meta-data/instance-id | head -n 1)
check "nor with the other's" grep -q ' 401 ' <(ask "$one" GET /latest/meta-data/instance-id "X-aws-ec2-metadata-token: $other" | head -n 1)

# ---- the role's credentials, used from outside by the stock CLI
get meta-data/iam/security-credentials/ecsInstanceRole >"$work/credentials"
field() { jq -r ".$1" "$work/credentials"; }
who=$(AWS_ACCESS_KEY_ID=$(field AccessKeyId) AWS_SECRET_ACCESS_KEY=$(field SecretAccessKey) AWS_SESSION_TOKEN=$(field Token) \
    /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text sts get-caller-identity --query Arn)
check "the role's credentials are the instance's: $who" grep -q ":assumed-role/ecsInstanceRole/$one\$" <<<"$who"
check "an instance without a profile has none" grep -q ' 404 ' <(ask "$two" GET /latest/meta-data/iam/security-credentials/ "X-aws-ec2-metadata-token: $other" | head -n 1)

# ---- another's address
in_guest "$two" -- "sudo ip address add $one_ip/32 dev \$(ip -o -4 route show default | awk '{print \$5}')" </dev/null
lie=$(in_guest "$two" -- "sudo ip route replace 169.254.169.254/32 via ${scratch_cidr%.0/16}.1 src $one_ip" </dev/null && ask "$two" GET /latest/meta-data/instance-id)
check "a guest that sends from another's address hears nothing" test -z "$lie"
in_guest "$two" -- "sudo ip route del 169.254.169.254/32" </dev/null
check "with its own it is served again" test "$(ask "$two" GET /latest/meta-data/instance-id "X-aws-ec2-metadata-token: $other" | body)" = "$two"
check "and the other is where it was" test "$(get meta-data/instance-id)" = "$one"

# ---- the second guest as any machine with Docker: made a container instance over ssh
registry=${scratch_cidr%.0/16}.1:$scratch_registry_port
sed "s/^[^ ]*/$two_ip/" "$scratch_root/root/.berth/hosts/$two" >"$work/known"
: >"$work/nobody"
install() {
    berth agent install --host "admin@$two_ip" --identity "$work/key" --known-hosts "$1" --cluster edge \
        --zone home-1b --registry "$registry"
}
check "a machine whose host key is not known is refused" bash -c "! BERTH_ROOT=$BERTH_ROOT $build/berth agent install --host admin@$two_ip --identity $work/key --known-hosts $work/nobody --cluster edge 2>/dev/null"
machine=$(install "$work/known" 2>"$work/out" | tail -n 1)
remark <"$work/out"
check "berth agent install makes it a container instance ($machine)" test "${machine#mi-}" != "$machine"
ecs() { /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" --output text ecs "$@"; }
check "which is connected" test "$(ecs describe-container-instances --cluster edge --container-instances "$(ecs list-container-instances --cluster edge --query 'containerInstanceArns[0]')" --query 'containerInstances[0].[ec2InstanceId,agentConnected]' | xargs)" = "$machine True"
web=$(berth registry push "$build/web.tar" web:1)
jq --arg image "$web" '.cpu = "128" | .memory = "96" | .containerDefinitions[0].image = $image' contrib/examples/web.json >"$work/web.json"
ecs register-task-definition --cli-input-json "file://$work/web.json" >/dev/null
task=$(ecs run-task --cluster edge --task-definition web --query 'tasks[0].taskArn')
check "a task runs there" ecs wait tasks-running --cluster edge --tasks "$task"
port=$(ecs describe-tasks --cluster edge --tasks "$task" --query 'tasks[0].containers[0].networkBindings[0].hostPort')
page() { curl -sf --max-time 5 "http://$two_ip:$port/" | grep -q "Hello from Berth"; }
check "and serves its page" within 60 page
check "in a control group with the task's limits" grep -qE '^12500 100000 100663296' <(in_guest "$two" -- "cd /sys/fs/cgroup/ecs/${task##*/} && cat cpu.max memory.max" </dev/null | xargs)
# shellcheck disable=SC2016
check "it reads its task's metadata" test "$(berth exec --identity "$work/key" --cluster edge "$task" -- sh -c 'wget -qO- "$ECS_CONTAINER_METADATA_URI_V4/task"' </dev/null | jq -r .TaskARN)" = "$task"

# ---- a container behind the guest's bridge: one hop too many for a token
# What is lost on the way is sent again after 1, 2 and 4 s, which is waited for.
probe='printf "%s %s HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n%s\r\n\r\n" "$1" "$2" "$3" | timeout 8 busybox nc 169.254.169.254 80'
container() { berth exec --identity "$work/key" --cluster edge "$task" -- sh -c "$probe" sh "$@" </dev/null 2>/dev/null | tr -d '\r'; }
ttl='X-aws-ec2-metadata-token-ttl-seconds: 300'
check "a container's question arrives" grep -q ' 401 ' <(container GET /latest/meta-data/instance-id 'Accept: */*' | head -n 1)
check "but no token comes back to it" test -z "$(container PUT /latest/api/token "$ttl")"
ec2 modify-instance-metadata-options --instance-id "$two" --http-put-response-hop-limit 2 >/dev/null
opened() { container PUT /latest/api/token "$ttl" | head -n 1 | grep -q ' 200 '; }
check "with a hop limit of two it does" within 30 opened

# ---- and made a plain machine again
removed() { berth agent remove "$machine" --cluster edge --force >/dev/null; }
check "berth agent remove takes all of it away" removed
check "no container, no file" test -z "$(in_guest "$two" -- 'sudo docker ps -aq; sudo ls -A /var/lib/berth-agent 2>/dev/null' </dev/null)"
check "and no container instance" test -z "$(ecs list-container-instances --cluster edge --query containerInstanceArns)"
shared_ssh_close "$one"
shared_ssh_close "$two"
ec2 terminate-instances --instance-ids "$one" "$two" >/dev/null
check "both end" ec2 wait instance-terminated --instance-ids "$one" "$two"
dead() {
    ! AWS_ACCESS_KEY_ID=$(field AccessKeyId) AWS_SECRET_ACCESS_KEY=$(field SecretAccessKey) AWS_SESSION_TOKEN=$(field Token) \
        /usr/bin/aws --endpoint-url "$AWS_ENDPOINT_URL" sts get-caller-identity >/dev/null 2>&1
}
check "and with them the credentials" within 60 dead
done_testing
