"""A region whose rows look as reconcile would have left them: a zone, a host that is up, an image."""

IMAGE = "ami-00000000000000001"


def make_region(berth):
    """One zone, one host of 64 vCPUs, one image, one small type."""
    berth.sql(f"""
        INSERT INTO zones (zone_name, zone_id, host_reserve_mib) VALUES ('home-1a', 'ho1-az1', 0);
        INSERT INTO hosts (host_id, zone_name, uri, state, vcpus, memory_mib, architecture)
            VALUES ('h-00000000000000001', 'home-1a', 'test:///1', 'up', 64, 65536, 'x86_64');
        INSERT INTO instance_types (instance_type, vcpus, memory_mib) VALUES ('lab1.small', 1, 128);
        INSERT INTO images (image_id, account_id, name, architecture, ssh_user, location, state, disk_format,
            disk_sha256, virtual_bytes, snapshot_id) VALUES ('{IMAGE}', '{berth.account_id}', 'img', 'x86_64',
            'admin', '/x', 'available', 'raw', 'x', 1, 'snap-1')""")


def launch(ec2, **more):
    """One instance, as RunInstances answers it."""
    return ec2.run_instances(ImageId=IMAGE, InstanceType="lab1.small", MinCount=1, MaxCount=1,
                             **more)["Instances"][0]


def end(berth, instance_id):
    """What reconcile records when nothing is left of an instance."""
    berth.sql(f"UPDATE instances SET desired = 'terminated', seen = 'absent', terminated_at = now()"
              f" WHERE instance_id = '{instance_id}'")
