import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestInfo } from '../interfaces.ts';
import { parseTracingConfiguration } from './configuration.ts';
import { mayDecide, openTracing, requestSpanName } from './tracing.ts';

const file = (more: object): string => JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'TracingConfiguration', ...more });

test('parseTracingConfiguration has upstream\'s defaults, and says what is wrong', () => {
  assert.deepEqual(parseTracingConfiguration(file({})), { endpoint: 'localhost:4317', samplingRatePerMillion: 0 });
  for (const [more, message] of [
    [{ samplingRatePerMillion: -1 }, 'samplingRatePerMillion: Invalid value: -1: sampling rate must be positive'],
    [{ samplingRatePerMillion: 1_000_001 }, 'samplingRatePerMillion: Invalid value: 1000001: sampling rate per million must be less than or equal to one million'],
    [{ endpoint: 'https://x:4317' }, 'endpoint: Invalid value: "https://x:4317": unsupported scheme: https.  Options are none, dns, unix, or unix-abstract'],
    [{ rate: 1 }, 'rate: Invalid value: "": unknown field "rate"'],
  ] as const) assert.throws(() => parseTracingConfiguration(file(more)), { message });
});

test('requestSpanName leaves out what a request chooses', () => {
  const info = (more: Partial<RequestInfo>): RequestInfo => ({ isResourceRequest: true, verb: 'get', path: '/x', apiGroup: '', apiVersion: 'v1', namespace: '', resource: 'pods', subresource: '', name: '', ...more });
  assert.equal(requestSpanName('GET', info({ namespace: 'a', name: 'b', subresource: 'log' })), 'GET /api/v1/namespaces/{:namespace}/pods/{:name}/log');
  assert.equal(requestSpanName('POST', info({ apiGroup: 'apps', resource: 'deployments' })), 'POST /apis/apps/v1/deployments');
  assert.equal(requestSpanName('GET', info({ isResourceRequest: false, path: '/version' })), 'GET');
});

test('only those who run or watch over the cluster decide what is traced', () => {
  assert.deepEqual([['system:masters'], ['system:monitoring'], ['dev']].map((groups) => mayDecide({ name: 'x', groups })), [true, true, false]);
});

test('without a file there are no traces', async () => assert.equal(await openTracing('/nowhere/tracing.yaml', 'id'), undefined));
