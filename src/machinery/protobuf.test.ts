import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ALL_RESOURCES } from '#api/resources.ts';
import { structByFactsName, structByKind, type StructType } from '#api/schema.ts';
import { normalise } from './normalise.ts';
import { decodeEnvelope, decodeMessage, decodeObject, decodeWatchEvent, encodeMessage, encodeObject, encodeWatchFrame, FrameSplitter, hasProtobuf, isProtobuf, ProtobufError } from './protobuf.ts';
import { Reader, Writer } from './protobuf-wire.ts';

const kind = (group: string, version: string, name: string): StructType => structByKind(group, version, name)!;
const POD = kind('', 'v1', 'Pod');
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('encodeObject wraps a message in its envelope', () => {
  const bytes = encodeObject({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } }, kind('', 'v1', 'Namespace'));
  // magic; typeMeta { "v1", "Namespace" }; raw { metadata { name, "", "", "", "", "", 0, {} }, spec {}, status { "" } }; "" ; ""
  assert.equal(hex(bytes), ['6b387300', '0a0f0a0276311209', hex(Buffer.from('Namespace')), '12190a11', '0a0161', '1200', '1a00', '2200', '2a00', '3200', '3800', '4200', '1200', '1a020a00', '1a00', '2200'].join(''));
  assert.deepEqual(decodeObject(bytes), { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'a' }, spec: {}, status: {} });
});

test('protobuf keeps what kinds of values there are', () => {
  const roundTrip = (type: StructType, object: Record<string, unknown>): void => {
    const normal = normalise(type, object);
    assert.deepEqual(normalise(type, decodeMessage(type, encodeMessage(type, normal))), normal);
  };
  roundTrip(POD, {
    metadata: { name: 'a', labels: { 'b/c': 'd', a: '' }, creationTimestamp: '2026-01-02T03:04:05Z', deletionGracePeriodSeconds: 0, managedFields: [{ manager: 'k', operation: 'Apply', fieldsType: 'FieldsV1', fieldsV1: { 'f:a': {} } }] },
    spec: {
      containers: [{ name: 'ü', livenessProbe: { httpGet: { port: 'http' }, periodSeconds: 5 }, readinessProbe: { tcpSocket: { port: 80 } }, resources: { limits: { cpu: '100m' } }, securityContext: { runAsUser: -5 }, envFrom: [{ secretRef: { name: 's' } }] }],
      volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'c' } }], defaultMode: 420 } }], activeDeadlineSeconds: 2 ** 40, hostUsers: false,
    },
    status: { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '1969-12-31T23:59:59Z' }] },
  });
  roundTrip(kind('', 'v1', 'Secret'), { data: { a: 'aGk=', empty: '' }, immutable: false });
  roundTrip(kind('coordination.k8s.io', 'v1', 'Lease'), { spec: { renewTime: '2026-01-02T03:04:05.000007Z', leaseDurationSeconds: -1 } });
  roundTrip(kind('policy', 'v1', 'PodDisruptionBudget'), { spec: { minAvailable: '50%' }, status: { disruptedPods: { p: null } } });
  roundTrip(kind('authorization.k8s.io', 'v1', 'SubjectAccessReview'), { spec: { extra: { scopes: ['a', 'b'] } } });
  roundTrip(kind('', 'v1', 'APIResourceList'), { groupVersion: 'v1', resources: [{ name: 'pods', verbs: ['get', 'list'] }] });
  roundTrip(kind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition'), {
    spec: { versions: [{ name: 'v1', subresources: { status: {} }, schema: { openAPIV3Schema: { properties: { a: { items: { type: 'string' } }, b: { additionalProperties: false }, c: { additionalProperties: { type: 'number', maximum: 1.5 } }, d: { default: { x: [1] }, enum: ['a', 1] }, e: { dependencies: { f: ['g'] } } } } } }] },
  });
});

