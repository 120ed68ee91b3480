/** "Pods: What Actually Runs Your Application", typed as its reader would. */
import assert from 'node:assert/strict';
import { startWatch, waitForEvent, waitForLog, waitForPod, waitForPodGone, waitForReady, waitForStatusColumn } from '../harness/conditions.ts';
import { assertOutput, tableRows } from '../harness/mask.ts';
import { PROMPT } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/nginx:1.21', 'docker.io/library/busybox:1.35', 'docker.io/library/busybox:1.37', 'docker.io/example/distroless:1'] });

const NGINX_POD = `apiVersion: v1  # (1)!
kind: Pod  # (2)!
metadata:
  name: nginx-pod  # (3)!
  labels:
    app: nginx  # (4)!
spec:
  containers:
  - name: nginx  # (5)!
    image: nginx:1.21  # (6)!
    ports:
    - containerPort: 80  # (7)!
`;
const SIDECAR_POD = `apiVersion: v1
kind: Pod
metadata:
  name: web-with-logger
  labels:
    app: web
spec:
  containers:
  - name: web-server  # (1)!
    image: nginx:1.21
    ports:
    - containerPort: 80
    volumeMounts:
    - name: shared-logs
      mountPath: /var/log/nginx  # (2)!

  - name: log-sidecar  # (3)!
    image: busybox:1.35
    command: ['sh', '-c', 'tail -f /logs/access.log']
    volumeMounts:
    - name: shared-logs
      mountPath: /logs  # (4)!

  volumes:
  - name: shared-logs  # (5)!
    emptyDir: {}
`;
const INIT_POD = `apiVersion: v1
kind: Pod
metadata:
  name: app-with-init
spec:
  initContainers:
  - name: wait-for-db  # (1)!
    image: busybox:1.35
    command: ['sh', '-c', 'until nslookup postgres-svc; do echo waiting for db; sleep 2; done']  # (2)!

  containers:
  - name: my-app  # (3)!
    image: my-company/my-app:v1.0.0
`;

test('the single-container Pod: apply, get, the four questions of exercise 3, logs, exec, delete', async (c) => {
  await c.file('nginx-pod.yaml', NGINX_POD);
  await using watch = await startWatch(c, ['pods']);
  assert.equal((await c.shell('kubectl apply -f nginx-pod.yaml')).stdout, 'pod/nginx-pod created\n');
  await waitForReady(c, 'nginx-pod');
  assertOutput((await c.shell('kubectl get pods')).stdout, `
NAME        READY   STATUS    RESTARTS   AGE
nginx-pod   1/1     Running   0          10s`);
  await watch.seen(/^nginx-pod +1\/1 +Running +0 +\d+s$/m);
  assert.match(watch.stdout, /^NAME +READY +STATUS +RESTARTS +AGE\nnginx-pod +0\/1 +Pending /);
  await watch.interrupt();

  const [, row] = tableRows((await c.shell('kubectl get pods -o wide')).stdout);
  const described = (await c.shell('kubectl describe pod nginx-pod')).stdout;
  assert.equal(row![6], 'node01');
  assert.match(row![5]!, /^10\.\d+\.0\.\d+$/);
  assert.match(described, /^ +Image: +nginx:1\.21$/m);
  assertOutput(described.slice(described.indexOf('Events:')), `
Events:
  Type    Reason     Age   From               Message
  ----    ------     ----  ----               -------
  Normal  Scheduled  1s    default-scheduler  Successfully assigned default/nginx-pod to node01
  Normal  Pulled     1s    kubelet            spec.containers{nginx}: Container image "nginx:1.21" already present on machine and can be accessed by the pod
  Normal  Created    1s    kubelet            spec.containers{nginx}: Container created
  Normal  Started    1s    kubelet            spec.containers{nginx}: Container started`);

  assert.equal((await c.shell('kubectl exec nginx-pod -- ls /usr/share/nginx/html')).stdout, '50x.html\nindex.html\n');
  await using follow = await c.startKubectl('logs nginx-pod --follow');
  await using shell = c.terminal('kubectl exec -it nginx-pod -- /bin/bash');
  await shell.seen(PROMPT);
  shell.write('curl -s localhost/shared; ps -e | grep -c nginx; exit\n');
  assert.equal((await shell.ended).code, 0);
  await follow.seen(/"GET \/shared HTTP\/1\.1" 404/);
  assert.match((await c.shell('kubectl logs nginx-pod')).stdout, /"GET \/shared HTTP\/1\.1" 404/);
  const previous = await c.shell('kubectl logs nginx-pod --previous', { expect: 1 });
  assert.equal(previous.stderr, 'Error from server (BadRequest): previous terminated container "nginx" in pod "nginx-pod" not found\n');

  const first = await waitForReady(c, 'nginx-pod');
  assert.equal((await c.shell('kubectl delete pod nginx-pod')).stdout, 'pod "nginx-pod" deleted from default namespace\n');
  assert.equal((await follow.ended).code, 0);
  await c.shell('kubectl apply -f nginx-pod.yaml');
  const second = await waitForReady(c, 'nginx-pod');
  assert.notEqual(second.status?.podIP, first.status?.podIP, 'a Pod made anew has a new address');
  assert.equal((await c.shell('kubectl apply -f nginx-pod.yaml')).stdout, 'pod/nginx-pod unchanged\n');
  assert.equal((await c.shell('kubectl delete -f nginx-pod.yaml')).stdout, 'pod "nginx-pod" deleted from default namespace\n');
  await waitForPodGone(c, 'nginx-pod');
});

