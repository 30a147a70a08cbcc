#!/usr/bin/python3
"""Roles: IAM's rows and words, taking one by STS, credentials of tasks on the agent's channel, their end."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import ATTRIBUTES, Agent
from berth_test import Berth, tap
from region_rows import end, launch, make_region

SECONDS = 12  # of the credentials of instances and tasks
CONFIG = f"""[roles]
session_seconds={SECONDS}
"""


def trust(**principal):
    return json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]})


TASKS = trust(Service="ecs-tasks.amazonaws.com")


def iam_rows(berth, iam):
    account = berth.account_id
    own = iam.get_role(RoleName="ecsInstanceRole")["Role"]
    tap.is_((own["Arn"], own["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]),
            (f"arn:aws:iam::{account}:role/ecsInstanceRole", {"Service": "ec2.amazonaws.com"}),
            "an account has the role of container instances from the start")
    made = iam.create_role(RoleName="app", Path="/team/", AssumeRolePolicyDocument=TASKS, Description="d",
                           MaxSessionDuration=7200, Tags=[{"Key": "a", "Value": "1"}])["Role"]
    tap.is_((made["Arn"], made["RoleId"][:4], len(made["RoleId"]), made["MaxSessionDuration"], made["Tags"]),
            (f"arn:aws:iam::{account}:role/team/app", "AROA", 21, 7200, [{"Key": "a", "Value": "1"}]), "a role is made")
    tap.is_(iam.get_role(RoleName="APP")["Role"], made, "and read, whatever the case of its name")
    tap.raises("EntityAlreadyExists", lambda: iam.create_role(RoleName="App", AssumeRolePolicyDocument=TASKS),
               "a name is used once, whatever its case", 409, "Role with name App already exists.")
    for document, words in (("{", "Syntax errors in policy."), ("[]", "Syntax errors in policy."),
                            (json.dumps({"Statement": []}), "Syntax errors in policy."),
                            (TASKS.replace("Allow", "Perhaps"), "Syntax errors in policy."),
                            (TASKS.replace("Effect", "Efect"), "Syntax errors in policy."),
                            (TASKS.replace("sts:AssumeRole", "s3:GetObject"), "Trust Policy statement actions can only be sts:AssumeRole"),
                            (TASKS.replace('"Action"', '"Resource": "*", "Action"'), "Has prohibited field Resource")):
        tap.raises("MalformedPolicyDocument", lambda: iam.create_role(RoleName="bad", AssumeRolePolicyDocument=document),
                   f"a document like {document[:20]!r}", 400, words)
    tap.raises("NoSuchEntity", lambda: iam.get_role(RoleName="nobody"), "an unknown role", 404,
               "The role with name nobody cannot be found.")
    tap.raises("NoSuchEntity", lambda: iam.delete_role(RoleName="nobody"), "is not deleted", 404)
    tap.raises("ValidationError", lambda: iam.create_role(RoleName="x", Path="team", AssumeRolePolicyDocument=TASKS), "a path is one", 400)
    tap.raises("ValidationError", lambda: iam.create_role(RoleName="x", AssumeRolePolicyDocument=TASKS, Tags=[
        {"Key": "a", "Value": "1"}, {"Key": "A", "Value": "1"}]), "tags differ in more than case", 400)
    for n in range(5):
        iam.create_role(RoleName=f"many{n}", Path="/many/", AssumeRolePolicyDocument=TASKS)
    pages = list(iam.get_paginator("list_roles").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 2}))
    tap.is_([[r["RoleName"] for r in p["Roles"]] for p in pages], [["many0", "many1"], ["many2", "many3"], ["many4"]], "roles come in pages")
    tap.raises("ValidationError", lambda: iam.list_roles(Marker="!"), "a marker is one", 400, "Invalid Marker.")

    # -- instance profiles
    profile = iam.create_instance_profile(InstanceProfileName="web", Path="/team/")["InstanceProfile"]
    tap.is_((profile["Arn"], profile["InstanceProfileId"][:4], profile["Roles"]),
            (f"arn:aws:iam::{account}:instance-profile/team/web", "AIPA", []), "a profile is made")
    tap.raises("EntityAlreadyExists", lambda: iam.create_instance_profile(InstanceProfileName="web"), "once", 409,
               "Instance Profile web already exists.")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=trust(Service="ec2.amazonaws.com"))
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    tap.raises("LimitExceeded", lambda: iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="app"),
               "it holds one role", 409, "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    got = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    tap.is_([r["RoleName"] for r in got["Roles"]], ["web"], "and shows it")
    tap.is_([p["InstanceProfileName"] for p in iam.list_instance_profiles_for_role(RoleName="web")["InstanceProfiles"]], ["web"],
            "the role's profiles are listed")
    tap.is_([p["InstanceProfileName"] for p in iam.list_instance_profiles()["InstanceProfiles"]], ["ecsInstanceRole", "web"],
            "and all of them")
    tap.raises("DeleteConflict", lambda: iam.delete_role(RoleName="web"), "a role in a profile stays", 409,
               "Cannot delete entity, must remove roles from instance profile first.")
    tap.raises("DeleteConflict", lambda: iam.delete_instance_profile(InstanceProfileName="web"), "so does a profile with a role", 409)
    tap.raises("NoSuchEntity", lambda: iam.get_instance_profile(InstanceProfileName="no"), "an unknown profile", 404,
               "Instance Profile no cannot be found.")
    ec2 = berth.client("ec2")
    for given in ({"Name": "no"}, {"Arn": f"arn:aws:iam::{account}:instance-profile/web"}):
        tap.raises("InvalidParameterValue", lambda: launch(ec2, IamInstanceProfile=given), f"no instance gets {given}", 400)
    shown = launch(ec2, IamInstanceProfile={"Name": "web"})["IamInstanceProfile"]
    tap.is_(shown, {"Arn": profile["Arn"], "Id": profile["InstanceProfileId"]}, "an instance takes a profile that is there")
    tap.is_(launch(ec2, IamInstanceProfile={"Arn": profile["Arn"]})["IamInstanceProfile"], shown, "by its ARN as well")
    tap.is_(berth.sql("SELECT count(*) FROM bootstraps"), [["0"]], "an agent is asked for only with the agents' own profile")
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web")
    tap.raises("NoSuchEntity", lambda: iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web"), "a role leaves once", 404)
    iam.delete_role(RoleName="web")
    iam.delete_instance_profile(InstanceProfileName="web")
    tap.raises("NoSuchEntity", lambda: iam.get_role(RoleName="web"), "then both go", 404)


def assume(berth, iam):
    account = berth.account_id
    sts = berth.client("sts")
    arn = iam.create_role(RoleName="guest", AssumeRolePolicyDocument=trust(AWS=f"arn:aws:iam::{account}:root"))["Role"]["Arn"]
    got = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)
    keys = got["Credentials"]
    tap.is_((got["AssumedRoleUser"]["Arn"], keys["AccessKeyId"][:4], len(keys["SessionToken"])),
            (f"arn:aws:sts::{account}:assumed-role/guest/me", "ASIA", 356), "who is trusted takes a role")
    taken = (keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    tap.is_(berth.client("sts", *taken).get_caller_identity()["Arn"], f"arn:aws:sts::{account}:assumed-role/guest/me", "and is it")
    tap.raises("AccessDenied", lambda: berth.client("iam", *taken).list_roles(), "which may nothing yet, roles having no policies", 403)
    tap.raises("AccessDenied", lambda: berth.client("sts", *taken).assume_role(RoleArn=arn, RoleSessionName="me"), "nor go on to another", 403)
    words = f"is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::{account}:role/"
    for name in ("team/app", "ecsInstanceRole", "nobody", "wrongpath/guest"):
        tap.raises("AccessDenied", lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{name}", RoleSessionName="me"),
                   f"{name} does not trust, or is not there: nobody can tell", 403, words + name)
    tap.raises("ValidationError", lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=3601), "no longer than the role's limit", 400,
               "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    tap.raises("ValidationError", lambda: sts.assume_role(RoleArn="arn:aws:iam::x:role/guest", RoleSessionName="me"), "an ARN that is none", 400)
    tap.raises("InvalidAction", lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me", Policy="{}"), "a session policy is refused, not ignored", 400)
    conditional = json.loads(trust(AWS="*"))
    conditional["Statement"][0]["Condition"] = {"Bool": {"aws:SecureTransport": "true"}}
    iam.create_role(RoleName="sometimes", AssumeRolePolicyDocument=json.dumps(conditional))
    denied = json.loads(trust(AWS="*"))
    denied["Statement"].append({"Effect": "Deny", "Principal": {"AWS": account}, "Action": "sts:*"})
    iam.create_role(RoleName="never", AssumeRolePolicyDocument=json.dumps(denied))
    for name in ("sometimes", "never"):
        tap.raises("AccessDenied", lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{name}", RoleSessionName="me"),
                   f"a statement {name}", 403)
    other = berth.client("berth").create_account(Name="other")
    secret = berth.client("berth").create_access_key(AccountId=other["Account"]["AccountId"])["AccessKey"]
    foreign = berth.client("sts", secret["AccessKeyId"], secret["SecretAccessKey"])
    tap.raises("AccessDenied", lambda: foreign.assume_role(RoleArn=arn, RoleSessionName="me"), "another account is not trusted", 403)
    iam.delete_role(RoleName="guest")
    tap.ok(berth.wait_for(lambda: gone(berth, taken), 10, 0.5), "a role that is deleted takes its sessions along")


def gone(berth, keys):
    try:
        berth.client("sts", *keys).get_caller_identity()
        return False
    except berth.client("sts").exceptions.ClientError as e:
        return e.response["Error"]["Code"] == "InvalidClientTokenId"


def keys_of(credentials):
    return credentials["accessKeyId"], credentials["secretAccessKey"], credentials["sessionToken"]


def payload(acs, agent):
    _, message = acs.receive("PayloadMessage")
    agent.ack(acs, message)
    task = message["tasks"][0]
    for member in ("roleCredentials", "executionRoleCredentials"):
        if member in task:
            acs.send("IAMRoleCredentialsAckRequest", {"messageId": message["messageId"], "credentialsId": task[member]["credentialsId"],
                                                      "expiration": task[member]["expiration"]})
    return task


def task_roles(berth, iam):
    account, ecs = berth.account_id, berth.client("ecs")
    app = f"arn:aws:iam::{account}:role/team/app"
    fetch = iam.create_role(RoleName="fetch", AssumeRolePolicyDocument=TASKS)["Role"]["Arn"]
    ecs.create_cluster(clusterName="default")
    agent, other = Agent(berth), Agent(berth)
    able = ATTRIBUTES + [{"name": "com.amazonaws.ecs.capability." + n} for n in ("task-iam-role", "docker-remote-api.1.17", "docker-remote-api.1.18")]
    agent.register(attributes=able), other.register(attributes=able)
    acs, other_acs = agent.acs(), other.acs()
    ecs.register_task_definition(family="t", taskRoleArn=app, executionRoleArn=fetch,
                                 containerDefinitions=[{"name": "c", "image": "i", "memory": 16}])
    def start(**more):
        return ecs.start_task(taskDefinition="t", containerInstances=[agent.arn], **more)["tasks"][0]["taskArn"]
    arn = start()
    task_id = arn.rsplit("/", 1)[1]
    task = payload(acs, agent)
    mine, execution = task["roleCredentials"], task["executionRoleCredentials"]
    tap.is_((task["arn"], mine["roleArn"], execution["roleArn"]), (arn, app, fetch), "a payload brings the credentials of both roles")
    tap.ok(mine["credentialsId"] and mine["credentialsId"] != execution["credentialsId"], "under names that nobody guesses")
    tap.ok(other_acs.none_within("PayloadMessage", 1), "to the agent that has the task, and to no other")
    tap.is_(berth.client("sts", *keys_of(mine)).get_caller_identity()["Arn"],
            f"arn:aws:sts::{account}:assumed-role/app/{task_id}", "the API knows them as the task's")
    tap.raises("AccessDeniedException", lambda: berth.client("ecs", *keys_of(mine)).list_tasks(), "with nothing that the account may", 400)
    self_made = berth.client("ecs", *keys_of(mine))
    tap.raises("AccessDeniedException", lambda: self_made.get_task_protection(cluster="default", tasks=["0" * 32]), "nor ask about another task", 400)
    tap.raises("AccessDeniedException", lambda: self_made.get_task_protection(cluster="default"), "nor about all of them", 400)
    tap.raises("AccessDeniedException", lambda: self_made.update_task_protection(cluster="default", tasks=[arn, "0" * 32], protectionEnabled=True),
               "nor protect another beside itself", 400)
    got = self_made.get_task_protection(cluster="default", tasks=[arn])
    tap.is_(len(got["protectedTasks"] + got["failures"]), 1, "only about itself")
    tap.raises("AccessDeniedException", lambda: berth.client("ecs", *keys_of(execution)).submit_task_state_change(task=arn, status="RUNNING"),
               "nor may the execution role report for an agent", 400)

    # -- renewal: before the end, under the same name
    _, renewed = acs.receive("IAMRoleCredentialsMessage", seconds=SECONDS)
    both = {renewed["roleType"]: renewed}
    _, renewed = acs.receive("IAMRoleCredentialsMessage", seconds=SECONDS)
    both[renewed["roleType"]] = renewed
    new = both["TaskApplication"]["roleCredentials"]
    tap.is_((sorted(both), both["TaskApplication"]["taskArn"]), (["TaskApplication", "TaskExecution"], arn), "new ones come in the last sixth of their time")
    tap.is_((new["credentialsId"], new["accessKeyId"] != mine["accessKeyId"], new["expiration"] > mine["expiration"]),
            (mine["credentialsId"], True, True), "under the same name, for longer")
    tap.ok(not gone(berth, keys_of(mine)), "while the old ones still are good")
    tap.ok(not gone(berth, keys_of(new)), "as the new ones are")

    # -- an agent that has forgotten everything
    acs.close()
    acs = agent.acs(sendCredentials="false")
    acs.receive("HeartbeatMessage")
    tap.ok(acs.none_within("IAMRoleCredentialsMessage", 1), "an agent that remembers is sent none")
    acs.close()
    acs = agent.acs(sendCredentials="true")
    again = [acs.receive("IAMRoleCredentialsMessage")[1] for _ in range(2)]
    tap.is_({m["roleCredentials"]["credentialsId"] for m in again}, {mine["credentialsId"], execution["credentialsId"]},
            "one that has forgotten is sent all of its tasks'")
    last = keys_of(next(m for m in again if m["roleType"] == "TaskApplication")["roleCredentials"])

    # -- the end
    began = time.monotonic()
    agent.ecs.submit_task_state_change(cluster="default", task=arn, status="STOPPED", reason="done",
                                       containers=[{"containerName": "c", "status": "STOPPED", "exitCode": 0}])
    tap.ok(berth.wait_for(lambda: gone(berth, last), 60, 0.5), "credentials die with their task")
    print(f"# after {time.monotonic() - began:.1f} s")
    tap.is_(berth.sql(f"SELECT count(*) FROM sessions WHERE subject = '{task_id}'", "berth_identity"), [["0"]], "all of them")

    # -- overrides, and roles that cannot be taken
    over = start(overrides={"taskRoleArn": fetch})
    task = payload(acs, agent)
    tap.is_((task["arn"], task["roleCredentials"]["roleArn"]), (over, fetch), "an override names another role")
    for bad in (f"arn:aws:iam::{account}:role/nobody", f"arn:aws:iam::{account}:role/ecsInstanceRole", "arn:aws:iam::999999999999:role/app"):
        for call in (lambda: start(overrides={"taskRoleArn": bad}),
                     lambda: ecs.run_task(taskDefinition="t", overrides={"executionRoleArn": bad})):
            tap.raises("ClientException", call, f"no task is run with {bad}", 400, f"ECS was unable to assume the role '{bad}' that was provided")
    iam.create_role(RoleName="going", AssumeRolePolicyDocument=TASKS)
    going = f"arn:aws:iam::{account}:role/going"
    lost = start(overrides={"taskRoleArn": going})
    acs.receive("PayloadMessage")
    acs.close()
    iam.delete_role(RoleName="going")
    berth.wait_for(lambda: berth.sql(f"SELECT 1 FROM container_instances WHERE container_instance_id = '{agent.arn[-32:]}' AND channel_owner IS NULL"))
    acs = agent.acs()
    t = berth.wait_for(lambda: next((t for t in ecs.describe_tasks(tasks=[lost])["tasks"] if t["desiredStatus"] == "STOPPED"), None))
    tap.ok(t and t["stopCode"] == "TaskFailedToStart" and f"ECS was unable to assume the role '{going}'" in t["stoppedReason"],
           "a task whose role goes before its agent has it is not started", t)
    acs.close(), other_acs.close()


def instance_end(berth):
    """What the metadata service hands out ends with the instance."""
    from berth_test import BUILD, run
    one = launch(berth.client("ec2"), IamInstanceProfile={"Name": "ecsInstanceRole"})["InstanceId"]
    keys = run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, one).split()
    tap.ok(not gone(berth, keys), "an instance's credentials are good while it lives")
    end(berth, one)
    tap.ok(berth.wait_for(lambda: gone(berth, keys), 60, 0.5), "and die with it")


with Berth(config=CONFIG) as berth:
    iam = berth.client("iam")
    make_region(berth)
    iam_rows(berth, iam)
    assume(berth, iam)
    task_roles(berth, iam)
    instance_end(berth)
tap.done()
