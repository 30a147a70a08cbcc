#!/usr/bin/python3
"""Every operation of every model, both ways, against botocore's own serializers and parsers.

For each operation a request and an answer are made up from the model (all members, valid values). What botocore
writes, our decoder must read as the same tree; what our encoder writes, botocore must read as the same tree;
and our own clients' codecs must be the inverse of the server's.
"""
import base64
import datetime
import json
import os
import random
import subprocess
import sys
import urllib.parse

import botocore
from botocore import parsers, serialize
from botocore.awsrequest import AWSRequest
from botocore.model import ServiceModel

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, '..', '..')
BUILD = os.path.join(TOP, os.environ.get('BUILD', 'build'))
DATA = os.path.join(os.path.dirname(botocore.__file__), 'data')
MODELS = {
    'ec2': 'ec2/2016-11-15', 'ecs': 'ecs/2014-11-13', 'iam': 'iam/2010-05-08',
    'sts': 'sts/2011-06-15', 'berth': None,
}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
STRINGS = ['x', 'a&b<c>"d\'', 'é – ☃ 😀', ' lead and trail ', 'a+b=c%20', 'two\nlines', '0', 'true']


def merge(into, more):
    for key, value in more.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(into.get(key), dict) and isinstance(value, dict):
            merge(into[key], value)
        elif isinstance(into.get(key), list) and isinstance(value, list):
            into[key] = into[key] + value
        else:
            into[key] = value
    return into


def load(name, path):
    model = {}
    if path:
        with open(os.path.join(DATA, path, 'service-2.json'), encoding='utf-8') as f:
            model = json.load(f)
    overlay = os.path.join(TOP, 'src/catalog/overlay', name + '.json')
    if os.path.exists(overlay):
        with open(overlay, encoding='utf-8') as f:
            merge(model, json.load(f))
    return ServiceModel(model, name)