test('the sidecar sees the logs of the web server in the volume that both mount, however often it started too early', async (c) => {
  await c.file('web-with-log-sidecar.yaml', SIDECAR_POD);
  assert.equal((await c.shell('kubectl apply -f web-with-log-sidecar.yaml')).stdout, 'pod/web-with-logger created\n');
  await waitForReady(c, 'web-with-logger', { timeoutMs: 120_000 });
  // The two share the network: the sidecar asks the web server on localhost, and reads of it in the log.
  await c.shell('kubectl exec web-with-logger -c log-sidecar -- wget -qO- http://localhost/');
  await using logs = await c.startKubectl('logs web-with-logger -c log-sidecar -f');
  await logs.seen(/^127\.0\.0\.1 - - \[.*\] "GET \/ HTTP\/1\.1" 200 /m);
  assert.equal((await c.shell('kubectl logs web-with-logger -c web-server')).stdout, '', 'it writes to the volume, not to its output');
  const guess = await c.shell('kubectl logs web-with-logger');
  assert.equal(guess.stderr, 'Defaulted container "web-server" out of: web-server, log-sidecar\n');
  assert.match((await c.shell('kubectl get pod web-with-logger')).stdout, /^web-with-logger +2\/2 +Running +/m);
  await c.shell('kubectl delete pod web-with-logger --now');
});

test('while the init container waits for the database the Pod shows Init:0/1', async (c) => {
  await c.file('app-with-init.yaml', INIT_POD);
  await c.shell('kubectl apply -f app-with-init.yaml');
  assert.equal(await waitForStatusColumn(c, 'app-with-init', /Init:0\/1/), 'Init:0/1');
  await using logs = await c.startKubectl('logs -f app-with-init -c wait-for-db');
  await logs.seen(/^waiting for db$/m);
  const refused = await c.shell('kubectl logs app-with-init -c my-app', { expect: 1 });
  assert.equal(refused.stderr, 'Error from server (BadRequest): container "my-app" in pod "app-with-init" is waiting to start: PodInitializing\n');
  await c.shell('kubectl delete pod app-with-init --now');
});

test('init containers run in their order, each to its end, and hand files over; then the image that does not exist is the trouble', async (c) => {
  await c.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app-with-init' },
    spec: {
      terminationGracePeriodSeconds: 1,
      initContainers: ['first', 'second'].map((name) => ({ name, image: 'busybox:1.35', command: ['sh', '-c', `cat /work/log 2>/dev/null; echo ${name} >> /work/log`], volumeMounts: [{ name: 'work', mountPath: '/work' }] })),
      containers: [
        { name: 'reader', image: 'busybox:1.35', command: ['sh', '-c', 'cat /work/log; sleep 3600'], volumeMounts: [{ name: 'work', mountPath: '/work' }] },
        { name: 'my-app', image: 'my-company/my-app:v1.0.0' },
      ],
      volumes: [{ name: 'work', emptyDir: {} }],
    },
  });
  await waitForStatusColumn(c, 'app-with-init', /ErrImagePull|ImagePullBackOff/);
  assert.equal((await c.shell('kubectl logs app-with-init -c second')).stdout, 'first\n');
  assert.equal(await waitForLog(c, 'app-with-init -c reader', /^second$/m), 'first\nsecond\n');
  await waitForEvent(c, 'app-with-init', 'Failed', /^Failed to pull image "my-company\/my-app:v1\.0\.0": /);
  await c.shell('kubectl delete pod app-with-init');
});

