# probe.sh - what an instance has of the container agent; runs as root, prints NAME=VALUE lines
set -u
yes_if() { "$@" >/dev/null 2>&1 && echo yes || echo no; }
digest() { sha256sum 2>/dev/null | cut -c1-64; }
echo "machine=$(uname -m)"
echo "docker=$(yes_if test -S /run/docker.sock)"
echo "systemd=$(yes_if test -d /run/systemd/system)"
echo "curl=$(yes_if command -v curl)"
echo "image=$(yes_if curl --silent --fail --unix-socket /run/docker.sock http://docker/images/berth-agent/json)"
[ ! -r /etc/berth/agent.conf ] || {
    echo "key=$(sed -n 's/^AWS_ACCESS_KEY_ID=//p' /etc/berth/agent.conf)"
    echo "settings=$(grep -v '^AWS_' /etc/berth/agent.conf | digest)"
}
echo "active=$(yes_if systemctl --quiet is-active berth-agent)"
