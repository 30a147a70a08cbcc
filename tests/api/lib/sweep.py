"""A good request of every action that is built, made from its model and from what is there; for sweeps."""

import json
import os
import re
import urllib.parse

import urllib3
from agent_sim import RESOURCES, Agent
from berth_test import REGION, TOP
from region_rows import launch, make_region

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.serialize import create_serializer


class Sweep:
    def __init__(self, berth, known, bases, keys=None):
        self.berth, self.known, self.bases = berth, known, bases
        self.pool = urllib3.HTTPSConnectionPool("127.0.0.1", berth.port, ca_certs=berth.ca, maxsize=2, retries=False)
        self.credentials = Credentials(*(keys or (berth.access_key, berth.secret_key)))
        self.asked = self.taken = 0

    # -- a good request
    def good(self, shape, name="", depth=0):
        key = name[:1].lower() + name[1:]
        if key in self.known and (isinstance(self.known[key], list) == (shape.type_name == "list")):
            return self.known[key]
        if shape.type_name == "structure":
            wanted = shape.members if depth < 1 else {k: v for k, v in shape.members.items()
                                                       if k in shape.required_members or depth < 4}
            if depth > 6:
                wanted = {k: v for k, v in shape.members.items() if k in shape.required_members}
            return {k: self.good(v, k, depth + 1) for k, v in wanted.items()}
        if shape.type_name == "list":
            singular = key[:-1] if key.endswith("s") else key
            return [self.known[singular]] if singular in self.known else [self.good(shape.member, singular, depth + 1)] if depth < 7 else []
        if shape.type_name == "map":
            return {"key": self.good(shape.value, "", depth + 1)}
        if shape.type_name == "string":
            return shape.enum[0] if getattr(shape, "enum", None) else "web"
        return {"integer": 1, "long": 1, "float": 1.0, "double": 1.0, "boolean": False, "blob": b"x",
                "timestamp": 1795338658}[shape.type_name]

    def minimal(self, shape, depth=0):
        """What must be there, and what is known here."""
        return {k: self.shorten(v, k, depth) for k, v in shape.members.items()
                if k in shape.required_members or k[:1].lower() + k[1:] in self.known}

    def shorten(self, shape, name, depth):
        if shape.type_name == "structure":
            return self.minimal(shape, depth + 1)
        if shape.type_name == "list" and shape.member.type_name == "structure" and name[:1].lower() + name[1:] not in self.known:
            return [self.minimal(shape.member, depth + 1)]
        return self.good(shape, name, depth + 1)

    # -- sending
    def send(self, model, operation, tree, claim):
        protocol = model.metadata["protocol"]
        if protocol == "json":
            body = json.dumps(tree, default=lambda b: "eA==" if isinstance(b, bytes) else str(b)).encode("utf-8", "surrogatepass")
            headers = {"X-Amz-Target": f"{model.metadata['targetPrefix']}.{operation.name}", "Content-Type": "application/x-amz-json-1.1"}
        else:
            made = create_serializer(protocol, include_validation=False).serialize_to_request(tree, operation)
            body = urllib.parse.urlencode(made["body"]).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        request = AWSRequest("POST", f"https://127.0.0.1:{self.berth.port}/", headers, body)
        SigV4Auth(self.credentials, model.signing_name, REGION).add_auth(request)
        self.asked += 1
        try:
            got = self.pool.request("POST", "/", body=body, headers=dict(request.headers), timeout=30)
        except urllib3.exceptions.HTTPError as e:
            return f"{claim}: {e}"
        self.taken += got.status in (200, 412)
        self.last, self.said, self.said_whole = got.status, got.data[:200], got.data
        if got.status >= 500 and b"InsufficientInstanceCapacity" not in got.data:
            return f"{claim}: {got.status} {got.data[:300]!r}"
        return None

    def base(self, label, shape):
        return {**self.minimal(shape), **self.bases.get(label, {})}


def built():
    """[(service's name in botocore, action)] of the rows of the catalogue."""
    rows = []
    for service in ("berth", "ec2", "ecs", "iam", "sts", "ssm", "secretsmanager", "cloudwatch"):
        with open(os.path.join(TOP, f"src/catalog/{service}.def")) as f:
            rows += [(service, name) for name in re.findall(r"^ACTION\((\w+),", f.read(), re.M)]
    return sorted(rows, key=lambda row: bool(re.match("De(lete|register)|Re(move|boot)|Stop|Terminate|Drain", row[1])))