test('decodeObject opens objects inside objects', () => {
  const inner = encodeObject({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a' } }, kind('', 'v1', 'Namespace'));
  const writer = new Writer();
  writer.bytes(inner);
  writer.tag(1, 2);
  writer.varint(writer.length);
  writer.tag(2, 2);
  assert.deepEqual(decodeMessage(kind('', 'v1', 'List'), writer.finish())['items'], [{ kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'a' }, spec: {}, status: {} }]);
});

test('decoding takes messages that come in parts, packed lists and fields it does not know', () => {
  const spec = kind('', 'v1', 'PodSecurityContext') ?? structByFactsName('api/core/v1.PodSecurityContext');
  // supplementalGroups (4) packed: 1, 300
  assert.deepEqual(decodeMessage(spec, Buffer.from('220301ac02', 'hex')), { supplementalGroups: [1, 300] });
  const meta = structByFactsName('apimachinery/pkg/apis/meta/v1.ObjectMeta');
  const namespace = kind('', 'v1', 'Namespace');
  // metadata twice, with an unknown varint field (100), fixed32 (101) and fixed64 (102) between
  const bytes = Buffer.concat([Buffer.from('0a030a0161', 'hex'), Buffer.from('a00605', 'hex'), Buffer.from('ad0601020304', 'hex'), Buffer.from('b1060102030405060708', 'hex'), Buffer.from('0a031a0162', 'hex')]);
  assert.deepEqual(decodeMessage(namespace, bytes), { metadata: { name: 'a', namespace: 'b' } });
  assert.deepEqual(decodeMessage(meta, Buffer.alloc(0)), {});
});

test('decodeEnvelope refuses in upstream\'s words', () => {
  assert.throws(() => decodeEnvelope(Buffer.alloc(0)), { message: 'empty data' });
  assert.throws(() => decodeEnvelope(Buffer.from('{"a":1}')), { message: 'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]' });
  assert.throws(() => decodeEnvelope(Buffer.from('k8s\0')), { message: 'empty body' });
  assert.throws(() => decodeObject(encodeObject({ apiVersion: 'x.io/v1', kind: 'Foo' }, POD)), { message: 'no kind "Foo" is registered for version "x.io/v1"' });
  assert.equal(isProtobuf(Buffer.from('k8s')), false);
});

test('decoding never hangs or dies on broken bytes', () => {
  const good = encodeObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', labels: { a: 'b' } }, spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1' } } }] } }, POD);
  fc.assert(fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, cut) => {
    const bytes = Buffer.from(good);
    bytes[at] = byte;
    try {
      decodeObject(bytes.subarray(0, cut), POD);
    } catch (err) {
      assert.ok(err instanceof ProtobufError, String(err));
    }
  }));
  assert.throws(() => decodeMessage(POD, Buffer.from('0aff', 'hex')), { message: 'unexpected EOF' });
  assert.throws(() => decodeMessage(POD, Buffer.from('0affffffffff0f', 'hex')), { message: 'proto: integer overflow' });
  assert.throws(() => decodeMessage(POD, Buffer.from('0b', 'hex')), ProtobufError);
  assert.throws(() => decodeMessage(POD, Buffer.from('0800', 'hex')), { message: 'proto: wrong wireType = 0 for field metadata' });
});

test('decoding stops at the depth limit', () => {
  const props = structByFactsName('apiextensions-apiserver/pkg/apis/apiextensions/v1.JSONSchemaProps');
  let bytes: Buffer = Buffer.alloc(0);
  for (let i = 0; i < 1100; i++) { // not (field 34) of not of not …
    const writer = new Writer();
    writer.bytes(bytes);
    writer.tag(props.fields.get('not')!.pbPath[0]!, 2);
    bytes = writer.finish();
  }
  assert.throws(() => decodeMessage(props, bytes), { message: 'exceeded max depth' });
  assert.deepEqual(decodeMessage(props, Buffer.alloc(0)), {}, 'and is ready for the next message');
});

test('integers are exact to 2^53 and signed', () => {
  fc.assert(fc.property(fc.maxSafeInteger(), (value) => {
    const writer = new Writer();
    writer.int64(value);
    assert.equal(new Reader(writer.finish()).int64(), value);
  }));
  for (const value of [-(2 ** 63), 2 ** 62, -1, -128, 127, 128, 16383, 16384]) {
    const writer = new Writer();
    writer.int64(value);
    assert.equal(new Reader(writer.finish()).int64(), value);
  }
});

test('strings of any length and script survive', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (value) => {
    const writer = new Writer();
    writer.string(value);
    assert.equal(new Reader(writer.finish()).string(), value.toWellFormed());
  }));
});

test('watch frames carry an event whose object has its envelope', () => {
  const object = encodeObject({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' } }, POD);
  const frames = Buffer.concat([encodeWatchFrame('ADDED', object), encodeWatchFrame('DELETED', object)]);
  const splitter = new FrameSplitter();
  const out: Buffer[] = [];
  for (const byte of frames) out.push(...splitter.push(Buffer.from([byte])));
  assert.deepEqual(out.map((frame) => decodeWatchEvent(frame).type), ['ADDED', 'DELETED']);
  assert.ok(decodeWatchEvent(out[0]!).object.equals(object));
  const event = decodeMessage(kind('', 'v1', 'WatchEvent'), out[0]!);
  assert.deepEqual((event['object'] as { metadata: unknown }).metadata, { name: 'a' });
  assert.throws(() => new FrameSplitter(100).push(Buffer.from([0, 0, 1, 0])), { message: 'object to decode was longer than maximum allowed size' });
});

test('every served kind has protobuf, and Tables have none', () => {
  const without = ALL_RESOURCES.filter((r) => { const type = structByKind(r.group, r.version, r.kind); return !type || !hasProtobuf(type); });
  assert.deepEqual(without.map((r) => r.kind), []);
  for (const name of ['Status', 'DeleteOptions', 'List', 'PartialObjectMetadata', 'PartialObjectMetadataList']) assert.ok(hasProtobuf(kind('meta.k8s.io', 'v1', name)), name);
  assert.equal(hasProtobuf(kind('meta.k8s.io', 'v1', 'Table')), false);
  for (const r of ALL_RESOURCES) for (const k of [r.kind, r.listKind]) {
    const type = structByKind(r.group, r.version, k);
    if (type) assert.doesNotThrow(() => encodeMessage(type, {}), k);
  }
});
