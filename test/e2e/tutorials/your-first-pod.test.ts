/** "Your First Pod", typed as its reader would. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { startWatch, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { assertOutput } from '../harness/mask.ts';
import { PROMPT } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/nginx:1.28'] });

const MY_POD = `apiVersion: v1
kind: Pod
metadata:
  name: my-pod
  labels:
    app: web
spec:
  containers:
  - name: web
    image: nginx:1.28
    ports:
    - containerPort: 80
`;

test('the unfinished manifests of the first steps are refused, each with its own reason', async (c) => {
  const twoFields = await c.kubectl('create -f -', { input: 'apiVersion: v1\nkind: Pod\n', expect: 1 });
  assert.match(twoFields.stderr, /^The Pod "" is invalid: \n\* metadata\.name: Required value: name or generateName is required\n\* spec\.containers: Required value\n|resource name may not be empty/);
  const noSpec = await c.kubectl('create -f -', { input: 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: my-pod\n', expect: 1 });
  assert.match(noSpec.stderr, /^The Pod "my-pod" is invalid: spec\.containers: Required value\n$/);
  const flat = await c.kubectl('apply -f -', { input: MY_POD.replace(/^ +/gm, ''), expect: 1 });
  assert.match(flat.stderr, /resource name may not be empty/);
});

test('apply, watch until Running, wide, yaml, describe, exec, logs, delete', async (c) => {
  await c.file('my-pod.yaml', MY_POD);
  await using watch = await startWatch(c, ['pods', '--output-watch-events']);
  assert.equal((await c.shell('kubectl apply -f my-pod.yaml')).stdout, 'pod/my-pod created\n');
  await watch.seen(/^MODIFIED +my-pod +1\/1 +Running +0 /m);
  const shown = watch.stdout.split('\n').filter((l) => /my-pod/.test(l)).map((l) => l.split(/\s+/).slice(0, 4).join(' '));
  assert.deepEqual([...new Set(shown)], ['ADDED my-pod 0/1 Pending', 'MODIFIED my-pod 0/1 Pending', 'MODIFIED my-pod 0/1 ContainerCreating', 'MODIFIED my-pod 1/1 Running']);
  await watch.interrupt();

  assertOutput((await c.shell('kubectl get pod my-pod -o wide')).stdout, `
NAME     READY   STATUS    RESTARTS   AGE   IP           NODE     NOMINATED NODE   READINESS GATES
my-pod   1/1     Running   0          6s    10.244.0.2   node01   <none>           <none>`);

  assertOutput((await c.shell('kubectl get pod my-pod -o yaml')).stdout, await readFile(new URL('my-pod.expected.yaml', import.meta.url), 'utf8'));
  const described = (await c.shell('kubectl describe pod my-pod')).stdout;
  assert.match(described, /^Labels: +app=web$/m);
  assert.match(described, /^Events:\n/m);

  await using shell = c.terminal('kubectl exec -it my-pod -- /bin/sh');
  await shell.seen(PROMPT);
  shell.write('ls /etc/nginx/conf.d; exit\n');
  assert.equal((await shell.ended).code, 0);
  assert.match(shell.stdout, /^default\.conf\r$/m);
  await using named = c.terminal('kubectl exec -it my-pod -c web -- /bin/sh');
  await named.seen(PROMPT);
  named.write('curl -s 127.0.0.1/seen; exit\n');
  assert.equal((await named.ended).code, 0);

  await using follow = await c.startKubectl('logs my-pod -f');
  await follow.seen(/"GET \/seen HTTP\/1\.1" 404/);
  await follow.seen(/open\(\) "\/usr\/share\/nginx\/html\/seen" failed/); // of its error output
  await follow.interrupt();
  for (const command of ['kubectl logs my-pod', 'kubectl logs my-pod -c web']) assert.match((await c.shell(command)).stdout, /"GET \/seen HTTP\/1\.1" 404/);
});

test('what exec wrote into the container is lost when it restarts; the Pod keeps its address', async (c) => {
  const before = await waitForReady(c, 'my-pod');
  await c.shell('kubectl exec my-pod -- touch /written-by-hand');
  await c.shell('kubectl exec my-pod -- kill -QUIT 1', { expect: 'any' });
  const after = await waitForPod(c, 'my-pod', 'running again', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.equal(after.status?.podIP, before.status?.podIP);
  assert.match((await c.shell('kubectl exec my-pod -- ls /written-by-hand', { expect: 2 })).stderr, /No such file or directory\ncommand terminated with exit code 2\n$/);
  assert.match((await c.shell('kubectl get pod my-pod')).stdout, /^my-pod +1\/1 +Running +1 \(\d+s ago\) +\d+s$/m);
  assert.match((await c.shell('kubectl logs my-pod --previous')).stdout, /"GET \/seen HTTP\/1\.1" 404/);
});

test('a Pod that was deleted stays deleted', async (c) => {
  assert.equal((await c.shell('kubectl delete pod my-pod')).stdout, 'pod "my-pod" deleted from default namespace\n');
  await waitForPodGone(c, 'my-pod');
  assert.equal((await c.shell('kubectl get pod my-pod', { expect: 1 })).stderr, 'Error from server (NotFound): pods "my-pod" not found\n');
});
