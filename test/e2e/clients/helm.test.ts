/**
 * Helm, unmodified, 4 (which applies on the server's side) and 3 (which merges on its own): a chart with all that charts usually have is
 * installed, upgraded, rolled back, tested and uninstalled.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { DEPLOYMENTS, PODS, SECRETS } from '#client/kinds.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor } from '../harness/conditions.ts';
import { hasHelm, requireHelm, type HelmVersion } from '../harness/kubectl-binary.ts';
import { runProgram, type Result, type RunOptions } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const CHART = fileURLToPath(new URL('chart', import.meta.url));
const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

interface ReleaseStatus {
  readonly version: number;
  readonly info: { readonly status: string; readonly notes: string };
}
/** Helm of one version, in a namespace of its own. */
class Helm {
  readonly #cluster: TestCluster;
  readonly #path: string;
  readonly namespace: string;
  constructor(cluster: TestCluster, path: string, namespace: string) {
    this.#cluster = cluster;
    this.#path = path;
    this.namespace = namespace;
  }
  run(args: string, options: RunOptions = {}): Promise<Result> {
    return runProgram(this.#path, [...args.split(' '), '--namespace', this.namespace], { env: this.#cluster.env, cwd: this.#cluster.files, ...options });
  }
  async status(release = 'web'): Promise<ReleaseStatus> {
    return JSON.parse((await this.run(`status ${release} -o json`)).stdout) as ReleaseStatus;
  }
  kubectl(args: string): Promise<Result> {
    return this.#cluster.kubectl(`-n ${this.namespace} ${args}`);
  }
  async page(): Promise<string> {
    return (await this.kubectl('exec deploy/web -- cat /www/index.html')).stdout.trim();
  }
}

for (const version of ['4', '3'] as const satisfies readonly HelmVersion[]) {
  test(`Helm ${version} installs, upgrades, rolls back, tests and uninstalls a chart`, async (c, t) => {
    if (!hasHelm(version)) return t.skip(`there is no Helm ${version} for this kind of machine`);
    const helm = new Helm(c, await requireHelm(version), `helm-${version}`);

    const installed = await helm.run(`install web ${CHART} --create-namespace --wait --timeout 50s`);
    assert.match(installed.stdout, /^web says hello on Kubernetes v1\.36\.\d+/m);
    assert.equal((await helm.status()).info.status, 'deployed');
    assert.match((await helm.kubectl('get deployment web')).stdout, /^web +1\/1 +1 +1 /m);
    assert.equal((await helm.kubectl('get greetings.charts.example.com web -o jsonpath={.spec}')).stdout, '{"tone":"friendly","words":"hello"}');
    const client = await c.client();
    const secret = await client.of(SECRETS).get(helm.namespace, 'web');

    await helm.run(`upgrade web ${CHART} --set greeting=welcome --set autoscaling=true --no-hooks --wait --timeout 50s`);
    assert.equal(await helm.page(), 'welcome');
    assert.match((await helm.kubectl('get hpa web')).stdout, /^web +Deployment\/web /m);
    assert.deepEqual((await client.of(SECRETS).get(helm.namespace, 'web')).data, secret.data, 'the chart looked up what was there');
    assert.match((await helm.run('get manifest web')).stdout, /kind: HorizontalPodAutoscaler/);

    await helm.run('rollback web 1 --wait --timeout 50s');
    assert.equal(await helm.page(), 'hello');
    assert.match((await helm.kubectl('get hpa')).stderr, /^No resources found/);

    const failed = await helm.run(`upgrade web ${CHART} --set failUpgrade=true --timeout 50s`, { expect: 1 });
    assert.match(failed.stderr, /UPGRADE FAILED: pre-upgrade hooks failed: /);
    const refused = await helm.run(`upgrade web ${CHART} --set replicas=-1 --no-hooks --timeout 50s`, { expect: 1 });
    assert.match(refused.stderr, /Deployment.* "web" is invalid: spec\.replicas: Invalid value: -1: must be greater than or equal to 0/);

    const history = JSON.parse((await helm.run('history web -o json')).stdout) as readonly { readonly status: string; readonly description: string }[];
    assert.deepEqual(history.map((h) => h.status), ['superseded', 'superseded', 'deployed', 'failed', 'failed']);
    assert.equal(history[2]?.description, 'Rollback to 1');

    assert.match((await helm.run('test web --logs --timeout 50s')).stdout, /Phase: +Succeeded[^]*\nhello\n/);
    assert.match((await helm.run(`upgrade web ${CHART} --dry-run=server`)).stdout, /kind: Deployment/);
    assert.equal((await helm.status()).version, 5, 'a dry run is no revision');
    assert.match((await helm.run('list')).stdout, /^web\s+\S+\s+5\s.*\sfailed\s+greeter-0\.1\.0\s+1\.37/m);

    await helm.run('uninstall web --wait --timeout 50s --cascade foreground');
    await waitFor(c, DEPLOYMENTS, '', 'nothing of the release to be left', (left) => (left.size === 0 ? true : undefined), { namespace: helm.namespace });
    const pods = await client.of(PODS).list({ namespace: helm.namespace, labelSelector: 'app.kubernetes.io/instance=web' });
    assert.deepEqual(pods.items.map((p) => p.metadata.name), [], 'in the foreground means: with all their Pods');
    assert.match((await helm.run('list')).stdout, /^NAME[^\n]*\n?$/);
  });
}
