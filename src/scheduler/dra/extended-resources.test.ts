import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceClass } from '#api/gen/resource-v1.ts';
import { makeDeviceClass } from '../testing/make-devices.ts';
import { makePod, type PodBuilder } from '../testing/make-pod.ts';
import { listerOf } from '../testing/plugin-harness.ts';
import { DeviceClasses } from './device-classes.ts';
import { extendedRequestsOf } from './extended-resources.ts';

const named = (name: string, extendedResourceName: string, creationTimestamp?: string): DeviceClass => {
  const made = makeDeviceClass(name, { extendedResourceName });
  return creationTimestamp === undefined ? made : { ...made, metadata: { ...made.metadata, creationTimestamp } };
};
const GPU = 'example.com/gpu';
const classes = new DeviceClasses(listerOf([named('gpu', GPU)]));

const table: Readonly<Record<string, readonly [PodBuilder, requests: string[], mappings: string[]]>> = {
  'each container has its own': [makePod('p').req({ [GPU]: '1' }).req({ cpu: '1' }).req({ [GPU]: '2' }), ['container-0-request-0=1', 'container-2-request-0=2'], ['c0 container-0-request-0', 'c2 container-2-request-0']],
  'requests are counted by name': [makePod('p').req({ cpu: '1', [GPU]: '1' }), ['container-0-request-1=1'], ['c0 container-0-request-1']],
  'an init container uses those of later ones': [makePod('p').initReq({ [GPU]: '2' }).req({ [GPU]: '1' }).req({ [GPU]: '3' }), ['container-1-request-0=1', 'container-2-request-0=3'], ['c0 container-1-request-0', 'c1 container-2-request-0', 'i0 container-1-request-0', 'i0 container-2-request-0']],
  'what it needs beside is asked for once, for the one that needs most': [makePod('p').initReq({ [GPU]: '2' }).initReq({ [GPU]: '4' }).req({ [GPU]: '1' }), ['container-1-request-0=3', 'container-2-request-0=1'], ['c0 container-2-request-0', 'i0 container-2-request-0', 'i0 container-1-request-0', 'i1 container-2-request-0', 'i1 container-1-request-0']],
  'a sidecar keeps what it has; those before it may use it, those after not': [makePod('p').initReq({ [GPU]: '1' }).initReq({ [GPU]: '1' }, 'Always').initReq({ [GPU]: '1' }), ['container-1-request-0=1', 'container-2-request-0=1'], ['i1 container-1-request-0', 'i0 container-1-request-0', 'i2 container-2-request-0']],
};
for (const [name, [pod, requests, mappings]] of Object.entries(table)) {
  test(`extendedRequestsOf: ${name}`, () => {
    const got = extendedRequestsOf(pod.obj(), [GPU], classes);
    assert.deepEqual(got.requests.map((r) => `${r.name}=${r.exactly?.count}`), requests);
    assert.deepEqual(got.mappings.map((m) => `${m.containerName} ${m.requestName}`), mappings);
  });
}
test('DeviceClasses: of several for one resource the newest stands for it, then the first by name; each has a resource of its own', () => {
  const all = new DeviceClasses(listerOf([named('b', GPU, '2026-01-02T00:00:00Z'), named('a', GPU, '2026-01-02T00:00:00Z'), named('old', GPU, '2026-01-01T00:00:00Z')]));
  assert.deepEqual([GPU, 'deviceclass.resource.kubernetes.io/old', 'deviceclass.resource.kubernetes.io/none', 'cpu'].map((r) => all.forResource(r)?.metadata.name), ['a', 'old', undefined, undefined]);
});
