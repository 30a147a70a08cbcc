#!/bin/bash
# The rules by which containers reach the agent, in network namespaces of their own: a machine, and
# a container beside it.
set -u
run=$(cd "$(dirname "$0")/../.." && pwd)/images/ecs-optimized/root/usr/lib/berth/agent-run
machine=berth-agent-m$$ container=berth-agent-c$$
work=$(mktemp -d)
count=0 failed=0 server=

# shellcheck disable=SC2317,SC2329  # called by trap
end() {
    [ -z "$server" ] || kill "$server"
    ip netns del $container 2>/dev/null
    ip netns del $machine 2>/dev/null
    rm -rf "$work"
}
trap end EXIT

on() { ip netns exec "$@"; }
is() { # WHAT GOT WANTED
    count=$((count + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $count - $1"
    else
        failed=$((failed + 1))
        printf 'not ok %d - %s\n# got: %s\n# wanted: %s\n' "$count" "$1" "$2" "$3"
    fi
}
fetch() { on "$1" curl --silent --max-time 3 "$2"; }
rules() { on $machine iptables-save | grep -c -e 169.254.170.2 -e 127.0.0.0/8; }

ip netns add $machine && ip netns add $container || { echo "1..0 # SKIP no network namespaces"; exit 0; }
on $machine ip link set lo up
on $container ip link set lo up
ip -n $machine link add c0 type veth peer name eth0 netns $container
ip -n $machine addr add 10.99.0.1/24 dev c0
ip -n $machine link set c0 up
ip -n $container addr add 10.99.0.2/24 dev eth0
ip -n $container link set eth0 up
ip -n $container route add default via 10.99.0.1
ip -n $machine route add default via 10.99.0.2 # for the machine's own calls, any way out will do
echo -n hello >"$work/index.html"
(cd "$work" && exec ip netns exec $machine /usr/bin/python3 -m http.server --bind 127.0.0.1 51679) \
    >/dev/null 2>&1 &
server=$!
for _ in $(seq 50); do
    [ "$(fetch $machine http://127.0.0.1:51679/)" != hello ] || break
    sleep 0.1
done

is "without the rules a container reaches nothing" "$(fetch $container http://169.254.170.2/)" ""
on $machine "$run" --up
is "with them it reaches the agent" "$(fetch $container http://169.254.170.2/)" hello
is "so does a container in the machine's own network" "$(fetch $machine http://169.254.170.2/)" hello
once=$(rules)
on $machine "$run" --up
is "setting them up again changes nothing" "$(rules)" "$once"
is "three rules do it" "$once" 3
on $machine "$run" --down
is "they are gone at the end" "$(rules)" 0
is "and the kernel keeps loopback apart again" \
    "$(on $machine cat /proc/sys/net/ipv4/conf/all/route_localnet)" 0
on $machine "$run" --down
is "taking them away again is no error" "$?" 0

# ---- an archive that arrives while another one is loaded: with programs that stand in for Docker's
mkdir "$work/bin"
printf '#!/bin/sh\n' >"$work/bin/curl"
printf '#!/bin/sh\ncase "$*" in *" -D "*) exit 1 ;; esac\n' >"$work/bin/iptables"
cat >"$work/bin/docker" <<END
#!/bin/sh
cat "\$4" >>"$work/loaded"
[ -e "$work/once" ] || echo second >/usr/share/berth/berth-agent.tar
: >"$work/once"
END
chmod +x "$work"/bin/*
load() {
    on $machine unshare --mount sh -c "mount -t tmpfs tmpfs /var/lib && mount --bind '$work/share' /usr/share &&
        PATH='$work/bin':\$PATH '$run'"
}
mkdir -p "$work/share/berth"
echo first >"$work/share/berth/berth-agent.tar"
load
is "the first is loaded" "$(cat "$work/loaded")" first
is "the second waits" "$(cat "$work/share/berth/berth-agent.tar")" second
load
is "until the next start" "$(xargs <"$work/loaded")" "first second"
is "when it is kept as the one that runs" "$(cat "$work/share/berth/berth-agent.tar.loaded")" second
echo "1..$count"
exit $((failed > 0))
