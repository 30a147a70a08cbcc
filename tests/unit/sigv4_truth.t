#!/usr/bin/python3
"""Random requests signed by botocore verify; the same with one thing changed do not.

The seed is fixed, so that a failure repeats; SEED=n tries others.
"""
import datetime
import json
import os
import random
import string
import subprocess
import sys
import urllib.parse
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, '..', '..', os.environ.get('BUILD', 'build'))
NOW = datetime.datetime(2026, 1, 31, 12, 0, 0)
EPOCH = 1769860800
ROUNDS = 1500
SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
ALPHABET = string.ascii_letters + string.digits + '-._~/%+=& ;:,\'"()*!@$é☃😀'


class Clock(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW


class Peer:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, 'tests/unit/wire_peer')], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def verifies(self, request):
        self.process.stdin.write(json.dumps({'do': 'verify', **request}) + '\n')
        self.process.stdin.flush()
        return 'made' in json.loads(self.process.stdout.readline())


def text(rng, most):
    return ''.join(rng.choice(ALPHABET) for _ in range(rng.randint(0, most)))


def make(rng):
    """A request as it arrives, signed."""
    host = rng.choice(['localhost:8443', '10.0.0.1', 'ecs.home-1.example', '[::1]:8443'])
    path = '/' + '/'.join(urllib.parse.quote(text(rng, 6), safe='~') for _ in range(rng.randint(0, 3)))
    query = '&'.join(urllib.parse.quote(text(rng, 5), safe='~') + '=' + urllib.parse.quote(text(rng, 8), safe='~')
                     for _ in range(rng.randint(0, 4)))
    presigned = rng.random() < 0.3
    method = 'GET' if presigned else rng.choice(['GET', 'POST'])
    headers = {'X-Custom-%d' % n: rng.choice(['plain', ' two  words ', 'a,b', 'tab\there']) for n in range(rng.randint(0, 3))}
    body = text(rng, 60) if method == 'POST' else ''
    if not presigned and rng.random() < 0.5:
        headers['X-Amz-Target'] = 'Prefix.Action'
    service = rng.choice(['ec2', 'ecs', 'sts', 'berth'])
    token = rng.choice([None, 'to/ken+=='])
    credentials = Credentials('AKIDEXAMPLE', SECRET, token)
    url = 'https://%s%s%s' % (host, path, '?' + query if query else '')
    request = AWSRequest(method, url, headers=headers, data=body)
    signer = (botocore.auth.SigV4QueryAuth(credentials, service, 'home-1', expires=300) if presigned
              else botocore.auth.SigV4Auth(credentials, service, 'home-1'))
    with mock.patch('botocore.auth.datetime.datetime', Clock):
        signer.add_auth(request)
    parts = urllib.parse.urlsplit(request.url)
    return {'method': method, 'path': parts.path, 'query': parts.query, 'body': body, 'secret': SECRET, 'now': EPOCH,
            'headers': [['Host', parts.netloc]] + [[k, v] for k, v in request.headers.items()]}


def change(rng, request):
    """The same request with one thing changed that its signature covers."""
    changed = json.loads(json.dumps(request))
    what = rng.choice(['method', 'path', 'query', 'body', 'secret', 'header', 'now', 'remove'])
    signed = [h for h in changed['headers'] if h[0] != 'Authorization']
    if what in ('path', 'body', 'secret'):
        changed[what] += 'x'
    elif what == 'method':
        changed['method'] = 'PUT'
    elif what == 'query':
        changed['query'] += '&x=1'
    elif what == 'header':
        rng.choice(signed)[1] += 'x'
    elif what == 'now':
        changed['now'] += rng.choice([-901, 901])
    else:
        changed['headers'].remove(rng.choice(signed))
    return what, changed


def main():
    rng = random.Random(int(os.environ.get('SEED', '2026')))
    peer = Peer()
    refused, passed = [], []
    for _ in range(ROUNDS):
        request = make(rng)
        if not peer.verifies(request):
            refused.append(request)
            continue
        what, changed = change(rng, request)
        if peer.verifies(changed):
            passed.append((what, changed))
    for number, title, faults in ((1, 'what botocore signs verifies', refused),
                                  (2, 'what was changed on the way does not', passed)):
        print('%sok %d - %s (%d requests)' % ('not ' if faults else '', number, title, ROUNDS))
        for fault in faults[:5]:
            print('# %s' % json.dumps(fault))
        if faults:
            print('# %d faults' % len(faults))
    print('1..2')
    sys.exit(1 if refused or passed else 0)


main()
