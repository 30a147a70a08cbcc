#!/usr/bin/python3
"""Every way in which a signature can be wrong, in each protocol's own words; and the right ones."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from agent_sim import Agent
from berth_test import BUILD, Berth, run, tap
from raw import Raw

INVALID = "The security token included in the request is invalid."
EC2_INVALID = "AWS was not able to validate the provided access credentials"
MISMATCH = "The request signature we calculated does not match the signature you provided."
SERVICES = {"ec2": "DescribeRegions", "sts": "GetCallerIdentity", "ecs": "ListClusters"}

# fault: (call's arguments, {service: (status, code, words)})
FAULTS = {
    "no signature at all": ({"unsigned": True}, {
        "ec2": (401, "AuthFailure", EC2_INVALID), "sts": (403, "MissingAuthenticationToken", "Request is missing Authentication Token"),
        "ecs": (400, "MissingAuthenticationTokenException", "Missing Authentication Token")}),
    "an unknown key": ({"access_key": "AKIA" + "Q" * 16}, {
        "ec2": (401, "AuthFailure", EC2_INVALID), "sts": (403, "InvalidClientTokenId", INVALID),
        "ecs": (400, "UnrecognizedClientException", INVALID)}),
    "a wrong secret": ({"secret": "x" * 40}, {
        "ec2": (401, "AuthFailure", EC2_INVALID), "sts": (403, "SignatureDoesNotMatch", MISMATCH),
        "ecs": (400, "InvalidSignatureException", MISMATCH)}),
    "a changed signature": ({"tamper_signature": True}, {
        "ec2": (401, "AuthFailure", EC2_INVALID), "sts": (403, "SignatureDoesNotMatch", MISMATCH),
        "ecs": (400, "InvalidSignatureException", MISMATCH)}),
    "a changed body": ({"tamper_body": lambda b: b[:-1] + b" "}, {
        "ec2": (401, "AuthFailure", EC2_INVALID), "sts": (403, "SignatureDoesNotMatch", MISMATCH),
        "ecs": (400, "InvalidSignatureException", MISMATCH)}),
    "a malformed header": ({"authorization": "AWS4-HMAC-SHA256 Credential=AKIA/20260131, Signature=00"}, {
        "ec2": (400, "IncompleteSignature", ""), "sts": (400, "IncompleteSignature", ""), "ecs": (400, "IncompleteSignatureException", "")}),
    "a clock that is late": ({"offset": -1000}, {
        "ec2": (400, "RequestExpired", "Request has expired."), "sts": (403, "SignatureDoesNotMatch", "Signature expired: "),
        "ecs": (400, "InvalidSignatureException", "Signature expired: ")}),
    "a clock that is early": ({"offset": 1000}, {
        "ec2": (400, "RequestExpired", "Request has expired."), "sts": (403, "SignatureDoesNotMatch", "Signature not yet current: "),
        "ecs": (400, "InvalidSignatureException", "Signature not yet current: ")}),
    "host not signed": ({"leave_out": ("host",)}, {
        "ec2": (400, "IncompleteSignature", ""), "sts": (400, "IncompleteSignature", ""), "ecs": (400, "IncompleteSignatureException", "")}),
    "another day in the scope": ({"scope_day": "20200101"}, {
        "ec2": (None, None, ""), "sts": (None, None, ""), "ecs": (None, None, "")}),
}


def check(answer, status, code, words, claim):
    got = answer.error()
    good = (status is None or answer.status == status) and (code is None or got[0] == code) and words in (got[1] or "")
    return tap.ok(good and 400 <= answer.status < 500, claim, f"got      {answer.status} {got}\nexpected {status} {code} {words}")


def test_faults(raw):
    for fault, (arguments, expected) in FAULTS.items():
        for service, (status, code, words) in expected.items():
            check(raw.call(service, SERVICES[service], **arguments), status, code, words, f"{service}: {fault}")


def test_regions(raw):
    check(raw.call("ec2", "DescribeRegions", region="eu-nowhere-1"), 401, "AuthFailure", "", "ec2: a region that is not here")
    check(raw.call("ecs", "ListClusters", region="eu-nowhere-1"), 400, "UnrecognizedClientException", "", "ecs: the same")
    tap.is_(raw.call("sts", region="eu-nowhere-1").status, 200, "sts takes any region")
    check(raw.call("ecs", "ListClusters", scope_service="ec2"), 400, "InvalidSignatureException", "", "ecs: signed for another service")


def test_right_ones(raw, berth):
    tap.is_(raw.call().status, 200, "a right signature is taken")
    tap.is_(raw.call(extra={"X-Odd": "a   b "}).status, 200, "with spaces squeezed in values")
    answer = raw.presigned()
    tap.ok(answer.status == 200 and berth.account_id in answer.body, "a presigned GET of GetCallerIdentity answers", answer.body)
    check(raw.presigned(tamper=True), 403, "SignatureDoesNotMatch", "", "a changed presigned query is refused")
    check(raw.presigned(expires=10, offset=-20), 403, "SignatureDoesNotMatch", "Signature expired", "a presigned query has its own time")
    check(raw.presigned(expires=604801), 400, None, "", "but no more than a week")
    tap.ok("Date" in raw.call().headers, "answers carry the server's date, by which clients set their clocks")
    tap.ok(len(raw.call().headers["x-amzn-RequestId"]) == 36, "and a request id")


def test_sessions(raw, berth):
    keys = run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, "i-0123456789abcdef0").split()
    session = dict(access_key=keys[0], secret=keys[1])
    answer = raw.call(**session, token=keys[2])
    tap.ok(answer.status == 200 and "assumed-role/ecsInstanceRole/i-0123456789abcdef0" in answer.body, "a session is who it was made for", answer.body)
    check(raw.call(**session), 403, "InvalidClientTokenId", INVALID, "a session's key without its token does not exist")
    check(raw.call(**session, token=keys[2][:-1] + "!"), 403, "InvalidClientTokenId", INVALID, "nor with another token")
    check(raw.call(token=keys[2]), 403, "InvalidClientTokenId", INVALID, "a lasting key has no token")
    check(raw.call("ec2", "DescribeRegions", **session, token=keys[2], leave_out=("x-amz-security-token",)), 400, "IncompleteSignature", "",
          "the token has to be signed")
    tap.is_(raw.presigned(**session, token=keys[2]).status, 200, "a session can presign")
    old = run(os.path.join(BUILD, "tests/api/make_session"), berth.config_file, berth.account_id, "i-0123456789abcdef0", "-5").split()
    ended = dict(access_key=old[0], secret=old[1], token=old[2])
    check(raw.call(**ended), 403, "ExpiredToken", "expired", "sts: an ended session")
    check(raw.call("ecs", "ListClusters", **ended), 400, "ExpiredTokenException", "expired", "ecs: the same")
    check(raw.call("ec2", "DescribeRegions", **ended), 400, "RequestExpired", "Request has expired.", "ec2: the same")
    return dict(access_key=keys[0], secret=keys[1], token=keys[2])


def test_policy(raw, berth, session):
    check(raw.call("ecs", "ListClusters", **session), 400, "AccessDeniedException", "is not authorized to perform: ecs:ListClusters on resource: *",
          "an agent's session may not list clusters")
    check(raw.call("ec2", "DescribeInstances", **session), 403, "UnauthorizedOperation", "You are not authorized to perform this operation. User: ",
          "nor look at instances")
    check(raw.call("berth", "GetStatus", **session), 400, "AccessDeniedException", "berth:GetStatus", "nor use the admin service")
    answer = raw.call("berth", "CreateAccount", {"Name": "guest"})
    import json
    guest = json.loads(answer.body)
    mine = dict(access_key=guest["AccessKey"]["AccessKeyId"], secret=guest["AccessKey"]["SecretAccessKey"])
    tap.ok(f"arn:aws:iam::{guest['Account']['AccountId']}:root" in raw.call(**mine).body, "a new account's first key is its root's")
    check(raw.call("berth", "ListAccounts", **mine), 400, "AccessDeniedException", "", "which is no administrator")
    tap.is_(raw.call("ecs", "ListClusters", **mine).status, 200, "but may do everything of its own")
    return mine


def test_disabled(raw, berth, mine):
    tap.is_(raw.call("berth", "UpdateAccessKey", {"AccessKeyId": mine["access_key"], "AccountId": account_of(raw, mine), "Status": "Inactive"}).status,
            200, "a key is disabled")
    tap.ok(berth.wait_for(lambda: raw.call(**mine).status == 403, seconds=8), "and within seconds is no key any more")
    check(raw.call("ecs", "ListClusters", **mine), 400, "UnrecognizedClientException", INVALID, "in the words of one that does not exist")


def account_of(raw, mine):
    import re
    return re.search(r"<Account>(\d+)</Account>", raw.call(**mine).body).group(1)


def test_http(raw, berth):
    body = raw.send("GET", "/", {})
    tap.is_((body.status, body.body), (200, "berth\n"), "a probe's GET / is answered")
    tap.is_(raw.send("HEAD", "/", {}).status, 200, "so is HEAD /")
    tap.is_(raw.send("PUT", "/", {}).status, 405, "PUT is not served")
    tap.is_(raw.send("POST", "/", {"Content-Type": "text/plain"}, b"x" * 1048577).status, 413, "more than 1 MiB is not taken")
    check(raw.call("sts", ""), 400, "MissingAction", "", "a form without an action")
    check(raw.call("sts", "NoSuchAction"), 400, "InvalidAction", "", "sts: an action that AWS does not have")
    check(raw.call("ec2", "NoSuchAction"), 400, "InvalidAction", "", "ec2: the same")
    check(raw.call("ecs", "NoSuchAction"), 400, "UnknownOperationException", "", "ecs: the same")
    check(raw.call("ec2", "CreateVpnGateway", {"Type": "ipsec.1"}), 400, "UnsupportedOperation", "", "ec2: one that AWS has and we have not")
    check(raw.call("ecs", "CreateTaskSet", {"service": "a", "cluster": "b", "taskDefinition": "c"}), 400, "UnsupportedFeatureException", "", "ecs: the same")
    check(raw.call("ec2", "DescribeRegions", {"Nonsense": "1"}), 400, "UnknownParameter", "Nonsense", "ec2: a parameter that it has not")
    connection = raw.connection()
    connection.request("GET", "/")
    connection.getresponse().read()
    first = connection.sock
    connection.request("GET", "/")
    connection.getresponse().read()
    tap.ok(connection.sock is first and first is not None, "connections stay open between requests")


with Berth() as berth:
    raw = Raw(berth)
    test_faults(raw)
    test_regions(raw)
    test_right_ones(raw, berth)
    session = test_sessions(raw, berth)
    mine = test_policy(raw, berth, session)
    test_disabled(raw, berth, mine)
    test_http(raw, berth)
tap.done()
