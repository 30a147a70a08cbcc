"""Plain HTTP from an address of ours, as a guest asks its metadata service."""

import http.client


class Metadata:
    """One guest: everything it asks comes from its own address."""

    def __init__(self, source, port, host="127.0.0.1"):
        self.source, self.host, self.port = source, host, port
        self.held = None

    def call(self, method, path, headers=None, body=None):
        """(status, body, headers)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5,
                                                source_address=(self.source, 0))
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("latin-1"), answer.headers
        finally:
            connection.close()

    def token(self, seconds=600):
        status, body, _ = self.call("PUT", "/latest/api/token",
                                    {"X-aws-ec2-metadata-token-ttl-seconds": str(seconds)})
        assert status == 200, (status, body)
        return body

    def get(self, path, version="latest", token=None):
        """(status, body), with a token of its own."""
        if self.held is None:
            self.held = self.token()
        status, body, _ = self.call("GET", f"/{version}/{path}",
                                    {"X-aws-ec2-metadata-token": token or self.held})
        return status, body

    def read(self, path):
        """The body; fails when there is none."""
        status, body = self.get(path)
        assert status == 200, (path, status, body)
        return body
