# probe.sh - what an instance has of the container agent; runs as root, prints NAME=VALUE lines
# Standard input: a path a line; for each the SHA-256 of what is there is printed.
set -u
yes_if() { "$@" >/dev/null 2>&1 && echo yes || echo no; }
metadata() { curl --silent --fail --max-time 3 "$@"; }
has_role() {
    service=http://169.254.169.254/latest
    token=$(metadata --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' $service/api/token) &&
        role=$(metadata --header "X-aws-ec2-metadata-token: $token" $service/meta-data/iam/security-credentials/) &&
        [ -n "$role" ]
}
echo "machine=$(uname -m)"
echo "docker=$(yes_if test -S /run/docker.sock)"
echo "systemd=$(yes_if test -d /run/systemd/system)"
echo "curl=$(yes_if command -v curl)"
echo "role=$(yes_if has_role)"
echo "image=$(yes_if curl --silent --fail --unix-socket /run/docker.sock http://docker/images/berth-agent/json)"
while IFS= read -r path; do
    [ ! -r "$path" ] || echo "$path=$(sha256sum <"$path" | cut -c1-64)"
done
[ ! -r /etc/berth/agent.conf ] || {
    echo "key=$(sed -n 's/^AWS_ACCESS_KEY_ID=//p' /etc/berth/agent.conf)"
    echo "settings=$(grep -v '^AWS_' /etc/berth/agent.conf | sha256sum | cut -c1-64)"
}
