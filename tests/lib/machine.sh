#!/bin/sh
# machine.sh FOLDER ADDRESS - an instance without a guest: sshd on a loopback address, port 22
#
# It shows this machine's files through a layer of its own, so that what is put on the instance
# never lies on this machine: everything is below FOLDER/layer, which only this process and its
# children see (/proc/PID/root/...). systemctl, docker and curl are FOLDER/bin's, which note how
# they were called. Runs until it is killed; FOLDER/host_key is its identity, FOLDER/keys whom it
# lets in, as root.
set -eu
folder=$1 address=$2

if [ "${3:-}" != inside ]; then
    exec unshare --mount --propagation private "$0" "$folder" "$address" inside
fi
mkdir -p "$folder/layer"
mount -t tmpfs layer "$folder/layer"
for name in etc usr var; do
    mkdir "$folder/layer/$name" "$folder/layer/$name.work"
    mount -t overlay machine -o \
        "lowerdir=/$name,upperdir=$folder/layer/$name,workdir=$folder/layer/$name.work" "/$name"
done
mount --bind "$folder/run" /run
exec /usr/sbin/sshd -D -e -f /dev/null -h "$folder/host_key" -o "ListenAddress=$address:22" \
    -o "AuthorizedKeysFile=$folder/keys" -o StrictModes=no -o UsePAM=no -o PidFile=none \
    -o PermitRootLogin=prohibit-password -o PasswordAuthentication=no \
    -o "SetEnv=PATH=$folder/bin:/usr/sbin:/usr/bin:/sbin:/bin MACHINE=$folder"
