import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { structSchema } from '#machinery/apply/struct-schema.ts';
import { StatusError } from '#machinery/status-error.ts';
import { structCodec } from '../registry/struct-codec.ts';
import { DynamicResourceRegistry } from '../registry/resource-registry.ts';
import type { Strategy } from '../registry/strategy.ts';
import { resourceOf } from '#api/resources.ts';
import { replaceObject } from './mutating-webhook.ts';
import { applierOf, atomicPaths, normaliserOf } from './mutations.ts';
import { attributes } from './testing/attributes.ts';

const POD = structByKind('', 'v1', 'Pod')!;
const info = resourceOf('', 'v1', 'pods');
const strategy: Strategy = { resource: info, columns: [], row: () => [], default: (o) => void (((o as unknown as { spec: { restartPolicy?: string } }).spec.restartPolicy ??= 'Always')) };
const resources = new DynamicResourceRegistry();
resources.add({ info, strategy, codec: structCodec(POD), storage: undefined, subresources: new Map() });
const pod = (spec: object = {}): KubeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } }) as unknown as KubeObject;

describe('normaliserOf', () => {
  it('gives what a mutator added its defaults', () => {
    const out = normaliserOf(resources)(pod({ containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }] }), attributes(pod())) as unknown as { spec: { restartPolicy: string; containers: { ports: object[] }[] } };
    assert.equal(out.spec.restartPolicy, 'Always');
    assert.deepEqual(out.spec.containers[0]!.ports, [{ containerPort: 80, protocol: 'TCP' }]);
  });
  it('refuses values of a wrong type', () => {
    assert.throws(() => normaliserOf(resources)(pod({ hostNetwork: 'yes' }), attributes(pod())), (err: StatusError) => err.code === 500);
  });
  it('leaves objects of other kinds alone', () => {
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'p', namespace: 'default' }, target: { name: 'n' } } as unknown as KubeObject;
    assert.equal(normaliserOf(resources)(binding, attributes(binding, { resource: info, subresource: 'binding', kind: { group: '', version: 'v1', kind: 'Binding' } })), binding);
  });
});

describe('applierOf', () => {
  it('merges lists with keys by their keys', () => {
    const out = applierOf(resources)(pod(), { apiVersion: 'v1', kind: 'Pod', spec: { containers: [{ name: 'c', env: [{ name: 'A', value: '1' }] }, { name: 'side', image: 's' }] } }, attributes(pod())) as unknown as { spec: { containers: object[] } };
    assert.deepEqual(out.spec.containers, [{ name: 'c', image: 'i', env: [{ name: 'A', value: '1' }] }, { name: 'side', image: 's' }]);
  });
  it('refuses to replace atomic lists', () => {
    const configuration = { spec: { containers: [{ name: 'c', args: ['x'] }] } };
    assert.deepEqual(atomicPaths(configuration, structSchema(POD)), ['.spec.containers[0].args']);
    assert.throws(() => applierOf(resources)(pod(), configuration, attributes(pod())), /invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \.spec\.containers\[0\]\.args/);
  });
});
describe('replaceObject', () => {
  it('sees every change, in the last digit too, and none where a member is only undefined', () => {
    const ledger = (spec: object): KubeObject => ({ ...pod(), spec }) as unknown as KubeObject;
    const a = attributes(ledger({ total: 9007199254740993n }));
    assert.equal(replaceObject(a, ledger({ total: 9007199254740993n, more: undefined })), false);
    assert.equal(replaceObject(a, ledger({ total: 9007199254740992 })), true);
    assert.equal(JSON.stringify((a.object as unknown as { spec: object }).spec), '{"total":9007199254740992}');
  });
});
