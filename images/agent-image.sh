#!/bin/bash
# agent-image.sh PROGRAM OUT - the container image of the agent: its program and libraries
#
# Holds PROGRAM, what ldd says it needs, the name-service modules libc opens by name, and the
# places where the instance's files are mounted. No shell, no package manager.
set -euo pipefail
program=$1 out=$2
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022

add() { install -D -m "$2" "$1" "$tree$1"; }

install -D -m 755 "$program" "$tree/usr/bin/berth-agent"
strip --strip-unneeded "$tree/usr/bin/berth-agent"
mkdir -p "$tree"/{usr/lib,usr/lib64,data,etc/berth,etc/ssl/certs,run,tmp,proc,sys,dev}
ln -s usr/lib "$tree/lib"
ln -s usr/lib64 "$tree/lib64"
chmod 1777 "$tree/tmp"
ldd "$program" | awk '$2 == "=>" { print $3 } $1 ~ "^/" { print $1 }' | sort -u |
    while read -r library; do add "$library" 755; done
for module in /lib/x86_64-linux-gnu/libnss_{files,dns}.so.2 /lib/x86_64-linux-gnu/libresolv.so.2; do
    [[ ! -e $module ]] || add "$module" 755
done
[[ ! -r /etc/ssl/certs/ca-certificates.crt ]] || add /etc/ssl/certs/ca-certificates.crt 644
printf 'root:x:0:0:root:/:/\n' >"$tree/etc/passwd"
printf 'root:x:0:\n' >"$tree/etc/group"
printf 'hosts: files dns\n' >"$tree/etc/nsswitch.conf"
chmod 644 "$tree"/etc/{passwd,group,nsswitch.conf}
"$here/container-archive.sh" "$tree" "$out" berth-agent:latest \
    '{"Entrypoint":["/usr/bin/berth-agent"],"Env":["PATH=/usr/bin"],"WorkingDir":"/data"}'
