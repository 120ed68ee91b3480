import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { dirname } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DAEMON_SETS, STATEFUL_SETS } from '#client/kinds.ts';
import type { InProcessCluster } from '#cluster/in-process-cluster.ts';
import { startWithNamespace, template } from './workloads.ts';

function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('kubectl rollout', { skip: hasKubectl() ? false : 'kubectl is not on the PATH' }, () => {
  let cluster: InProcessCluster;
  let kubeconfig: string;
  before(async () => {
    cluster = await startWithNamespace('r', { nodes: ['node-1', 'node-2'], http: true });
    kubeconfig = await cluster.kubeconfig();
  });
  after(() => cluster.stop());
  const kubectl = (...args: string[]): Promise<string> => new Promise((resolve, reject) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig, KUBECACHEDIR: `${dirname(kubeconfig)}/cache` };
    execFile('kubectl', ['-n', 'r', ...args], { env, timeout: 60_000 }, (err, stdout, stderr) => (err ? reject(new Error(`kubectl ${args.join(' ')}: ${stderr}`)) : resolve(stdout)));
  });
  const wait = async (what: string, done: RegExp): Promise<void> => assert.match(await kubectl('rollout', 'status', what, '--timeout=30s'), done);

  test('a Deployment: status, history, undo, pause, resume, restart, scale, autoscale', async () => {
    const out = /deployment "web" successfully rolled out\n$/;
    await kubectl('create', 'deployment', 'web', '--image=nginx:1.14.2', '--replicas=3');
    await wait('deployment/web', out);
    await kubectl('set', 'image', 'deployment/web', 'nginx=nginx:1.16.1');
    await kubectl('annotate', 'deployment/web', 'kubernetes.io/change-cause=a newer one');
    await wait('deployment/web', out);
    assert.match(await kubectl('rollout', 'history', 'deployment/web'), /REVISION +CHANGE-CAUSE\n1 +<none>\n2 +a newer one\n/);
    assert.match(await kubectl('rollout', 'history', 'deployment/web', '--revision=1'), /Image:\s+nginx:1\.14\.2/);
    assert.equal(await kubectl('rollout', 'undo', 'deployment/web'), 'deployment.apps/web rolled back\n');
    await wait('deployment/web', out);
    assert.match(await kubectl('rollout', 'history', 'deployment/web'), /\n2 .*\n3 /);
    await kubectl('rollout', 'pause', 'deployment/web');
    await kubectl('set', 'resources', 'deployment/web', '--limits=cpu=100m');
    assert.equal((await kubectl('get', 'rs', '-o', 'name')).trim().split('\n').length, 2, 'no new set while paused');
    await kubectl('rollout', 'resume', 'deployment/web');
    await wait('deployment/web', out);
    await kubectl('rollout', 'restart', 'deployment/web');
    await wait('deployment/web', out);
    assert.equal(await kubectl('scale', 'deployment/web', '--replicas=5'), 'deployment.apps/web scaled\n');
    await wait('deployment/web', out);
    assert.match(await kubectl('get', 'deployment', 'web'), /NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +5\/5 +5 +5 +\d+s\n/);
    assert.equal(await kubectl('autoscale', 'deployment/web', '--min=2', '--max=5', '--cpu-percent=80'), 'horizontalpodautoscaler.autoscaling/web autoscaled\n');
    assert.match(await kubectl('describe', 'deployment', 'web'), /Scaled up replica set web-\w+ from 0 to 3/);
  });
  test('a StatefulSet and a DaemonSet: status, history, undo, restart', async () => {
    await cluster.client.of(STATEFUL_SETS).create({ metadata: { name: 'db', namespace: 'r' }, spec: { replicas: 2, serviceName: 'db', selector: { matchLabels: { app: 'db' } }, template: template('db') } });
    await cluster.client.of(DAEMON_SETS).create({ metadata: { name: 'agent', namespace: 'r' }, spec: { selector: { matchLabels: { app: 'agent' } }, template: template('agent') } });
    for (const [what, out] of [['statefulset/db', /roll out complete: 2 new pods have been updated/], ['daemonset/agent', /successfully rolled out/]] as const) {
      await wait(what, out);
      await kubectl('set', 'image', what, 'c=nginx:1.16.1');
      await wait(what, out);
      assert.match(await kubectl('rollout', 'history', what), /\n1 .*\n2 /);
      await kubectl('rollout', 'undo', what);
      await wait(what, out);
      assert.match(await kubectl('rollout', 'history', what), /\n2 .*\n3 /);
      await kubectl('rollout', 'restart', what);
      await wait(what, out);
      assert.equal(await kubectl('get', what, '-o', 'jsonpath={.spec.template.spec.containers[0].image}'), 'nginx:1.14.2');
    }
  });
});
