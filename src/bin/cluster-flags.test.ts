import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flagValues, newClusterConfig } from '#cluster/config.ts';
import { parseArguments } from './arguments.ts';
import { CLUSTER_FLAGS, clusterChoices } from './cluster-flags.ts';

test('flagValues tells what each flag of a cluster was given, or its default', () => {
  const given = { 'data-dir': '/srv/a', 'node-name': 'a', 'node-ip': '192.0.2.7', 'api-port': '7443', 'max-requests-inflight': '7', 'runtime-config': 'networking.k8s.io/v1beta1=true' };
  const parsed = parseArguments(Object.entries(given).map(([name, value]) => `--${name}=${value}`), CLUSTER_FLAGS);
  const values = flagValues(newClusterConfig(clusterChoices(parsed)));
  assert.deepEqual(Object.keys(values).toSorted(), Object.keys(CLUSTER_FLAGS).toSorted());
  assert.deepEqual({ ...values, ...given }, values);
  assert.deepEqual([values['log-level'], values['service-cidr'], values['container-runtime-endpoint']], ['info', '10.96.0.0/16', '']);
});
