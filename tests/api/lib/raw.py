"""Requests signed by hand, so that tests can sign them wrongly."""

import datetime
import hashlib
import hmac
import http.client
import json
import ssl
import urllib.parse
import xml.etree.ElementTree as ElementTree

FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON = "application/x-amz-json-1.1"
TARGETS = {"ecs": "AmazonEC2ContainerServiceV20141113.", "berth": "BerthV1."}
VERSIONS = {"ec2": "2016-11-15", "sts": "2011-06-15", "iam": "2010-05-08"}


def now(offset=0):
    return datetime.datetime.utcnow() + datetime.timedelta(seconds=offset)


def quote(text):
    return urllib.parse.quote(text, safe="-_.~")


def signature(secret, day, region, service, text):
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def error(self):
        """(code, message) of whichever form."""
        if self.headers.get("Content-Type", "").startswith(JSON):
            tree = json.loads(self.body)
            return tree["__type"], tree.get("message", "")
        root = ElementTree.fromstring(self.body)
        found = {e.tag.rsplit("}", 1)[-1]: e.text for e in root.iter()}
        return found.get("Code"), found.get("Message")


class Raw:
    """call() takes keyword arguments that bend the signature."""

    def __init__(self, berth):
        self.berth = berth

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.berth.port, timeout=20,
                                           context=ssl.create_default_context(cafile=self.berth.ca))

    def send(self, method, path, headers, body=b""):
        connection = self.connection()
        connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body or method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        got = connection.getresponse()
        answer = Answer(got.status, dict(got.getheaders()), got.read().decode())
        connection.close()
        return answer

    def request(self, service, action, parameters):
        """(headers, body) before signing."""
        if service in TARGETS:
            return ({"Content-Type": JSON, "X-Amz-Target": TARGETS[service] + action},
                    json.dumps(parameters).encode())
        form = {"Action": action, "Version": VERSIONS[service], **parameters}
        return {"Content-Type": FORM}, urllib.parse.urlencode(form).encode()

    def call(self, service="sts", action="GetCallerIdentity", parameters=None, access_key=None,
             secret=None, token=None, region="home-1", scope_service=None, offset=0, unsigned=False,
             tamper_body=None, tamper_signature=False, scope_day=None, authorization=None,
             leave_out=(), extra=None, path="/"):
        berth = self.berth
        headers, body = self.request(service, action, parameters or {})
        stamp = now(offset).strftime("%Y%m%dT%H%M%SZ")
        headers = {"Host": f"127.0.0.1:{berth.port}", **headers, **(extra or {})}
        if not unsigned:
            headers["X-Amz-Date"] = stamp
            if token:
                headers["X-Amz-Security-Token"] = token
            names = sorted(n.lower() for n in headers if n.lower() not in leave_out)
            values = {n.lower(): " ".join(v.split()) for n, v in headers.items()}
            canonical = "\n".join(
                ["POST", path, "", *(f"{n}:{values[n]}" for n in names), "", ";".join(names),
                 hashlib.sha256(body).hexdigest()])
            day = scope_day or stamp[:8]
            scope = f"{day}/{region}/{scope_service or service}/aws4_request"
            text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
            got = signature(secret or berth.secret_key, day, region, scope_service or service, text)
            if tamper_signature:
                got = ("0" if got[0] != "0" else "1") + got[1:]
            headers["Authorization"] = authorization or (
                f"AWS4-HMAC-SHA256 Credential={access_key or berth.access_key}/{scope}, "
                f"SignedHeaders={';'.join(names)}, Signature={got}")
        return self.send("POST", path, headers, tamper_body(body) if tamper_body else body)

    def presigned(self, service="sts", action="GetCallerIdentity", expires=60, offset=0, token=None,
                  access_key=None, secret=None, tamper=False, method="GET"):
        berth = self.berth
        stamp = now(offset).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/home-1/{service}/aws4_request"
        query = {"Action": action, "Version": VERSIONS[service], "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
                 "X-Amz-Credential": f"{access_key or berth.access_key}/{scope}", "X-Amz-Date": stamp,
                 "X-Amz-Expires": str(expires), "X-Amz-SignedHeaders": "host"}
        if token:
            query["X-Amz-Security-Token"] = token
        text = "&".join(f"{quote(k)}={quote(v)}" for k, v in sorted(query.items()))
        canonical = "\n".join([method, "/", text, f"host:127.0.0.1:{berth.port}", "", "host",
                               hashlib.sha256(b"").hexdigest()])
        string = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        got = signature(secret or berth.secret_key, stamp[:8], "home-1", service, string)
        if tamper:
            text = text.replace("Version=2011", "Version=2012")
        return self.send(method, f"/?{text}&X-Amz-Signature={got}", {"Host": f"127.0.0.1:{berth.port}"})
