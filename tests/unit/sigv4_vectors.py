#!/usr/bin/python3
"""Writes sigv4_vectors.json: requests signed by botocore at a fixed time.

    /usr/bin/python3 tests/unit/sigv4_vectors.py > tests/unit/sigv4_vectors.json

The credentials are made up. Each vector is a request as it would arrive, and what a verifier must make of it.
"""
import datetime
import json
import sys
import urllib.parse
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 31, 12, 0, 0)
KEY, SECRET = 'AKIDEXAMPLEEXAMPLE01', 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
SESSION, TOKEN = 'ASIAEXAMPLEEXAMPLE1', 'FwoGZXIvYXdzE+/=EXAMPLE//token=='

JSON_HEADERS = {'Content-Type': 'application/x-amz-json-1.1', 'Content-Length': '2',
                'X-Amz-Target': 'AmazonEC2ContainerServiceV20141113.ListClusters'}
FORM_HEADERS = {'Content-Type': 'application/x-www-form-urlencoded; charset=utf-8'}
AGENT = ('https://10.0.0.1:8444/acs/ws?agentHash=abc&agentVersion=1.70.0&clusterArn=default'
         '&dockerVersion=DockerVersion%3A%2020.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=true&seqNum=1')

CASES = [
    # name, form, service, method, url, headers, body, session
    ('form post', 'header', 'ec2', 'POST', 'https://localhost:8443/', FORM_HEADERS,
     'Action=DescribeInstances&Version=2016-11-15', False),
    ('JSON post', 'header', 'ecs', 'POST', 'https://127.0.0.1:8443/', JSON_HEADERS, '{}', False),
    ('JSON post by a session', 'header', 'ecs', 'POST', 'https://127.0.0.1:8443/', JSON_HEADERS, '{}', True),
    ('get with parameters', 'header', 'sts', 'GET',
     'https://localhost/?Version=2011-06-15&Action=GetCallerIdentity&b=%20x%2By&a=%C3%A9&a=1&a-b=2&A=~._-', {}, '', False),
    ('get of a WebSocket', 'header', 'ecs', 'GET', AGENT, {}, '', True),
    ('headers with spaces', 'header', 'ec2', 'POST', 'https://localhost:8443/',
     {**FORM_HEADERS, 'X-Amz-Meta': '  a   b  '}, 'Action=X', False),
    ('path with escapes', 'header', 'ecs', 'GET', 'https://localhost:8443/a%20b/./c/../d%2Fe/~x', {}, '', False),
    ('presigned get', 'query', 'sts', 'GET',
     'https://localhost:8443/?Action=GetCallerIdentity&Version=2011-06-15', {}, '', False),
    ('presigned get by a session', 'query', 'sts', 'GET',
     'https://localhost:8443/?Action=GetCallerIdentity&Version=2011-06-15', {'x-k8s-aws-id': 'cluster'}, '', True),
]


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW


def vector(name, form, service, method, url, headers, body, session):
    credentials = Credentials(SESSION, SECRET, TOKEN) if session else Credentials(KEY, SECRET)
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    signer = (botocore.auth.SigV4QueryAuth(credentials, service, 'home-1', expires=60)
              if form == 'query' else botocore.auth.SigV4Auth(credentials, service, 'home-1'))
    with mock.patch('botocore.auth.datetime.datetime', Clock):
        signer.add_auth(request)
    parts = urllib.parse.urlsplit(request.url)
    pairs = [['Host', parts.netloc]] + [[k, v] for k, v in request.headers.items()]
    return {'name': name, 'method': method, 'path': parts.path, 'query': parts.query, 'headers': pairs,
            'body': body, 'service': service, 'presigned': form == 'query',
            'token': TOKEN if session else None, 'key': SESSION if session else KEY}


json.dump({'secret': SECRET, 'region': 'home-1', 'now': 1769860800, 'expires': 60,
           'vectors': [vector(*case) for case in CASES],
           'unsigned': vector('unsigned payload', 'header', 'ecs', 'POST', 'https://localhost:8443/',
                              {**JSON_HEADERS, 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD'}, '{}', False)}, sys.stdout, indent=1)
print()
