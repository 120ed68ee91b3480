import assert from 'node:assert/strict';
import { test } from 'node:test';
import { structByFactsName, structByKind, type StructType } from '#api/schema.ts';
import { deepFreeze } from '#base/draft.ts';
import { cannotHandle, decodeInto, readTypeMeta, strictMessages, strictReason } from './decode.ts';
import { normalise } from './normalise.ts';

const kind = (group: string, version: string, name: string): StructType => structByKind(group, version, name)!;
const POD = kind('', 'v1', 'Pod');
const DEPLOYMENT = kind('apps', 'v1', 'Deployment');

test('decodeInto keeps what the type has and reports the rest', () => {
  const decoded = decodeInto(POD, { kind: 'Pod', metadata: { name: 'a', labels: { x: 'y' }, Name: 'b' }, spec: { containers: [{ name: 'c', imagee: 'z' }, { name: 'd', env: [{ name: 'e', valueFrom: { x: 1 } }] }], volumes: null }, extra: { deep: {} } });
  assert.deepEqual(decoded.errors, []);
  assert.deepEqual(decoded.unknown, ['metadata.Name', 'spec.containers[0].imagee', 'spec.containers[1].env[0].valueFrom.x', 'extra']);
  assert.deepEqual(decoded.object, { kind: 'Pod', metadata: { name: 'a', labels: { x: 'y' } }, spec: { containers: [{ name: 'c' }, { name: 'd', env: [{ name: 'e', valueFrom: {} }] }] } });
});

test('decodeInto reports wrong types in Go\'s words', () => {
  const spec = (value: unknown): unknown => ({ spec: value });
  const container = (fields: object): unknown => spec({ containers: [{ name: 'a', ...fields }] });
  const cases: [StructType, unknown, string][] = [
    [POD, container({ ports: [{ containerPort: 'http' }] }), 'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32'],
    [POD, container({ env: [{ name: 'a', value: 1 }] }), 'json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string'],
    [POD, container({ image: ['a'] }), 'json: cannot unmarshal array into Go struct field Container.spec.containers.image of type string'],
    [POD, container({ args: 'a' }), 'json: cannot unmarshal string into Go struct field Container.spec.containers.args of type []string'],
    [POD, container({ imagePullPolicy: true }), 'json: cannot unmarshal bool into Go struct field Container.spec.containers.imagePullPolicy of type v1.PullPolicy'],
    [POD, container({ ports: [{ containerPort: 1.5 }] }), 'json: cannot unmarshal number 1.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32'],
    [POD, container({ ports: [{ containerPort: 2 ** 31 }] }), 'json: cannot unmarshal number 2147483648 into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32'],
    [POD, spec({ containers: {} }), 'json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'],
    [POD, spec([]), 'json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec'],
    [POD, spec({ hostNetwork: 'yes' }), 'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool'],
    [POD, spec({ nodeSelector: { a: 1 } }), 'json: cannot unmarshal number into Go struct field PodSpec.spec.nodeSelector of type string'],
    [POD, spec({ nodeSelector: [] }), 'json: cannot unmarshal array into Go struct field PodSpec.spec.nodeSelector of type map[string]string'],
    [POD, spec({ volumes: [{ name: 'a', hostPath: { path: 1 } }] }), 'json: cannot unmarshal number into Go struct field HostPathVolumeSource.spec.volumes.VolumeSource.hostPath.path of type string'],
    [POD, spec({ volumes: [{ name: 'a', hostPath: 'x' }] }), 'json: cannot unmarshal string into Go struct field Volume.spec.volumes.VolumeSource.hostPath of type v1.HostPathVolumeSource'],
    [POD, { metadata: { labels: { a: true } } }, 'json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string'],
    [POD, { metadata: { uid: 1 } }, 'json: cannot unmarshal number into Go struct field ObjectMeta.metadata.uid of type types.UID'],
    [POD, [], 'json: cannot unmarshal array into Go value of type v1.Pod'],
    [DEPLOYMENT, spec({ replicas: '3' }), 'json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32'],
    [DEPLOYMENT, spec({ template: { spec: { containers: [{ resources: { limits: [] } }] } } }), 'json: cannot unmarshal array into Go struct field ResourceRequirements.spec.template.spec.containers.resources.limits of type v1.ResourceList'],
  ];
  for (const [type, value, message] of cases) assert.equal(decodeInto(type, value).errors[0], message);
});

