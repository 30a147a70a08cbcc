"""Hypervisor hosts of a test's own (tests/lib/hosts.sh), and what tests about them ask.

    with FarHosts(2) as far, Berth(role="all") as berth:
        admin = berth.client("berth")
        admin.add_host(Uri=far.uri(1), ZoneName="home-1a")
        far.do("kill", 1)
"""
import os
import subprocess
import tempfile
import time

from berth_test import tap

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hosts.sh")


class FarHosts:
    def __init__(self, count):
        self.count = count
        self.dir = os.path.join(tempfile.gettempdir(), "berth-far-%d" % os.getpid())

    def __enter__(self):
        try:
            self.do("up", self.count)
        except BaseException:
            self.do("down")
            raise
        return self

    def __exit__(self, *why):
        try:
            if tap.failed:
                self.tell()
        finally:
            self.do("down")

    def tell(self):
        """What runs in each host and what its daemons said last, for whoever reads why a test failed."""
        for number in range(1, self.count + 1):
            for line in self.do("tell", number).splitlines():
                print("# host %d: %s" % (number, line), flush=True)

    def do(self, command, *args):
        """Runs hosts.sh; what it prints."""
        done = subprocess.run([SCRIPT, command, self.dir, *map(str, args)], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if done.returncode != 0:
            raise RuntimeError("hosts.sh %s %s: %s" % (command, args, done.stderr))
        return done.stdout.strip()

    def uri(self, number, kind="tcp"):
        return self.do("uri", number, kind)

    def virsh(self, number, *words):
        """What virsh prints inside the host, by lines."""
        out = self.do("inside", number, "virsh", "-q", *words)
        return [line.strip() for line in out.splitlines() if line.strip()]

    def domains(self, number, running=False):
        return sorted(self.virsh(number, "list", "--name", *([] if running else ["--all"])))


def within(seconds, claim, find):
    """Tests that find() becomes true in time; its value. It may raise while it is early."""
    end = time.monotonic() + seconds
    began, found, why = time.monotonic(), None, ""
    while not found and time.monotonic() < end:
        try:
            found = find()
            why = repr(found)
        except Exception as error:  # noqa: BLE001
            why = repr(error)
        if not found:
            time.sleep(0.2)
    tap.ok(found, claim, "not within %d s: %s" % (seconds, why))
    print("#   after %.1f s" % (time.monotonic() - began), flush=True)
    return found


class Pool:
    """The hosts as the admin service tells them."""

    def __init__(self, admin):
        self.admin = admin

    def add(self, uri, zone="home-1a", **more):
        return self.admin.add_host(Uri=uri, ZoneName=zone, **more)["Host"]["HostId"]

    def host(self, host_id):
        return self.admin.describe_hosts(HostIds=[host_id])["Hosts"][0]

    def health(self, host_id):
        return self.host(host_id)["Health"]

    def is_well(self, host_id):
        """Raises with the reason while it is not, for within to tell."""
        host = self.host(host_id)
        if host["Health"] != "OK":
            raise RuntimeError("%s: %s" % (host["Health"], host.get("Detail")))
        return True

    def is_down(self, host_id):
        host = self.host(host_id)
        return host if host["Health"] == "DOWN" and host.get("Detail") else None

    def zone(self, name="home-1a"):
        return self.admin.describe_zones(ZoneNames=[name])["Zones"][0]

    def why(self, what):
        """All that Explain says, as text."""
        answer = self.admin.explain(Id=what)
        facts = ["%s: %s" % (f["Name"], f["Value"]) for s in answer["Sections"] for f in s["Facts"]]
        return "\n".join([answer["Summary"]] + facts)


class Region:
    """A zone, a type of one processor and 64 MiB and an image of an empty disk, and instances of them:
    guests that run, and boot nothing."""

    def __init__(self, berth, zone="home-1a"):
        self.ec2, self.berth = berth.client("ec2"), berth
        admin = berth.client("berth")
        disk = os.path.join(berth.root, "empty.raw")
        with open(disk, "wb") as file:
            file.truncate(1 << 20)
        admin.create_zone(ZoneName=zone, ReserveMemoryMiB=0)
        admin.put_instance_type(InstanceType="far.one", VCpus=1, MemoryMiB=64)
        self.image = admin.import_image(Path=disk, Name="empty", Format="raw",
                                        SshUser="nobody")["ImageId"]
        self.ec2.get_waiter("image_available").wait(ImageIds=[self.image], WaiterConfig={"Delay": 1})

    def verb(self, *words):
        """Exit code of berth, and what it says."""
        done = self.berth.verb(*words)
        return done.returncode, done.stdout + done.stderr

    def launch(self, count, **more):
        """Ids."""
        answer = self.ec2.run_instances(ImageId=self.image, InstanceType="far.one", MinCount=count,
                                        MaxCount=count, **more)
        return [i["InstanceId"] for i in answer["Instances"]]

    def instances(self):
        return [i for r in self.ec2.describe_instances()["Reservations"] for i in r["Instances"]]

    def instance(self, instance_id):
        answer = self.ec2.describe_instances(InstanceIds=[instance_id])
        return answer["Reservations"][0]["Instances"][0]

    def state(self, instance_id):
        return self.instance(instance_id)["State"]["Name"]

    def states(self):
        return {i["State"]["Name"] for i in self.instances()}

    def living(self):
        return [i["InstanceId"] for i in self.instances() if i["State"]["Name"] != "terminated"]
