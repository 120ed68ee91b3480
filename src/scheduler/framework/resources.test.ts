import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { podRequests } from './resources.ts';

const requests = (pod: Pod, defaults?: boolean) => Object.fromEntries(podRequests(pod, defaults));

test('podRequests lets requests of the Pod itself take the place of those of its containers', () => {
  const pod = makePod('p').req({ cpu: '100m', memory: '1Mi', 'example.com/gpu': '1' }).obj();
  assert.deepEqual(requests({ ...pod, spec: { ...pod.spec, resources: { requests: { cpu: '2' } } } }), { cpu: 2000, memory: 2 ** 20, 'example.com/gpu': 1 });
});

test('podRequests counts a container without requests a little, where that is asked for', () => {
  const pod = makePod('p').req({}).req({ cpu: '0' }).obj();
  assert.deepEqual([requests(pod), requests(pod, true)], [{ cpu: 0 }, { cpu: 100, memory: 2 * 200 * 2 ** 20 }]);
});

test('podRequests holds the larger of what is wanted and what the node has given during a resize', () => {
  const given = { name: 'c0', ready: true, restartCount: 0, image: '', imageID: '', resources: { requests: { cpu: '2' } } };
  const pod = (cpu: string) => makePod('p').req({ cpu }).status({ containerStatuses: [given] });
  const infeasible = pod('8').status({ conditions: [{ type: 'PodResizePending', status: 'True', reason: 'Infeasible' }] });
  assert.deepEqual([requests(pod('1').obj()), requests(pod('3').obj()), requests(infeasible.obj())], [{ cpu: 2000 }, { cpu: 3000 }, { cpu: 2000 }]);
});
