import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deployments } from '../../apps/deployments.ts';
import { tryCreate, tryUpdate } from '../../trial.ts';
import { pods } from '../pods.ts';

const env = [{ name: 'A', value: '1' }, { name: 'A', value: '$(A),2' }, { name: 'A', value: '3' }];
const ports = [{ containerPort: 80 }, { containerPort: 80 }];

test('a Pod warns of what is lost, old or doubled', () => {
  const { warnings } = tryCreate(pods, {
    metadata: { name: 'p', annotations: { 'container.apparmor.security.beta.kubernetes.io/c': 'unconfined' } },
    spec: {
      nodeSelector: { 'beta.kubernetes.io/os': 'linux' }, imagePullSecrets: [{}], volumes: [{ name: 'g', gitRepo: { repository: 'r' } }],
      containers: [{ name: 'c', image: 'i', env, ports, resources: { limits: { memory: '100m' } } }],
    },
  });
  assert.deepEqual(warnings, [
    'metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "appArmorProfile" field instead',
    'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
    'spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+',
    'spec.imagePullSecrets[0].name: invalid empty name ""',
    'spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer',
    'spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer',
    'spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply',
    'spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]',
  ]);
});
test('a workload warns of its template when that is new or has changed', () => {
  const deployment = {
    metadata: { name: 'd' },
    spec: { selector: { matchLabels: { a: 'b' } }, template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i', ports }] } } },
  };
  const warning = 'spec.template.spec.containers[0].ports[1]: duplicate port definition with spec.template.spec.containers[0].ports[0]';
  assert.deepEqual(tryCreate(deployments, deployment).warnings, [warning]);
  assert.deepEqual(tryUpdate(deployments, deployment, (d) => (d.metadata.labels = { x: 'y' })).warnings, []);
  const changed = tryUpdate(deployments, deployment, (d) => ((d['spec'] as typeof deployment.spec).template.spec.containers[0]!.image = 'j'));
  assert.deepEqual(changed.warnings, [warning]);
});