test('decodeInto ends at once where Go\'s type has an unmarshaller of its own', () => {
  const resources = (cpu: unknown): unknown => ({ spec: { hostNetwork: 'wrong', containers: [{ resources: { limits: { cpu } } }] } });
  const format = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  assert.equal(decodeInto(POD, resources('lots')).errors[0], format);
  assert.equal(decodeInto(POD, resources({ a: 1 })).errors[0], format);
  assert.equal(decodeInto(POD, resources('1Q')).errors[0], format);
  assert.equal(decodeInto(POD, { metadata: { creationTimestamp: 'now' } }).errors[0], 'parsing time "now" as "2006-01-02T15:04:05Z07:00": cannot parse "now" as "2006"');
  assert.equal(decodeInto(POD, { metadata: { creationTimestamp: 5 } }).errors[0], 'json: cannot unmarshal number into Go value of type string');
  assert.equal(decodeInto(kind('', 'v1', 'Service'), { spec: { ports: [{ targetPort: 1.5 }] } }).errors[0], 'json: cannot unmarshal number 1.5 into Go value of type int32');
  assert.equal(decodeInto(kind('', 'v1', 'Service'), { spec: { ports: [{ targetPort: {} }] } }).errors[0], 'json: cannot unmarshal object into Go value of type int32');
});

test('decodeInto checks base64', () => {
  const secret = kind('', 'v1', 'Secret');
  assert.deepEqual(decodeInto(secret, { data: { a: 'aGVs\nbG8=' } }).object, { data: { a: 'aGVsbG8=' } });
  assert.deepEqual(decodeInto(secret, { data: { a: [104, 105] } }).object, { data: { a: 'aGk=' } });
  assert.deepEqual(decodeInto(secret, { data: { a: 'a!b=' } }).errors, ['illegal base64 data at input byte 1']);
  assert.deepEqual(decodeInto(secret, { data: { a: 'abcde' } }).errors, ['illegal base64 data at input byte 4']);
  assert.deepEqual(decodeInto(secret, { data: { a: 5 } }).errors, ['json: cannot unmarshal number into Go struct field Secret.data of type []uint8']);
});

test('decodeInto turns null items into zero values', () => {
  const decoded = decodeInto(POD, { metadata: { labels: { a: null }, finalizers: [null] }, spec: { containers: [null] } });
  assert.deepEqual(decoded.object, { metadata: { labels: { a: '' }, finalizers: [''] }, spec: { containers: [{}] } });
});

test('decodeInto keeps odd keys as ordinary keys', () => {
  const decoded = decodeInto(kind('', 'v1', 'ConfigMap'), JSON.parse('{"data":{"__proto__":"x","constructor":"y"},"constructor":{}}'));
  assert.deepEqual(Object.keys(decoded.object['data'] as object), ['__proto__', 'constructor']);
  assert.equal(JSON.stringify(normalise(kind('', 'v1', 'ConfigMap'), decoded.object)['data']), '{"__proto__":"x","constructor":"y"}');
  assert.deepEqual(decoded.unknown, ['constructor']);
});

test('decodeInto stops at the depth limit, in schemas and in untyped JSON', () => {
  const crd = kind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition');
  let schema: object = {};
  for (let i = 0; i < 2000; i++) schema = { properties: { a: schema } };
  assert.deepEqual(decodeInto(crd, { spec: { versions: [{ name: 'v1', schema: { openAPIV3Schema: schema } }] } }).errors, ['exceeded max depth']);
  let deep: unknown = 1;
  for (let i = 0; i < 20_000; i++) deep = [deep];
  assert.deepEqual(decodeInto(kind('apps', 'v1', 'ControllerRevision'), { data: deep }).errors, ['exceeded max depth']);
});

test('decodeInto reads schemas of custom resources, their unions included', () => {
  const crd = kind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition');
  const openAPIV3Schema = { type: 'object', properties: { l: { type: 'array', items: { type: 'string', bogus: 1 } }, m: { additionalProperties: true }, d: { default: { x: [1] }, enum: ['a', 1] } }, bogus: 2 };
  const decoded = decodeInto(crd, { spec: { versions: [{ schema: { openAPIV3Schema } }] } });
  assert.deepEqual(decoded.unknown, ['spec.versions[0].schema.openAPIV3Schema.bogus']);
  const { bogus: _, ...rest } = openAPIV3Schema;
  assert.deepEqual((decoded.object as { spec: { versions: { schema: { openAPIV3Schema: unknown } }[] } }).spec.versions[0]!.schema.openAPIV3Schema, { ...rest, properties: { ...rest.properties, l: { type: 'array', items: { type: 'string' } } } });
});

test('strictMessages name unknown and duplicate fields', () => {
  const text = '{"kind":"Pod","metadata":{"name":"a","name":"b","labels":{"x":"1","x":"2"}},"spec":{"containers":[{"name":"c","name":"d","z":{"q":1,"q":2}}]},"spec":{},"z":1,"z":2}';
  const decoded = decodeInto(POD, JSON.parse(text));
  assert.deepEqual(strictMessages(decoded.unknown, text, POD), ['unknown field "z"', 'duplicate field "metadata.name"', 'duplicate field "metadata.labels.x"', 'duplicate field "spec.containers[0].name"', 'duplicate field "spec"']);
  assert.equal(cannotHandle('Pod', 'v1', 'Pod', strictReason(['unknown field "z"'])), 'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "z"');
});

