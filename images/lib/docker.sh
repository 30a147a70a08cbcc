# docker.sh - puts a container image into a tree's Docker, without Docker; sourced by build.sh
# shellcheck shell=bash
# Needs: work (build.sh)

# docker_preload ROOT ARCHIVE: unpacks a docker-archive of one layer where dockerd's overlay2
# driver looks for it, so that instances need not load it, which costs them seconds. Without
# tar-split data such an image runs, but cannot be pushed or saved from there.
docker_preload() {
    local root=$1/var/lib/docker archive=$2 unpacked=$work/container config id name layer cache link
    mkdir -p "$unpacked"
    tar -C "$unpacked" -xf "$archive"
    config=$(sed -n 's/.*"Config":"\([0-9a-f]\{64\}\)\.json".*/\1/p' "$unpacked/manifest.json")
    name=$(sed -n 's/.*"RepoTags":\["\([^"]*\)"\].*/\1/p' "$unpacked/manifest.json")
    grep -q '"Layers":\["layer.tar"\]' "$unpacked/manifest.json" && [[ -n $config && -n $name ]] ||
        fail "\"$archive\" is not a docker-archive of one layer"
    id=sha256:$config
    layer=$(sha256sum "$unpacked/layer.tar" | cut -d' ' -f1)
    cache=$(printf 'berth %s' "$layer" | sha256sum | cut -d' ' -f1)
    link=$(cut -c1-26 <<<"${cache^^}")
    (
        umask 077
        mkdir -p "$root/image/overlay2"/{distribution,imagedb/{content,metadata}/sha256} \
            "$root/image/overlay2/layerdb"/{tmp,"sha256/$layer"} "$root/overlay2"/{l,"$cache"}
        mv "$unpacked/$config.json" "$root/image/overlay2/imagedb/content/sha256/$config"
        printf '%s' "$cache" >"$root/image/overlay2/layerdb/sha256/$layer/cache-id"
        printf 'sha256:%s' "$layer" >"$root/image/overlay2/layerdb/sha256/$layer/diff"
        printf '{"Repositories":{"%s":{"%s":"%s"}}}' "${name%:*}" "$name" "$id" \
            >"$root/image/overlay2/repositories.json"
        printf '%s' "$link" >"$root/overlay2/$cache/link"
    )
    chmod 710 "$root" "$root/overlay2" "$root/overlay2/$cache"
    mkdir -m 755 "$root/overlay2/$cache/diff"
    ln -s "../$cache/diff" "$root/overlay2/l/$link"
    tar -C "$root/overlay2/$cache/diff" --numeric-owner -xpf "$unpacked/layer.tar"
    find "$root/overlay2/$cache/diff" -type f -printf '%s\n' |
        awk '{ sum += $1 } END { printf "%d", sum }' >"$root/image/overlay2/layerdb/sha256/$layer/size"
}
