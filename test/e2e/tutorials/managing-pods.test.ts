/** The article on Pods and how they are managed with kubectl (example-pod), typed as its reader would. */
import assert from 'node:assert/strict';
import { waitForEvent, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { assertOutput } from '../harness/mask.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ served: ['docker.io/library/nginx:latest'], images: ['docker.io/library/busybox:1.37'] });

const EXAMPLE_POD = `apiVersion: v1
kind: Pod
metadata:
  name: example-pod
  labels:
    role: example-role
spec:
  containers:
    - name: web
      image: nginx
      ports:
        - name: web
          containerPort: 80
          protocol: TCP
`;

test('create from a file, get, delete by the file', async (c) => {
  await c.file('example-pod.yml', EXAMPLE_POD);
  assert.equal((await c.shell('kubectl create -f example-pod.yml')).stdout, 'pod/example-pod created\n');
  await waitForReady(c, 'example-pod');
  assertOutput((await c.shell('kubectl get pods')).stdout, `
NAME          READY   STATUS    RESTARTS   AGE
example-pod   1/1     Running   0          7m49s`);
  const twice = await c.shell('kubectl create -f example-pod.yml', { expect: 1 });
  assert.equal(twice.stderr, 'Error from server (AlreadyExists): error when creating "example-pod.yml": pods "example-pod" already exists\n');
  assert.equal((await c.shell('kubectl delete -f example-pod.yml')).stdout, 'pod "example-pod" deleted from default namespace\n');
  await waitForPodGone(c, 'example-pod');
});

test('the commands that the article gets wrong fail as upstream\'s do', async (c) => {
  const untyped = await c.shell('kubectl delete example-pod', { expect: 1 });
  assert.equal(untyped.stderr, 'error: the server doesn\'t have a resource type "example-pod"\n');
  const pods = await c.shell('kubectl pods', { expect: 1 });
  assert.match(pods.stderr, /^error: unknown command "pods" for "kubectl"\n\nDid you mean this\?\n\tlogs\n/);
});

test('in another namespace: force deletion warns and does not wait', async (c) => {
  assert.equal((await c.shell('kubectl create namespace dev')).stdout, 'namespace/dev created\n');
  await c.shell('kubectl create -f example-pod.yml --namespace dev');
  await waitForReady(c, 'example-pod', { namespace: 'dev' });
  assert.equal((await c.shell('kubectl get pods')).stderr, 'No resources found in default namespace.\n');
  const forced = await c.shell('kubectl delete pod example-pod --grace-period=0 --force --namespace dev');
  assert.equal(forced.stdout, 'pod "example-pod" force deleted from dev namespace\n');
  assert.equal(forced.stderr, 'Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n');
  assert.equal((await c.shell('kubectl delete namespace dev')).stdout, 'namespace "dev" deleted\n');
  assert.match((await c.shell('kubectl get namespace dev', { expect: 1 })).stderr, /^Error from server \(NotFound\): namespaces "dev" not found$/m);
});

test('a deleted Pod runs on for its grace period, as Terminating, and hears SIGTERM', async (c) => {
  await c.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'graceful' },
    spec: { containers: [{ name: 'app', image: 'busybox:1.37', command: ['sh', '-c', 'trap "echo told to end; until [ -e /end ]; do sleep 0.1; done; exit 0" TERM; echo up; while true; do sleep 0.1; done'] }] },
  });
  await waitForReady(c, 'graceful');
  await using logs = await c.startKubectl('logs -f graceful');
  await logs.seen(/^up$/m);
  await using deletion = await c.startKubectl('delete pod graceful --grace-period=25');
  await logs.seen(/^told to end$/m);
  assert.match((await c.shell('kubectl get pod graceful')).stdout, /^graceful +1\/1 +Terminating +0 /m);
  const pod = await waitForPod(c, 'graceful', 'terminating', (p) => p.metadata.deletionTimestamp !== undefined);
  assert.equal(pod.metadata.deletionGracePeriodSeconds, 25);
  assert.equal((await c.shell('kubectl exec graceful -- touch /end')).code, 0, 'it runs until then');
  assert.equal((await deletion.ended).stdout, 'pod "graceful" deleted from default namespace\n');
});

test('liveness restarts a container that stopped answering, readiness says whether it takes traffic', async (c) => {
  const container = {
    name: 'app', image: 'busybox:1.37', command: ['sh', '-c', 'touch /alive; sleep 3600'],
    livenessProbe: { exec: { command: ['cat', '/alive'] }, periodSeconds: 1, failureThreshold: 2 },
    readinessProbe: { exec: { command: ['cat', '/ready'] }, periodSeconds: 1 },
  };
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'probed' }, spec: { terminationGracePeriodSeconds: 1, containers: [container] } });
  await waitForEvent(c, 'probed', 'Unhealthy', /^Readiness probe failed: cat: can't open '\/ready': No such file or directory/);
  assert.match((await c.shell('kubectl get pod probed')).stdout, /^probed +0\/1 +Running +0 /m);
  await c.shell('kubectl exec probed -- touch /ready');
  await waitForReady(c, 'probed');
  await c.shell('kubectl exec probed -- rm /alive');
  await waitForEvent(c, 'probed', 'Unhealthy', /^Liveness probe failed: cat: can't open '\/alive': No such file or directory/);
  await waitForEvent(c, 'probed', 'Killing', /^Container app failed liveness probe, will be restarted$/);
  await waitForPod(c, 'probed', 'restarted', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].state?.running !== undefined);
  await c.shell('kubectl delete pod probed');
});