class Maker:
    """Values of a shape: as the SDK has them, and as our trees have them."""

    def __init__(self, seed, protocol, answer):
        self.random = random.Random(seed)
        self.protocol, self.answer = protocol, answer

    def value(self, shape, depth=0):
        return getattr(self, shape.type_name)(shape, depth)

    def structure(self, shape, depth):
        sdk, tree = {}, {}
        for name, member in shape.members.items():
            container = member.type_name in ('structure', 'list', 'map')
            if container and depth >= 8 and name not in shape.required_members:
                continue
            s, t = self.value(member, depth + 1)
            # The form of Query and EC2 has no way to write an empty structure.
            if s == {} and not self.answer and self.protocol != 'json':
                continue
            sdk[name], tree[name] = s, t
        return sdk, tree

    def list(self, shape, depth):
        low = max(1, shape.metadata.get('min', 1))
        high = max(low, min(2 if depth < 4 else 1, shape.metadata.get('max', 2)))
        pairs = [self.value(shape.member, depth + 1) for _ in range(self.random.randint(low, high))]
        if not self.answer and self.protocol != 'json':
            pairs = [p for p in pairs if p[0] != {}]
        return [p[0] for p in pairs], [p[1] for p in pairs]

    def map(self, shape, depth):
        sdk, tree = {}, {}
        for n in range(2):
            key = self.string(shape.key, depth)[0] if shape.key.enum else 'key %d' % n
            sdk[key], tree[key] = self.value(shape.value, depth + 1)
        return sdk, tree

    def string(self, shape, depth):
        if shape.enum:
            text = self.random.choice(shape.enum)
        else:
            text = self.random.choice(STRINGS)
            low, high = shape.metadata.get('min', 0), shape.metadata.get('max', 1 << 20)
            text = (text * (low // len(text) + 1))[:min(high, max(low, len(text)))]
        return text, text

    character = string

    def integer(self, shape, depth):
        number = self.random.randint(shape.metadata.get('min', -2 ** 31),
                                     shape.metadata.get('max', 2 ** 31 - 1))
        return number, number

    def long(self, shape, depth):
        number = self.random.randint(shape.metadata.get('min', -2 ** 63),
                                     shape.metadata.get('max', 2 ** 63 - 1))
        return number, number

    def double(self, shape, depth):
        number = self.random.choice([0.1, 2.5, 1e-3, 12.25])
        return number, number

    float = double

    def boolean(self, shape, depth):
        value = self.random.random() < 0.5
        return value, value

    def timestamp(self, shape, depth):
        seconds = self.random.randint(0, 2 ** 31)
        # Query writes whole seconds, and so does botocore in the other two.
        ms = self.random.randint(0, 999) if self.answer and self.protocol != 'query' else 0
        when = EPOCH + datetime.timedelta(seconds=seconds, milliseconds=ms)
        return when, seconds * 1000000 + ms * 1000

    def blob(self, shape, depth):
        data = bytes(self.random.randrange(256) for _ in range(self.random.randint(1, 9)))
        return data, base64.b64encode(data).decode()


class Peer:
    def __init__(self):
        self.process = subprocess.Popen([os.path.join(BUILD, 'tests/unit/wire_peer')], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **line):
        self.process.stdin.write(json.dumps(line) + '\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def body_text(service, operation, params):
    writer = serialize.create_serializer(service.metadata['protocol'], include_validation=False)
    request = writer.serialize_to_request(params, operation)
    prepared = AWSRequest('POST', 'https://localhost/', data=request['body'],
                          headers=request['headers']).prepare()
    body = prepared.body
    return body.decode() if isinstance(body, bytes) else body


def parse(service, operation, body):
    reader = parsers.create_parser(service.metadata['protocol'])
    response = {'body': body.encode(), 'headers': {}, 'status_code': 200}
    parsed = reader.parse(response, operation.output_shape)
    parsed.pop('ResponseMetadata', None)
    return parsed


def plain(value):
    """Values in a form that compares: 1 and 1.0 alike, times in microseconds."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return round((value - EPOCH) / datetime.timedelta(microseconds=1))
    return value


def check_operation(peer, service, name, seed):
    operation = service.operation_model(name)
    protocol = service.metadata['protocol']
    base = {'service': service.service_name, 'operation': name}
    faults = []

    def same(what, got, want):
        if plain(got) != plain(want):
            faults.append('%s:\n  got  %s\n  want %s' % (what, json.dumps(plain(got), default=str)[:1500],
                                                        json.dumps(plain(want), default=str)[:1500]))

    sdk, tree = ({}, {})
    if operation.input_shape:
        sdk, tree = Maker(seed, protocol, False).value(operation.input_shape)
    theirs = body_text(service, operation, sdk)
    got = peer.ask(do='decode_request', body=theirs, **base)
    same('request of botocore, decoded by us', got.get('made', got), tree)
    ours = peer.ask(do='encode_request', tree=tree, **base)
    text = ours.get('made', {}).get('body', '')
    if protocol == 'json':
        same('request of ours, as JSON', json.loads(text or 'null'), json.loads(theirs))
    else:
        # We write milliseconds, botocore leaves them out where they are zero.
        same('request of ours, as form', dict(urllib.parse.parse_qsl(text.replace('.000Z', 'Z'), True)),
             dict(urllib.parse.parse_qsl(theirs, True)))

    sdk, tree = ({}, {})
    if operation.output_shape:
        sdk, tree = Maker(seed + 1, protocol, True).value(operation.output_shape)
    same('answer of ours, checked', peer.ask(do='check_output', tree=tree, **base), {'made': {}})
    ours = peer.ask(do='encode_answer', tree=tree, **base)
    text = ours.get('made', {}).get('body', '')
    if not text:
        faults.append('no answer: %s' % ours)
        return faults
    same('answer of ours, parsed by botocore', parse(service, operation, text), sdk)
    got = peer.ask(do='decode_answer', body=text, **base)
    same('answer of ours, decoded by us', got.get('made', got), tree)
    return faults


def check_error(peer, service):
    message = 'no <such> "thing" & é'
    got = peer.ask(do='encode_error', service=service.service_name, message=message)
    reader = parsers.create_parser(service.metadata['protocol'])
    parsed = reader.parse({'body': got['body'].encode(), 'headers': {}, 'status_code': got['status']},
                          None)
    error = parsed['Error']
    request_id = parsed['ResponseMetadata'].get('RequestId')
    faults = []
    if (error['Code'], error['Message']) != (got['code'], message):
        faults.append('botocore read %s' % error)
    if service.metadata['protocol'] != 'json' and request_id != 'req-1':
        faults.append('botocore read request id %s' % request_id)
    return faults


def main():
    peer = Peer()
    count, failed = 0, 0
    for name, path in MODELS.items():
        service = load(name, path)
        service.service_name = name
        faults = []
        for operation in service.operation_names:
            for seed in range(2):
                faults += ['%s: %s' % (operation, f)
                           for f in check_operation(peer, service, operation, seed * 1000)]
        for title, found in (('every operation of %s (%d)' % (name, len(service.operation_names)), faults),
                             ('an error of %s' % name, check_error(peer, service))):
            count += 1
            print('%sok %d - botocore and we agree on %s' % ('not ' if found else '', count, title))
            failed += bool(found)
            for fault in found[:20]:
                print('# ' + fault.replace('\n', '\n# '))
            if found:
                print('# %d faults' % len(found))
    print('1..%d' % count)
    sys.exit(1 if failed else 0)


main()