def furnish(berth):
    """One of everything; names by member."""
    ec2, ecs = berth.client("ec2"), berth.client("ecs")
    make_region(berth)
    ecs.create_cluster(clusterName="default")
    agent = Agent(berth)
    agent.register()
    channel = agent.acs()
    definition = ecs.register_task_definition(family="web", containerDefinitions=[
        {"name": "web", "image": "i", "memory": 16}])["taskDefinition"]["taskDefinitionArn"]
    task = ecs.start_task(taskDefinition="web", containerInstances=[agent.arn])["tasks"][0]["taskArn"]
    channel.close()
    ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=0)
    instance = launch(ec2)
    berth.client("ssm").put_parameter(Name="/web", Value="v", Type="String")
    secret = berth.client("secretsmanager").create_secret(Name="web", SecretString="s")["ARN"]
    trust = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": berth.account_id}, "Action": "sts:AssumeRole"}]})
    role = berth.client("iam").create_role(RoleName="web", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    report = {"task": task, "status": "RUNNING"}
    period = {"StartTime": 1795338000, "EndTime": 1795338600}
    metric = {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Dimensions": [{"Name": "ClusterName", "Value": "default"}]}
    bases = {
        "berth:UpdateAccessKey": {"AccessKeyId": berth.access_key, "Status": "Inactive"}, "berth:DeleteAccessKey": {"AccessKeyId": berth.access_key},
        "berth:CreateZone": {"ZoneName": "home-1b"}, "berth:AddHost": {"Uri": "test:///2"}, "berth:CreateAccount": {"Name": "other"},
        "berth:ImportImage": {"Path": "/nowhere.raw"}, "berth:Explain": {"Id": task},
        "ec2:ImportKeyPair": {"PublicKeyMaterial": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqXz2h3GlMUNZjqSGVxO0S1IyBbYJ6bqZm6EY9D4cWk a"},
        "ec2:RunInstances": {"DryRun": True}, "ec2:CreateTags": {"Resources": [instance["InstanceId"]], "Tags": [{"Key": "a", "Value": "b"}]},
        "ec2:DeleteTags": {"Resources": [instance["InstanceId"]]},
        "ec2:DescribeImageAttribute": {"Attribute": "description"}, "ec2:ModifyImageAttribute": {"Description": {"Value": "x"}},
        "ec2:ModifyInstanceAttribute": {"DisableApiTermination": {"Value": False}}, "ec2:DescribeInstanceAttribute": {"Attribute": "userData"},
        "ecs:UpdateClusterSettings": {"settings": [{"name": "containerInsights", "value": "disabled"}]},
        "ecs:RegisterTaskDefinition": {"memory": "64", "containerDefinitions": [{"name": "web", "image": "i", "memory": 16}]},
        "ecs:RegisterContainerInstance": {"containerInstanceArn": agent.arn, "totalResources": RESOURCES},
        "ecs:PutAttributes": {"attributes": [{"name": "a", "value": "b", "targetId": agent.arn}]},
        "ecs:DeleteAttributes": {"attributes": [{"name": "a", "targetId": agent.arn}]},
        "ecs:SubmitTaskStateChange": report, "ecs:SubmitContainerStateChange": {**report, "containerName": "web"},
        "ecs:SubmitAttachmentStateChanges": {"attachments": []}, "ecs:TagResource": {"tags": [{"key": "a", "value": "b"}]},
        "ecs:PutAccountSetting": {"name": "taskLongArnFormat", "value": "enabled"}, "ecs:ListAccountSettings": {"name": "taskLongArnFormat"},
        "ecs:PutAccountSettingDefault": {"name": "taskLongArnFormat", "value": "enabled"}, "ecs:DeregisterTaskDefinition": {"taskDefinition": "web:1"},
        "iam:CreateRole": {"RoleName": "more", "AssumeRolePolicyDocument": trust}, "sts:AssumeRole": {"RoleArn": role, "RoleSessionName": "me"},
        "iam:AddRoleToInstanceProfile": {"InstanceProfileName": "ecsInstanceRole"},
        "ssm:PutParameter": {"Name": "/web", "Value": "v", "Type": "SecureString", "Overwrite": True}, "ssm:GetParameter": {"Name": "/web"},
        "ssm:GetParametersByPath": {"Path": "/"}, "ssm:GetParameterHistory": {"Name": "/web"},
        "secretsmanager:CreateSecret": {"Name": "more"}, "secretsmanager:PutSecretValue": {"SecretString": "s"},
        "monitoring:GetMetricStatistics": {**metric, **period, "Statistics": ["Average"], "Period": 60},
        "monitoring:GetMetricData": {**period, "MetricDataQueries": [{"Id": "a", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Average"}}]},
    }
    return {"cluster": "default", "clusterName": "default", "taskDefinition": "web", "task": task, "tasks": [task],
            "service": "web", "services": ["web"], "containerInstance": agent.arn, "containerInstances": [agent.arn],
            "instanceId": instance["InstanceId"], "instanceIds": [instance["InstanceId"]], "imageId": instance["ImageId"],
            "instanceType": instance["InstanceType"], "secretId": secret, "resourceArn": definition, "roleName": "web", "instanceProfileName": "web", "accountId": berth.account_id,
            "image": "i", "memory": 16, "family": "web", "vpcId": instance["VpcId"], "minCount": 1, "maxCount": 1, "desiredCount": 0, "count": 1,
            "subnetId": instance["SubnetId"], "keyName": "web", "status": "ACTIVE",
            "name": "web", "containerName": "web", "zoneName": "home-1a", "hostId": "h-00000000000000001",
            "container": "web", "kind": "exec", "availabilityZone": "home-1a", "imageSha256": "0" * 64, "vCpus": 1, "memoryMiB": 128}, bases
