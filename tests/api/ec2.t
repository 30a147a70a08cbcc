#!/usr/bin/python3
"""EC2 through the stock CLI and boto3: where no guest is needed, rows are changed as reconcile does."""

import base64
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from berth_test import Berth, run, tap

with Berth() as berth:
    ec2, admin = berth.client("ec2"), berth.client("berth")
    account = berth.account_id

    # -- zones and hosts
    for letter in "ab":
        zone = admin.create_zone(ZoneName="home-1" + letter)["Zone"]
    tap.is_((zone["ZoneName"], zone["ZoneId"], zone["Hosts"]), ("home-1b", "ho1-az2", 0),
            "a zone has a name, an id and no hosts")
    tap.raises("ResourceAlreadyExistsException", lambda: admin.create_zone(ZoneName="home-1a"),
               "it is made once", 409)
    tap.raises("InvalidParameterException", lambda: admin.create_zone(ZoneName="other-1a"),
               "a zone belongs to its region", 400)
    hosts = {}
    for letter in "ab":
        hosts[letter] = admin.add_host(Uri="test:///default", ZoneName="home-1" + letter,
                                       SharePercent=50)["Host"]["HostId"]
    tap.raises("ResourceAlreadyExistsException",
               lambda: admin.add_host(Uri="test:///default", ZoneName="home-1a"),
               "a zone has a host once", 409)
    tap.raises("ResourceInUseException", lambda: admin.delete_zone(ZoneName="home-1a"),
               "a zone with hosts stays", 409)

    tap.is_([r["RegionName"] for r in berth.aws("ec2", "describe-regions")["Regions"]], ["home-1"],
            "the CLI is told the region")
    zones = berth.aws("ec2", "describe-availability-zones")["AvailabilityZones"]
    tap.is_([(z["ZoneName"], z["State"], z["RegionName"]) for z in zones],
            [("home-1a", "available", "home-1"), ("home-1b", "available", "home-1")],
            "and its zones")
    tap.is_(len(ec2.describe_availability_zones(
        Filters=[{"Name": "zone-id", "Values": ["*az2"]}])["AvailabilityZones"]), 1,
        "zones can be filtered")
    attributes = {a["AttributeName"]: a["AttributeValues"][0]["AttributeValue"]
                  for a in ec2.describe_account_attributes()["AccountAttributes"]}
    vpc = ec2.describe_vpcs()["Vpcs"][0]
    tap.is_(attributes["default-vpc"], vpc["VpcId"], "the account has a default VPC")

    # -- types
    types = ec2.describe_instance_types(InstanceTypes=["t2.micro", "x1.32xlarge"])["InstanceTypes"]
    tap.is_([(t["InstanceType"], t["VCpuInfo"]["DefaultVCpus"], t["MemoryInfo"]["SizeInMiB"])
             for t in types], [("t2.micro", 1, 1024), ("x1.32xlarge", 128, 1998848)],
            "the well-known types are as Amazon publishes them")
    tap.raises("InvalidInstanceType",
               lambda: ec2.describe_instance_types(InstanceTypes=["x.y"]), "an unknown type", 400,
               "The following supplied instance types do not exist: [x.y]")
    pages = list(ec2.get_paginator("describe_instance_types").paginate(
        PaginationConfig={"PageSize": 20}))
    names = [t["InstanceType"] for p in pages for t in p["InstanceTypes"]]
    tap.ok(len(pages) > 3 and len(set(names)) == len(names) == 90, "types come in pages",
           f"{len(pages)} {len(names)}")
    admin.put_instance_type(InstanceType="lab1.small", VCpus=1, MemoryMiB=128)
    tap.is_(berth.aws("ec2", "describe-instance-type-offerings", "--location-type",
                      "availability-zone", "--filters", "Name=instance-type,Values=lab1.*")
            ["InstanceTypeOfferings"],
            [{"InstanceType": "lab1.small", "LocationType": "availability-zone", "Location": z}
             for z in ("home-1a", "home-1b")], "an administrator's own type is offered in each zone")
    tap.raises("ResourceInUseException", lambda: admin.delete_instance_type(InstanceType="t2.micro"),
               "a well-known type stays", 409)

    # -- key pairs
    key = os.path.join(berth.root, "key")
    for kind in ("rsa", "ed25519"):
        made = ec2.create_key_pair(KeyName="made-" + kind, KeyType=kind)
        with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
            f.write(made["KeyMaterial"])
        told = ec2.describe_key_pairs(KeyNames=["made-" + kind], IncludePublicKey=True)["KeyPairs"][0]
        tap.is_(run("ssh-keygen", "-y", "-f", key).split()[:2], told["PublicKey"].split()[:2],
                f"ssh-keygen reads the {kind} key that was made")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key + "2")
    done = berth.aws("ec2", "import-key-pair", "--key-name", "mine", "--public-key-material",
                     f"fileb://{key}2.pub", "--tag-specifications",
                     "ResourceType=key-pair,Tags=[{Key=who,Value=me}]")
    tap.ok(done["KeyPairId"].startswith("key-"), "the CLI imports a key", done)
    tap.is_([k["KeyName"] for k in ec2.describe_key_pairs(
        Filters=[{"Name": "tag:who", "Values": ["m?"]}])["KeyPairs"]], ["mine"],
        "keys are found by their tags")
    tap.raises("InvalidKeyPair.Duplicate", lambda: ec2.create_key_pair(KeyName="mine"),
               "a name is taken once", 400, "The keypair 'mine' already exists.")
    tap.raises("InvalidKey.Format",
               lambda: ec2.import_key_pair(KeyName="bad", PublicKeyMaterial=b"no key"),
               "what is no key", 400, "Key is not in valid OpenSSH public key format")
    tap.raises("InvalidKeyPair.NotFound", lambda: ec2.describe_key_pairs(KeyNames=["none"]),
               "an unknown key", 400, "The key pair 'none' does not exist")
    tap.raises("UnsupportedOperation",
               lambda: ec2.create_key_pair(KeyName="p", KeyFormat="ppk"), "PuTTY's form", 400,
               "KeyFormat")
    berth.aws("ec2", "wait", "key-pair-exists", "--key-names", "mine")
    tap.ok(True, "the waiter key-pair-exists ends")
    ec2.delete_key_pair(KeyName="made-rsa")
    ec2.delete_key_pair(KeyName="made-rsa")
    tap.ok(True, "deleting a key twice succeeds")

    # -- images
    image = ec2.register_image(Name="debian", ImageLocation="debian-12", Architecture="x86_64",
                               RootDeviceName="/dev/xvda", Description="a test")["ImageId"]
    tap.raises("InvalidAMIName.Duplicate",
               lambda: ec2.register_image(Name="debian", ImageLocation="x"), "a name in use", 400,
               f"AMI name debian is already in use by AMI {image}")
    tap.is_(ec2.describe_images(Owners=["self"])["Images"][0]["State"], "pending",
            "an image is pending until it is imported")
    launch = dict(ImageId=image, InstanceType="lab1.small", MinCount=1, MaxCount=1)
    tap.raises("InvalidAMIID.Unavailable", lambda: ec2.run_instances(**launch),
               "a pending image launches nothing", 400)
    berth.sql("UPDATE images SET state = 'available', disk_format = 'qcow2',"
              " disk_sha256 = repeat('0', 64), disk_bytes = 1000, virtual_bytes = 2147483648")
    berth.aws("ec2", "wait", "image-available", "--image-ids", image)
    tap.is_(berth.aws("ec2", "describe-images", "--image-ids", image)["Images"][0]
            ["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"], 2, "then it is available, and has a size")
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={
        "Add": [{"Group": "all"}, {"UserId": "111122223333"}]})
    tap.is_(ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
            ["LaunchPermissions"], [{"Group": "all"}, {"UserId": "111122223333"}],
            "it can be shared")
    tap.raises("InvalidAMIAttributeItemValue", lambda: ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Add": [{"UserId": "12"}]}), "with accounts only", 400)
    tap.raises("InvalidAMIID.Malformed", lambda: ec2.describe_images(ImageIds=["abc"]),
               "a malformed image id", 400, 'Invalid id: "abc" (expecting "ami-...")')
    tap.raises("InvalidAMIID.NotFound",
               lambda: ec2.describe_images(ImageIds=["ami-00000000000000000"]), "an unknown image",
               400, "The image id '[ami-00000000000000000]' does not exist")

    # -- capacity
    tap.raises("InsufficientInstanceCapacity", lambda: ec2.run_instances(**launch),
               "hosts that are not up take nothing", 500, "is unknown")
    berth.sql("UPDATE hosts SET state = 'up', vcpus = 4, memory_mib = 2048, architecture = 'x86_64',"
              " accelerator = 'tcg', hostname = 'lab', seen_at = now()")
    host = admin.describe_hosts(HostIds=[hosts["a"]])["Hosts"][0]
    tap.is_((host["CapacityVCpus"], host["CapacityMemoryMiB"], host["Health"]), (8, 512, "OK"),
            "a host's capacity is its share, after reserve and overcommit")
    tap.raises("InsufficientInstanceCapacity",
               lambda: ec2.run_instances(**{**launch, "InstanceType": "t2.micro",
                                            "Placement": {"AvailabilityZone": "home-1a"}}),
               "what does not fit says which host and why", 500,
               f"{hosts['a']} (lab) has 512 of 512 MiB free, 1024 needed")

    # -- refusals of RunInstances
    refusals = [
        ("InvalidParameterValue", "Invalid value 'x.y' for InstanceType.", {"InstanceType": "x.y"}),
        ("InvalidKeyPair.NotFound", "The key pair 'none' does not exist", {"KeyName": "none"}),
        ("InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist", {"SubnetId": "subnet-1"}),
        ("InvalidGroup.NotFound", "The security group 'sg-1' does not exist", {"SecurityGroupIds": ["sg-1"]}),
        ("InvalidParameterValue", "Invalid availability zone: [home-1z]",
         {"Placement": {"AvailabilityZone": "home-1z"}}),
        ("InvalidParameterValue", "User data is limited to 16384 bytes", {"UserData": "x" * 16385}),
        ("InvalidBlockDeviceMapping", "expect size >= 2GB",
         {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]}),
        ("UnsupportedOperation", "HibernationOptions", {"HibernationOptions": {"Configured": True}}),
        ("UnsupportedOperation", "PrivateIpAddress", {"PrivateIpAddress": "172.31.0.9"}),
        ("InvalidParameterValue", "Invalid IAM Instance Profile name", {"IamInstanceProfile": {"Name": "x"}}),
        ("InvalidParameterValue", "'image' is not a valid taggable resource type for this operation.",
         {"TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}]}),
        ("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use",
         {"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "aws:a", "Value": "b"}]}]}),
        ("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", {"DryRun": True}),
    ]
    for code, message, change in refusals:
        tap.raises(code, lambda: ec2.run_instances(**{**launch, **change}), f"refused: {message}",
                   message=message)
    tap.is_(ec2.describe_instances()["Reservations"], [], "none of them left an instance")

    # -- launching
    out = berth.aws("ec2", "run-instances", "--image-id", image, "--instance-type", "lab1.small",
                    "--count", "2", "--key-name", "mine", "--user-data",
                    "#!/bin/sh\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config", "--placement",
                    "AvailabilityZone=home-1a", "--iam-instance-profile", "Name=ecsInstanceRole",
                    "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=pair}]",
                    "ResourceType=volume,Tags=[{Key=disk,Value=root}]")
    a, b = out["Instances"]
    tap.is_([(i["State"], i["PrivateIpAddress"], i["AmiLaunchIndex"]) for i in (a, b)],
            [({"Code": 0, "Name": "pending"}, "172.31.0.4", 0),
             ({"Code": 0, "Name": "pending"}, "172.31.0.5", 1)],
            "two instances are pending and know their addresses")
    tap.is_((a["StateReason"], a["Placement"]["AvailabilityZone"], a["KeyName"], a["Tags"]),
            ({"Code": "pending", "Message": "pending"}, "home-1a", "mine",
             [{"Key": "Name", "Value": "pair"}]), "the answer shows zone, key and tags")
    tap.is_((a["SecurityGroups"][0]["GroupName"], a["VpcId"], a["RootDeviceName"]),
            ("default", vpc["VpcId"], "/dev/xvda"), "and the derived network")
    tap.is_(berth.sql("SELECT cluster_name, count(*) FROM bootstraps GROUP BY 1"), [["web", "2"]],
            "the agent is wanted in the cluster that the user data names")
    tap.is_(len(berth.sql("SELECT 1 FROM instances WHERE domain_uuid::text LIKE 'ec2%'")), 2,
            "domains' uuids begin with ec2")
    other = ec2.run_instances(**launch, ClientToken="once")["Instances"][0]
    tap.is_((other["Placement"]["AvailabilityZone"], other["PrivateIpAddress"]),
            ("home-1b", "172.31.16.4"), "no zone given: the one with most room")
    tap.is_(ec2.run_instances(**launch, ClientToken="once")["Instances"][0]["InstanceId"],
            other["InstanceId"], "the same client token gives the same instance")
    some = ec2.run_instances(**{**launch, "MaxCount": 50}, Placement={"AvailabilityZone": "home-1b"})
    tap.is_(len(some["Instances"]), 3, "as many as fit between minimum and maximum")
    tap.raises("InsufficientInstanceCapacity", lambda: ec2.run_instances(
        **{**launch, "MinCount": 3, "MaxCount": 3}), "all or none of the minimum", 500)

    # -- reading
    ids = [a["InstanceId"], b["InstanceId"]]
    tap.raises("InvalidInstanceID.NotFound", lambda: ec2.describe_instances(
        InstanceIds=["i-00000000000000000"]), "an unknown instance", 400,
        "The instance ID 'i-00000000000000000' does not exist")
    tap.raises("InvalidInstanceID.NotFound", lambda: ec2.terminate_instances(
        InstanceIds=["i-00000000000000000", "i-00000000000000001"]), "two of them", 400,
        "The instance IDs 'i-00000000000000000, i-00000000000000001' do not exist")
    tap.raises("InvalidInstanceID.Malformed", lambda: ec2.describe_instances(InstanceIds=["abc"]),
               "a malformed id", 400, 'Invalid id: "abc"')
    tap.raises("InvalidParameterCombination", lambda: ec2.describe_instances(
        InstanceIds=ids, MaxResults=5), "ids and pages", 400,
        "The parameter instancesSet cannot be used with the parameter maxResults")
    tap.raises("InvalidParameterValue", lambda: ec2.describe_instances(
        Filters=[{"Name": "spam", "Values": ["x"]}]), "an unknown filter", 400,
        "The filter 'spam' is invalid")

    def found(**filters):
        given = [{"Name": k.replace("__", ":").replace("_", "-"), "Values": v}
                 for k, v in filters.items()]
        return sum(len(r["Instances"]) for r in ec2.describe_instances(Filters=given)["Reservations"])

    for expected, filters in [
            (6, {}), (2, {"tag__Name": ["pa*"]}), (2, {"tag_key": ["Name"]}), (0, {"tag__Name": []}),
            (4, {"availability_zone": ["home-1b"]}), (2, {"key_name": ["m?ne"]}),
            (6, {"instance_state_name": ["pending"]}), (6, {"instance_state_code": ["0"]}),
            (1, {"private_ip_address": ["172.31.0.5"]}), (6, {"vpc_id": [vpc["VpcId"]]}),
            (3, {"reservation_id": [some["ReservationId"]]}), (6, {"owner_id": [account]}),
            (1, {"client_token": ["once"]}), (6, {"source_dest_check": ["TRUE"]}),
            (0, {"instance_type": ["t2.*"]}), (1, {"tag__Name": ["pair"], "instance_id": ids[:1]})]:
        tap.is_(found(**filters), expected, f"filter {filters}")
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    seen = [i["InstanceId"] for p in pages for r in p["Reservations"] for i in r["Instances"]]
    tap.ok(len(pages) == 2 and len(set(seen)) == len(seen) == 6, "instances come in pages", seen)
    tap.is_(seen[:2], ids, "in the order of launch")
    token = pages[0]["NextToken"]
    tap.raises("InvalidNextToken", lambda: ec2.describe_instances(
        NextToken=token, Filters=[{"Name": "vpc-id", "Values": ["x"]}]),
        "a token belongs to its query", 400, "is invalid")
    tap.raises("InvalidNextToken", lambda: ec2.describe_instances(NextToken="junk"), "junk", 400,
               "The token 'junk' is invalid")

    # -- life, with rows changed as reconcile changes them
    def settle(seen, where="true"):
        berth.sql(f"UPDATE instances SET seen = '{seen}', seen_generation = generation,"
                  f" ever_defined = true WHERE {where}")

    tap.raises("IncorrectInstanceState", lambda: ec2.stop_instances(InstanceIds=ids[:1]),
               "a pending instance cannot be stopped", 400, "from which it can be stopped")
    settle("running")
    berth.aws("ec2", "wait", "instance-running", "--instance-ids", *ids)
    tap.ok(True, "the waiter instance-running ends")
    status = ec2.describe_instance_status(InstanceIds=ids[:1])["InstanceStatuses"][0]
    tap.is_(status["InstanceStatus"]["Status"], "initializing", "a guest that has not answered yet")
    berth.sql("UPDATE instances SET reachable_at = now()")
    berth.aws("ec2", "wait", "instance-status-ok", "--instance-ids", *ids)
    tap.ok(True, "the waiter instance-status-ok ends")

    def told():
        status = ec2.describe_instance_status(InstanceIds=ids[:1])["InstanceStatuses"][0]
        return [status[w]["Status"] + " " + status[w]["Details"][0]["Status"]
                for w in ("InstanceStatus", "SystemStatus")]

    berth.sql("UPDATE hosts SET state = 'down', fault = 'no answer'")
    tap.is_(told(), ["insufficient-data insufficient-data", "impaired failed"],
            "of a guest on a host that is down only that is known")
    tap.is_([len(ec2.describe_instance_status(Filters=[
        {"Name": "system-status.status", "Values": [state]}])["InstanceStatuses"]) > 0
        for state in ("impaired", "ok")], [True, False], "the filter finds it")
    tap.like(berth.client("berth").explain(Id=ids[0])["Summary"], "its host does not answer",
             "why says so")
    berth.sql("UPDATE hosts SET state = 'up', fault = NULL, network = 'apart'")
    berth.sql("UPDATE instances SET reachable_at = NULL")
    tap.is_(told(), ["insufficient-data insufficient-data", "ok passed"],
            "a guest that nothing reaches is not said to be well")
    access = berth.client("berth").describe_instance_access(InstanceIds=ids[:1])["Access"][0]
    tap.like(access.get("Detail"), "not reached from here", "whoever wants to log in is told")
    tap.raises("UnsupportedFeatureException", lambda: berth.client("berth")
               .bootstrap_container_instance(InstanceId=ids[0]), "it cannot have the agent", 400,
               "is not reached from here")
    berth.sql("UPDATE hosts SET network = NULL")
    berth.sql("UPDATE instances SET reachable_at = now()")
    tap.is_(berth.aws("ec2", "stop-instances", "--instance-ids", ids[0])["StoppingInstances"],
            [{"InstanceId": ids[0], "CurrentState": {"Code": 64, "Name": "stopping"},
              "PreviousState": {"Code": 16, "Name": "running"}}], "stopping")
    tap.raises("IncorrectInstanceState", lambda: ec2.start_instances(InstanceIds=ids[:1]),
               "one that is stopping cannot be started", 400,
               f"The instance '{ids[0]}' is not in a state from which it can be started.")
    settle("off", f"instance_id = '{ids[0]}'")
    berth.aws("ec2", "wait", "instance-stopped", "--instance-ids", ids[0])
    tap.ok(True, "the waiter instance-stopped ends")
    ec2.run_instances(**{**launch, "MaxCount": 3}, Placement={"AvailabilityZone": "home-1a"})
    tap.raises("InsufficientInstanceCapacity", lambda: ec2.start_instances(InstanceIds=ids[:1]),
               "a stopped instance holds nothing and is admitted again at start", 500, hosts["a"])
    ec2.modify_instance_attribute(InstanceId=ids[0], UserData={"Value": b"#!/bin/sh\ntrue"})
    tap.is_(base64.b64decode(ec2.describe_instance_attribute(
        InstanceId=ids[0], Attribute="userData")["UserData"]["Value"]), b"#!/bin/sh\ntrue",
        "user data of a stopped instance can be changed")
    tap.raises("IncorrectInstanceState", lambda: ec2.modify_instance_attribute(
        InstanceId=ids[1], InstanceType={"Value": "t2.nano"}), "the type of a running one cannot", 400,
        f"The instance '{ids[1]}' is not in the 'stopped' state.")
    ec2.reboot_instances(InstanceIds=ids[1:])
    tap.is_(berth.sql(f"SELECT reboot_generation = generation FROM instances"
                      f" WHERE instance_id = '{ids[1]}'"), [["t"]], "a reboot is asked for")
    ec2.modify_instance_attribute(InstanceId=ids[1], DisableApiTermination={"Value": True})
    tap.raises("OperationNotPermitted", lambda: ec2.terminate_instances(InstanceIds=ids),
               "a protected instance stays, and so do the others", 400,
               f"The instance '{ids[1]}' may not be terminated. Modify its 'disableApiTermination'"
               " instance attribute and try again.")
    ec2.modify_instance_attribute(InstanceId=ids[1], Attribute="disableApiTermination", Value="false")

    options = ec2.modify_instance_metadata_options(InstanceId=ids[1], HttpTokens="required")
    tap.is_(options["InstanceMetadataOptions"]["HttpTokens"], "required", "metadata options are kept")
    tap.is_(ec2.describe_instance_attribute(InstanceId=ids[1], Attribute="ebsOptimized")
            ["EbsOptimized"], {"Value": False}, "attributes are those of the instance")
    tap.raises("InvalidParameterValue", lambda: ec2.describe_instance_attribute(
        InstanceId=ids[1], Attribute="enclaveOptions"), "one that is not there", 400,
        "Value (enclaveOptions) for parameter attribute is invalid. Unknown attribute.")

    # -- console, tags, network
    tap.ok("Output" not in ec2.get_console_output(InstanceId=ids[1]), "no console yet")
    served = threading.Timer(0.2, lambda: berth.sql(
        "UPDATE console_output SET output = 'boot', at = now(), served = wanted"))
    served.start()
    tap.is_(ec2.get_console_output(InstanceId=ids[1]).get("Output"), "boot",
            "the first to ask waits for what its host has")
    served.join()
    tap.is_(ec2.get_console_output(InstanceId=ids[1])["Output"], "boot", "the next is given that at once")
    later = threading.Timer(0.2, lambda: berth.sql(
        "UPDATE console_output SET output = 'login:', at = now(), served = wanted"))
    later.start()
    tap.is_(ec2.get_console_output(InstanceId=ids[1], Latest=True)["Output"], "login:",
            "one who asks for the latest waits for it")
    later.join()
    berth.sql("UPDATE console_output SET output = 'boot'")

    # -- health: who is not well, and why
    def part(name):
        return [p for p in berth.client("berth").get_status()["Parts"] if p["Name"] == name][0]

    tap.is_(part("instances")["Health"], "OK", "all instances are well")
    berth.sql("UPDATE instances SET fault = 'Server.InternalError', fault_message = 'its disk is gone'"
              f" WHERE instance_id = '{ids[1]}'")
    ill = part("instances")
    tap.is_(ill["Health"], "DEGRADED", "one with a fault that is not ended yet is not")
    tap.like(ill["Detail"], f"{ids[1]}: its disk is gone", "it is named, with the reason")
    berth.sql(f"UPDATE instances SET terminated_at = now() WHERE instance_id = '{ids[1]}'")
    tap.is_(part("instances")["Health"], "OK", "once ended it is trouble no more")
    berth.sql("UPDATE instances SET fault = NULL, fault_message = NULL, terminated_at = NULL"
              f" WHERE instance_id = '{ids[1]}'")
    berth.sql("UPDATE hosts SET state = 'down', fault = 'no route to host'"
              " WHERE host_id = (SELECT min(host_id) FROM hosts)")
    tap.like(part("hosts")["Detail"], ": no route to host", "a host is named in the same way")
    berth.sql("UPDATE hosts SET state = 'up', fault = NULL")
    berth.sql("INSERT INTO retries (kind, object_id, failures, last_error, next_try_at)"
              " VALUES ('image', 'ami-1', 3, 'no space left', now() + interval '1 hour')")
    tap.like(part("work")["Detail"], "ami-1: no space left", "so is what waits to be tried again")
    berth.sql("DELETE FROM retries")
    tap.is_(berth.aws("ec2", "get-console-output", "--instance-id", ids[1], "--output", "json")["Output"],
            "boot", "the CLI shows the console's tail")
    berth.aws("ec2", "create-tags", "--resources", *ids, "--tags", "Key=env,Value=test", "Key=x,Value=")
    berth.aws("ec2", "delete-tags", "--resources", ids[0], "--tags", "Key=env,Value=other", "Key=x")
    tap.is_({(t["ResourceId"], t["Key"]) for t in ec2.describe_tags(Filters=[
        {"Name": "resource-id", "Values": ids}])["Tags"]},
        {(ids[0], "Name"), (ids[0], "env"), (ids[1], "Name"), (ids[1], "env"), (ids[1], "x")},
        "tags are set and taken away, by value where one is given")
    tap.raises("InvalidID", lambda: ec2.create_tags(
        Resources=["i-00000000000000000"], Tags=[{"Key": "a", "Value": "b"}]), "an unknown resource",
        400, "The ID 'i-00000000000000000' is not valid")
    tap.raises("TagLimitExceeded", lambda: ec2.create_tags(
        Resources=ids, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)]), "too many tags", 400,
        "The maximum number of Tags for a resource has been reached.")
    subnets = ec2.describe_subnets()["Subnets"]
    tap.is_([(s["CidrBlock"], s["AvailableIpAddressCount"]) for s in subnets],
            [("172.31.0.0/20", 4091 - 5), ("172.31.16.0/20", 4091 - 4)],
            "each zone has a subnet, and counts what is taken")
    tap.is_((vpc["CidrBlock"], vpc["IsDefault"]), ("172.31.0.0/16", True), "the default VPC")
    tap.is_(ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["VpcId"],
            vpc["VpcId"], "the default group")
    volumes = ec2.describe_volumes(Filters=[{"Name": "tag:disk", "Values": ["root"]}])["Volumes"]
    tap.is_({v["Attachments"][0]["InstanceId"] for v in volumes}, set(ids), "root volumes are shown")
    tap.is_(len(ec2.describe_network_interfaces()["NetworkInterfaces"]), 9, "and interfaces")
    tap.is_(len(ec2.describe_route_tables()["RouteTables"]), 1, "and the route table")

    # -- the end
    tap.is_([c["CurrentState"]["Name"] for c in ec2.terminate_instances(InstanceIds=ids)
             ["TerminatingInstances"]], ["shutting-down"] * 2, "terminating")
    berth.sql("UPDATE instances SET seen = 'absent', seen_generation = generation,"
              " terminated_at = now() WHERE desired = 'terminated'")
    berth.aws("ec2", "wait", "instance-terminated", "--instance-ids", *ids)
    tap.ok(True, "the waiter instance-terminated ends")
    ended = ec2.describe_instances(InstanceIds=ids[:1])["Reservations"][0]["Instances"][0]
    tap.is_((ended["StateReason"]["Code"], "PrivateIpAddress" in ended, ended["NetworkInterfaces"]),
            ("Client.UserInitiatedShutdown", False, []), "an ended instance says why, and holds nothing")
    tap.like(ended["StateTransitionReason"], "User initiated (", "with the time")
    tap.is_(ec2.terminate_instances(InstanceIds=ids[:1])["TerminatingInstances"][0]["CurrentState"]
            ["Name"], "terminated", "it can be terminated again")

    # -- admin
    tap.raises("ResourceInUseException", lambda: admin.remove_host(HostId=hosts["b"]),
               "a host that holds instances stays", 409, other["InstanceId"])
    tap.is_(admin.drain_host(HostId=hosts["b"])["Host"]["State"], "DRAINING", "a host can be drained")
    tap.raises("InsufficientInstanceCapacity", lambda: ec2.run_instances(
        **launch, Placement={"AvailabilityZone": "home-1b"}), "then it takes nothing", 500, "is draining")
    admin.activate_host(HostId=hosts["b"])
    berth.sql(f"UPDATE instances SET host_keys = 'ssh-ed25519 AAAA' WHERE instance_id = '{other['InstanceId']}'")
    access = admin.describe_instance_access(InstanceIds=[other["InstanceId"]])["Access"][0]
    tap.is_((access["User"], access["Address"], access["HostKeys"]),
            ("admin", "172.31.16.4", ["ssh-ed25519 AAAA"]), "how to log in")
    tap.is_(admin.bootstrap_container_instance(InstanceId=other["InstanceId"])["Bootstrap"]["Cluster"],
            "default", "the agent can be asked for later")
    why = admin.explain(Id=other["InstanceId"])
    tap.like(why["Summary"], "running, as wanted", "why it is as it is")
    tap.ok({"Wanted", "Seen", "Rule", "Container agent", "History"} <=
           {s["Title"] for s in why["Sections"]}, "with facts, rule and history", why)
    why = admin.explain(Id="t2.micro")
    tap.is_((why["Kind"], why["Summary"]),
            ("instance type", "no host takes an instance of it now; each says why"),
            "why a type does not fit")
    tap.like(why["Sections"], "512 MiB free, 1024 needed", "host by host")
    tap.is_(admin.explain(Id="home-1a")["Kind"], "zone", "a zone can be asked about")
    tap.raises("ResourceNotFoundException", lambda: admin.explain(Id="x-1"), "nothing known", 404)
    # -- another account
    made = admin.create_account(Name="other")
    keys = dict(access_key=made["AccessKey"]["AccessKeyId"],
                secret_key=made["AccessKey"]["SecretAccessKey"])
    theirs = berth.client("ec2", **keys)
    tap.is_(theirs.describe_instances()["Reservations"], [], "another account sees no instance of ours")
    tap.raises("InvalidInstanceID.NotFound",
               lambda: theirs.terminate_instances(InstanceIds=[other["InstanceId"]]), "nor ends one", 400)
    tap.raises("InvalidID", lambda: theirs.create_tags(
        Resources=[other["InstanceId"]], Tags=[{"Key": "a", "Value": "b"}]), "nor tags one", 400)
    tap.is_([i["ImageId"] for i in theirs.describe_images()["Images"]], [image],
            "it sees the public image")
    tap.raises("AuthFailure", lambda: theirs.deregister_image(ImageId=image), "which it cannot change",
               400, "Unauthorized attempt to access restricted resource")
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"Group": "all"}]})
    tap.raises("InvalidAMIID.NotFound", lambda: theirs.run_instances(**launch),
               "nor launch once it is private", 400)
    ec2.modify_image_attribute(ImageId=image, Attribute="launchPermission", OperationType="add",
                               UserIds=[made["Account"]["AccountId"]])
    tap.is_([i["ImageId"] for i in theirs.describe_images(ExecutableUsers=["self"])["Images"]],
            [image], "unless it is shared with it")
    for path in ("/etc/passwd", "../../../etc/passwd"):
        tap.raises("InvalidParameterValue", lambda: theirs.register_image(
            Name="stolen", ImageLocation=path), f"it cannot make an image of {path}", 400)
    tap.ok(theirs.describe_vpcs()["Vpcs"][0]["VpcId"] != vpc["VpcId"], "its network has ids of its own")
    tap.raises("AccessDeniedException", lambda: berth.client("berth", **keys).describe_hosts(),
               "and hosts are not its business")

    # -- hosts come and go
    admin.create_zone(ZoneName="home-1c")
    spare = admin.add_host(Uri="test:///spare", ZoneName="home-1c")["Host"]["HostId"]
    admin.remove_host(HostId=spare)
    tap.is_(admin.add_host(Uri="test:///spare", ZoneName="home-1c", SharePercent=10)["Host"]["HostId"],
            spare, "a host that was removed can be added again")

    ec2.deregister_image(ImageId=image)
    tap.is_(ec2.describe_images(ImageIds=[image])["Images"], [], "a deregistered image is not shown")
    tap.raises("InvalidAMIID.Unavailable", lambda: ec2.run_instances(**launch),
               "and launches nothing", 400, f"The image id '[{image}]' is no longer available")
    tap.is_(berth.stop(), 0, "berthd ends in order")

tap.done()
