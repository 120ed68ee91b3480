/** What the tutorials say of Pods that something manages: Deployments heal and roll out, Services and DNS find them, Jobs complete. */
import assert from 'node:assert/strict';
import type { Pod } from '#api/gen/core-v1.ts';
import { PODS } from '#client/kinds.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForEvent, waitForLog, waitForPhase, waitForReady, waitForStatusColumn } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/nginx:1.21', 'docker.io/library/nginx:1.28', 'docker.io/library/busybox:1.35'] });

const labelled = async (c: TestCluster, app: string): Promise<readonly Pod[]> => (await (await c.client()).of(PODS).list({ namespace: 'default', labelSelector: `app=${app}` })).items;

test('a Deployment replaces the Pod that is deleted, and scales', async (c) => {
  assert.equal((await c.shell('kubectl create deployment my-app --image=nginx:1.21 --replicas=2')).stdout, 'deployment.apps/my-app created\n');
  await c.kubectl('rollout status deployment/my-app --timeout=60s');
  const names = (await labelled(c, 'my-app')).map((p) => p.metadata.name!);
  assert.equal(names.length, 2);
  for (const name of names) assert.match(name, /^my-app-[0-9a-z]{6,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  await c.kubectl(['delete', 'pod', names[0]!, '--now']);
  await waitFor(c, PODS, '', 'another Pod in its place', (pods) => ([...pods.values()].filter((p) => p.metadata.labels?.['app'] === 'my-app' && !names.includes(p.metadata.name!) && p.status?.conditions?.some((x) => x.type === 'Ready' && x.status === 'True')).length === 1 ? true : undefined));
  await c.kubectl('scale deployment/my-app --replicas=3');
  await c.kubectl('wait --for=jsonpath={.status.readyReplicas}=3 deployment/my-app --timeout=60s');
  await c.kubectl('scale deployment/my-app --replicas=1');
  await c.kubectl('wait --for=jsonpath={.status.replicas}=1 deployment/my-app --timeout=60s');
});

test('a new image rolls out without a moment in which no Pod is available, and can be taken back', async (c) => {
  await using watch = await c.startKubectl(['get', 'deployment', 'my-app', '--watch', '-o', 'jsonpath={.status.availableReplicas}{"\\n"}']);
  await c.kubectl('set image deployment/my-app nginx=nginx:1.28');
  assert.match((await c.kubectl('rollout status deployment/my-app --timeout=90s')).stdout, /successfully rolled out\n$/);
  await watch.interrupt();
  assert.match(watch.stdout, /^(\d+\n)+$/);
  assert.doesNotMatch(watch.stdout, /^0$/m);
  await waitFor(c, PODS, '', 'the old Pods to be gone', (pods) => ([...pods.values()].every((p) => p.metadata.labels?.['app'] !== 'my-app' || p.spec.containers[0]!.image === 'nginx:1.28') ? true : undefined));
  assert.equal((await c.kubectl('rollout undo deployment/my-app')).stdout, 'deployment.apps/my-app rolled back\n');
  await c.kubectl('rollout status deployment/my-app --timeout=90s');
  await c.kubectl('delete deployment my-app');
});

test('the init container that waits for postgres-svc ends once the Service is there, with nslookup of busybox too', async (c) => {
  await c.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app-with-init' },
    spec: { terminationGracePeriodSeconds: 1, initContainers: [{ name: 'wait-for-db', image: 'busybox:1.35', command: ['sh', '-c', 'until nslookup postgres-svc; do echo waiting for db; sleep 2; done'] }], containers: [{ name: 'my-app', image: 'busybox:1.35', command: ['sleep', '3600'] }] },
  });
  assert.equal(await waitForStatusColumn(c, 'app-with-init', /Init:0\/1/), 'Init:0/1');
  await waitForLog(c, 'app-with-init -c wait-for-db', /^waiting for db$/m);
  await c.kubectl('create service clusterip postgres-svc --tcp=5432:5432');
  await waitForReady(c, 'app-with-init');
  await c.kubectl('delete pod app-with-init');
  await c.kubectl('delete service postgres-svc');
});

test('a Service finds its Pods, by its name and by its address, and only the healthy ones', async (c) => {
  await c.kubectl('create deployment web --image=nginx:1.21 --replicas=2');
  await c.kubectl('expose deployment web --port=80');
  await c.kubectl('rollout status deployment/web --timeout=60s');
  await c.kubectl('run client --image=busybox:1.35 -- sleep 3600');
  await waitForReady(c, 'client');
  for (const host of ['web', 'web.default', 'web.default.svc.cluster.local']) {
    assert.match((await c.kubectl(['exec', 'client', '--', 'sh', '-c', `until wget -qO- http://${host}/; do sleep 0.2; done`])).stdout, /Welcome to nginx!/);
  }
  await c.kubectl('delete deployment web');
  await c.kubectl('delete service web');
  await c.kubectl('delete pod client --now');
});

test('a Job runs to its end, and its Pod stays to be looked at', async (c) => {
  assert.equal((await c.kubectl('create job task --image=busybox:1.35 -- echo done')).stdout, 'job.batch/task created\n');
  await c.kubectl('wait --for=condition=Complete job/task --timeout=60s');
  assert.equal((await c.kubectl('logs job/task')).stdout, 'done\n');
  assert.match((await c.kubectl('get pods -l job-name=task')).stdout, / 0\/1 +Completed +0 /);
  await c.kubectl('delete job task');
  await waitFor(c, PODS, '', 'its Pod to be gone', (pods) => ([...pods.values()].every((p) => p.metadata.labels?.['job-name'] !== 'task') ? true : undefined));
});

test('a claim that exists lets its Pod start, and what is written outlives the Pod', async (c) => {
  const user = (name: string, command: string): object => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name },
    spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox:1.35', command: ['sh', '-c', command], volumeMounts: [{ name: 'data', mountPath: '/data' }] }], volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }] },
  });
  await c.apply(user('writer', 'echo kept > /data/file'));
  await waitForEvent(c, 'writer', 'FailedScheduling', /persistentvolumeclaim "data" not found/);
  await c.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } } });
  await waitForPhase(c, 'writer', 'Succeeded');
  assert.match((await c.kubectl('get pvc data --no-headers')).stdout, /^data +Bound +pvc-\S+ +1Mi +RWO +local-path /);
  await c.kubectl('delete pod writer');
  await c.apply(user('reader', 'cat /data/file'));
  await waitForLog(c, 'reader', /^kept$/m);
  await c.kubectl('delete pod reader');
  await c.kubectl('delete pvc data');
  await c.kubectl('wait --for=delete pv --all --timeout=30s');
});

test('replicas follow the demand: kubectl top shows it, the autoscaler answers it', async (c) => {
  await c.apply({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'busy' },
    spec: {
      selector: { matchLabels: { app: 'busy' } },
      template: { metadata: { labels: { app: 'busy' } }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.35', command: ['sh', '-c', 'while true; do :; done'], resources: { requests: { cpu: '50m' }, limits: { cpu: '200m' } } }] } },
    },
  });
  await c.kubectl('autoscale deployment busy --cpu=50% --min=1 --max=2');
  await c.kubectl('wait --for=jsonpath={.status.readyReplicas}=2 deployment/busy --timeout=120s');
  assert.match((await c.kubectl('get hpa busy --no-headers')).stdout, /^busy +Deployment\/busy +cpu: \d{3}%\/50% +1 +2 +[12] /);
  assert.match((await c.kubectl('top pod -l app=busy --no-headers')).stdout, /^busy-\S+ +\d{2,3}m +\d+Mi/m);
  await c.kubectl('delete hpa,deployment busy');
});