test('readTypeMeta wants strings', () => {
  assert.deepEqual(readTypeMeta({ apiVersion: 'v1' }), { apiVersion: 'v1', kind: '' });
  assert.throws(() => readTypeMeta({ kind: 5 }), { message: "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string" });
  assert.throws(() => readTypeMeta([]), { message: /^couldn't get version\/kind; json parse error: json: cannot unmarshal array into Go value of type struct/ });
});

test('normalise adds what Go prints and drops what it does not', () => {
  const pod = normalise(POD, { kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a', labels: {}, generateName: '' }, spec: { hostNetwork: false, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'i', stdin: false, ports: [{ containerPort: 80 }], resources: { limits: { cpu: '1000m', memory: '1024Mi' } } }] } });
  assert.deepEqual(pod, {
    kind: 'Pod', apiVersion: 'v1', metadata: { name: 'a' },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, protocol: 'TCP' }], resources: { limits: { cpu: '1', memory: '1Gi' } } }] },
    status: {},
  });
  const deployment = normalise(DEPLOYMENT, { metadata: { name: 'a' }, spec: { selector: { matchLabels: { a: 'b' } } } });
  assert.deepEqual(deployment, { metadata: { name: 'a' }, spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: {}, spec: { containers: [] } }, strategy: {} }, status: {} });
});

test('normalise prints times as Go does', () => {
  const event = normalise(kind('', 'v1', 'Event'), { metadata: { creationTimestamp: '2026-01-01T02:00:00.5+01:00' }, firstTimestamp: '2026-01-01T00:00:00.9Z', eventTime: '2026-01-01T00:00:00.123456Z' });
  assert.deepEqual(event, {
    metadata: { creationTimestamp: '2026-01-01T01:00:00Z' }, involvedObject: {}, source: {}, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: null, eventTime: '2026-01-01T00:00:00.123456Z', reportingComponent: '', reportingInstance: '',
  });
});

test('normalise gives the same object again', () => {
  const value = deepFreeze({ metadata: { name: 'a' }, spec: { ports: [{ port: 80 }], selector: { a: 'b' } } });
  const once = normalise(kind('', 'v1', 'Service'), value);
  assert.deepEqual((once['spec'] as { ports: unknown }).ports, [{ protocol: 'TCP', port: 80, targetPort: 0 }]);
  assert.deepEqual(normalise(kind('', 'v1', 'Service'), deepFreeze(once)), once);
});

test('normalise shows the zeros of required fields', () => {
  assert.deepEqual(normalise(kind('apps', 'v1', 'DaemonSet'), {})['status'], { currentNumberScheduled: 0, numberMisscheduled: 0, desiredNumberScheduled: 0, numberReady: 0 });
  assert.deepEqual(normalise(structByFactsName('api/core/v1.ResourceFieldSelector'), { resource: 'limits.cpu' }), { resource: 'limits.cpu', divisor: '0' });
  assert.deepEqual(normalise(structByFactsName('api/core/v1.PodCondition'), { type: 'Ready', status: 'True' }), { type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: null });
});

test('decodeInto takes undefined for absent, as values that never were text have it', () => {
  const { object, unknown, errors } = decodeInto(structByFactsName('api/core/v1.ConfigMap'), { metadata: { name: 'a', namespace: undefined }, data: { k: 'v', gone: undefined } });
  assert.deepEqual({ object, unknown, errors }, { object: { metadata: { name: 'a' }, data: { k: 'v' } }, unknown: [], errors: [] });
});

test('decodeInto tells which required lists were given empty', () => {
  const { empties } = decodeInto(POD, { spec: { containers: [], volumes: [{ name: 'v', projected: { sources: [] }, configMap: { items: [] } }, { name: 'w', projected: {} }] } });
  assert.deepEqual(empties, [['spec', 'containers'], ['spec', 'volumes', 0, 'projected', 'sources']]);
});
test('decodeInto takes all integers of 64 bits; those that no double holds come near', () => {
  const grace = (value: unknown) => decodeInto(POD, { spec: { terminationGracePeriodSeconds: value } });
  assert.deepEqual(grace(9223372036854775807n), { object: { spec: { terminationGracePeriodSeconds: 2 ** 63 - 1024 } }, unknown: [], errors: [], empties: [] });
  assert.ok(BigInt(JSON.stringify(2 ** 63 - 1024)) < 2n ** 63n, 'what is printed is of 64 bits still');
  assert.deepEqual(grace(9007199254740993n).object, { spec: { terminationGracePeriodSeconds: 9007199254740992 } });
  assert.deepEqual(grace(9223372036854775808).errors, [`json: cannot unmarshal number ${2 ** 63} into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64`]);
  assert.deepEqual(decodeInto(POD, { spec: { priority: 9007199254740993n } }).errors, ['json: cannot unmarshal number 9007199254740993 into Go struct field PodSpec.spec.priority of type int32']);
});
