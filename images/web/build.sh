#!/bin/bash
# build.sh OUT - the demonstration's web server as a container image: Debian's static busybox
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
busybox=$(command -v busybox)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022

mkdir -p "$tree"/{bin,www,tmp,etc,proc,sys,dev}
chmod 1777 "$tree/tmp"
install -m 755 "$busybox" "$tree/bin/busybox"
for applet in sh httpd hostname sed cat sleep wget ls ps kill env date echo; do
    ln -s busybox "$tree/bin/$applet"
done
install -m 755 "$here/start" "$tree/start"
printf 'root:x:0:0:root:/:/bin/sh\n' >"$tree/etc/passwd"
"$here/../container-archive.sh" "$tree" "$1" berth-web:latest \
    '{"Cmd":["/start"],"Env":["PATH=/bin"],"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGTERM"}'
