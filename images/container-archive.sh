#!/bin/bash
# container-archive.sh TREE OUT NAME JSON - a directory as a container image, without a daemon
#
# TREE becomes the only layer of image NAME ("berth-agent:latest"); JSON is the "config" object of
# the image (Entrypoint, Env, ...). OUT is a docker-archive: `docker load` takes it, and so does
# `skopeo copy docker-archive:OUT docker://...`. Same tree, same bytes. Source: Docker Image
# Specification v1.2.
set -euo pipefail
export LC_ALL=C TZ=UTC
tree=$1 out=$2 name=$3 config=$4
day=@${SOURCE_DATE_EPOCH:-1767225600}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { tar --sort=name --mtime="$day" --owner=0 --group=0 --numeric-owner --format=ustar "$@"; }
digest() { sha256sum "$1" | cut -d' ' -f1; }

pack -C "$tree" -cf "$work/layer.tar" .
created=$(date -u -d "$day" +%FT%TZ)
printf '{"architecture":"amd64","os":"linux","created":"%s","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"%s","created_by":"berth"}]}' \
    "$created" "$config" "$(digest "$work/layer.tar")" "$created" >"$work/config.json"
id=$(digest "$work/config.json")
mkdir "$work/image"
mv "$work/layer.tar" "$work/image/"
mv "$work/config.json" "$work/image/$id.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$id" "$name" \
    >"$work/image/manifest.json"
mkdir -p "$(dirname "$out")"
pack -C "$work/image" -cf "$out.new" "$id.json" layer.tar manifest.json
mv "$out.new" "$out"
echo "container image: $name: $(($(stat -c %s "$out") / 1000)) kB, id ${id:0:12}"