test('CrashLoopBackOff is investigated with get, describe, logs and logs --previous', async (c) => {
  await c.shell(`kubectl run crashing --image=busybox:1.37 -- sh -c 'echo "DB_URL is not set" >&2; exit 3'`);
  assert.equal(await waitForStatusColumn(c, 'crashing', /CrashLoopBackOff/), 'CrashLoopBackOff');
  assertOutput((await c.shell('kubectl get pods')).stdout.replace(/\d+ \(\d+s ago\)/, '1 (3s ago)'), `
NAME       READY   STATUS             RESTARTS     AGE
crashing   0/1     CrashLoopBackOff   1 (3s ago)   5s`);
  await waitForEvent(c, 'crashing', 'BackOff', /^Back-off restarting failed container crashing in pod crashing_default\([0-9a-f-]{36}\)$/);
  const described = (await c.shell('kubectl describe pod crashing')).stdout;
  assert.match(described, /^ +State: +Waiting\n +Reason: +CrashLoopBackOff\n +Last State: +Terminated\n +Reason: +Error\n +Exit Code: +3\n +Started: .*\n +Finished: .*\n +Ready: +False\n +Restart Count: +\d$/m);
  assert.equal((await c.shell('kubectl logs crashing')).stdout, 'DB_URL is not set\n');
  assert.equal((await c.shell('kubectl logs crashing --previous')).stdout, 'DB_URL is not set\n');
  await c.shell('kubectl delete pod crashing');
});

test('Pending for want of CPU, or of a claim, says why in its events', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'too-big' }, spec: { containers: [{ name: 'web', image: 'nginx:1.21', resources: { requests: { cpu: '1000' } } }] } });
  await waitForEvent(c, 'too-big', 'FailedScheduling', /^0\/1 nodes are available: 1 Insufficient cpu\. /);
  assertOutput((await c.shell('kubectl get pod too-big')).stdout, `
NAME      READY   STATUS    RESTARTS   AGE
too-big   0/1     Pending   0          3s`);
  const shown = (await c.shell('kubectl describe pod too-big')).stdout;
  assertOutput(shown.slice(shown.indexOf('Events:')), `
Events:
  Type     Reason            Age   From               Message
  ----     ------            ----  ----               -------
  Warning  FailedScheduling  3s    default-scheduler  0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`);
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'unclaimed' }, spec: { containers: [{ name: 'web', image: 'nginx:1.21' }], volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'missing' } }] } });
  await waitForEvent(c, 'unclaimed', 'FailedScheduling', /^0\/1 nodes are available: persistentvolumeclaim "missing" not found\. /);
  await c.shell('kubectl delete pod too-big unclaimed');
});

test('a running Pod whose application does not answer is Ready all the same', async (c) => {
  await c.shell('kubectl run silent --image=busybox:1.37 --port=80 -- sleep 3600');
  await waitForReady(c, 'silent');
  const refused = await c.shell('kubectl exec silent -- wget -qO- http://localhost:80/', { expect: 1 });
  assert.match(refused.stderr, /can't connect to remote host.*Connection refused/);
  await c.shell('kubectl delete pod silent --now');
});

test('an image without a shell: exec says so, describe and logs work', async (c) => {
  await c.shell('kubectl run minimal --image=example/distroless:1');
  await waitForReady(c, 'minimal');
  for (const shell of ['/bin/bash', 'sh']) {
    const refused = await c.shell(`kubectl exec -i minimal -- ${shell}`, { expect: 'failure' });
    assert.match(refused.stderr, new RegExp(`OCI runtime exec failed: exec failed: unable to start container process: exec: "${shell}": (stat /bin/bash: no such file or directory|executable file not found in \\$PATH): unknown`));
  }
  assert.equal((await c.shell('kubectl logs minimal')).stdout, '');
  assert.match((await c.shell('kubectl describe pod minimal')).stdout, /^Status: +Running$/m);
  await c.shell('kubectl delete pod minimal --now');
});

test('two containers of a Pod that bind the same port: the second one fails and is started again', async (c) => {
  await c.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'twice' },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'web', image: 'nginx:1.21' }, { name: 'web2', image: 'nginx:1.21' }] },
  });
  const pod = await waitForPod(c, 'twice', 'restarting its second container', (p) => (p.status?.containerStatuses ?? []).some((s) => s.restartCount > 0), { timeoutMs: 90_000 });
  const failing = pod.status!.containerStatuses!.find((s) => s.restartCount > 0)!;
  assert.match((await c.kubectl(['logs', 'twice', '-c', failing.name, '--previous'])).stdout, /bind\(\) to 0\.0\.0\.0:80 failed \(98: Address already in use\)/);
  await c.shell('kubectl delete pod twice');
});
