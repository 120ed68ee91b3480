/**
 * kubectl of three releases, unmodified, on what it asks of the API server: what is applied, compared, explained, watched, waited for and
 * permitted. Streams (exec, logs, port-forward) have tests of their own, on real containers.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { hasKubectl, requireKubectl, type KubectlVersion } from '../harness/kubectl-binary.ts';
import { runProgram, startProgram, type Program, type Result, type RunOptions } from '../harness/process.ts';

let cluster: InProcessCluster;
let home: string;
before(async () => {
  cluster = await startInProcessCluster({ http: true });
  home = await mkdtemp(join(tmpdir(), 'podyard-kubectl-'));
});
after(async () => {
  await cluster.stop();
  await rm(home, { recursive: true, force: true });
});

/** kubectl of one release, in a namespace of its own. */
class Kubectl {
  readonly version: KubectlVersion;
  readonly namespace: string;
  constructor(version: KubectlVersion) {
    this.version = version;
    this.namespace = `kubectl-${version.replace('.', '-')}`;
  }
  /** At least that minor release. */
  since(minor: number): boolean {
    return Number(this.version.split('.')[1]) >= minor;
  }
  async run(args: string | readonly string[], options: RunOptions = {}): Promise<Result> {
    return runProgram(await requireKubectl(this.version), this.#words(args), { ...options, env: await this.#env() });
  }
  async out(args: string | readonly string[], options: RunOptions = {}): Promise<string> {
    return (await this.run(args, options)).stdout;
  }
  async start(args: string): Promise<Program> {
    return startProgram(await requireKubectl(this.version), this.#words(args), { env: await this.#env() });
  }
  apply(object: object, flags = '', options: RunOptions = {}): Promise<Result> {
    return this.run(`apply${flags === '' ? '' : ` ${flags}`} -f -`, { input: JSON.stringify(object), ...options });
  }
  #words(args: string | readonly string[]): string[] {
    return ['--namespace', this.namespace, ...(typeof args === 'string' ? args.split(' ') : args)];
  }
  async #env(): Promise<NodeJS.ProcessEnv> {
    return { PATH: process.env['PATH'], HOME: home, KUBECONFIG: await cluster.kubeconfig(), LC_ALL: 'C.UTF-8' };
  }
}

const configMap = (data: Readonly<Record<string, string>>): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data });
const web = (replicas: number, image = 'nginx:1.28'): object => ({
  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' },
  spec: { replicas, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image }] } } },
});

for (const version of ['1.36', '1.32', '1.20'] as const) {
  const kubectl = new Kubectl(version);
  const it = (what: string, run: () => Promise<void>): void => {
    test(`kubectl ${version} ${what}`, { timeout: 300_000 }, async (t) => (hasKubectl(version) ? await run() : t.skip(`there is no kubectl ${version} for this kind of machine`)));
  };

  it('applies on the server’s side: owners, conflicts, force, and a field that nobody wants any more', async () => {
    assert.match(await kubectl.out(`create namespace ${kubectl.namespace}`), /^namespace\/\S+ created\n$/);
    const told = await kubectl.apply(configMap({ a: '1', b: '1' }), '--server-side --field-manager=first');
    assert.equal(told.stdout, 'configmap/settings serverside-applied\n');
    const refused = await kubectl.apply(configMap({ a: '2' }), '--server-side --field-manager=second', { expect: 1 });
    assert.match(refused.stderr, /^error: Apply failed with 1 conflict: conflict with "first": \.data\.a\n/);
    await kubectl.apply(configMap({ a: '2' }), '--server-side --field-manager=second --force-conflicts');
    await kubectl.apply(configMap({ b: '2' }), '--server-side --field-manager=first');
    assert.equal(await kubectl.out('get configmap settings -o jsonpath={.data}'), '{"a":"2","b":"2"}');
    await kubectl.apply(configMap({}), '--server-side --field-manager=second');
    assert.equal(await kubectl.out('get configmap settings -o jsonpath={.data}'), '{"b":"2"}');
  });

  it('compares what is with what would be, by its own merge and by the server’s', async () => {
    const input = JSON.stringify(configMap({ b: '3' }));
    for (const how of ['', ' --server-side --field-manager=first']) {
      const diff = await kubectl.run(`diff${how} -f -`, { input, expect: 1 });
      assert.match(diff.stdout, /^ data:\n-  b: "2"\n\+  b: "3"$/m, how);
    }
    assert.equal(await kubectl.out('get configmap settings -o jsonpath={.data.b}'), '2', 'a comparison changes nothing');
    await kubectl.apply(configMap({ b: '3' }), '--server-side --field-manager=first');
    assert.equal((await kubectl.run('diff --server-side --field-manager=first -f -', { input })).stdout, '');
    const none = await kubectl.run('diff -f -', { input: JSON.stringify({ ...configMap({}), metadata: { name: 'new' } }), expect: 1 });
    assert.match(none.stdout, /^\+kind: ConfigMap$/m);
  });

  it('applies by its own merge: created, unchanged, configured, pruned', async () => {
    assert.equal((await kubectl.apply(web(2))).stdout, 'deployment.apps/web created\n');
    assert.equal((await kubectl.apply(web(2))).stdout, 'deployment.apps/web unchanged\n');
    assert.equal((await kubectl.apply(web(3))).stdout, 'deployment.apps/web configured\n');
    assert.match(await kubectl.out('rollout status deployment/web --timeout=30s'), /deployment "web" successfully rolled out\n$/);
    const labelled = (name: string): object => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name, labels: { set: 'x' } } });
    await kubectl.apply({ apiVersion: 'v1', kind: 'List', items: [labelled('one'), labelled('two')] });
    const only = kubectl.since(26) ? '--prune-allowlist' : '--prune-whitelist';
    assert.match((await kubectl.apply(labelled('one'), `--prune -l set=x ${only}=core/v1/Secret`)).stdout, /^secret\/one unchanged\nsecret\/two pruned/);
  });

  it('explains kinds and fields by their paths', async () => {
    const image = await kubectl.out('explain deployment.spec.template.spec.containers.image');
    assert.match(image, /FIELD: +image <string>/);
    assert.match(image, /Container image name\./);
    assert.match(await kubectl.out('explain pod'), /KIND: +Pod[^]*VERSION: +v1[^]*\n +spec\t?\s*<(PodSpec|Object)>/);
    assert.match(await kubectl.out('explain pods.spec.affinity.nodeAffinity --recursive'), /matchExpressions\t?\s*<\[\](NodeSelectorRequirement|Object)>\n +key\t?\s*<string>/);
    assert.match(await kubectl.out('explain cronjob.spec.schedule'), /FIELD: +schedule <string>( -required-)?/);
    assert.match((await kubectl.run('explain pod.spec.nothing', { expect: 1 })).stderr, /field "nothing" does not exist/);
  });

  it('watches what it gets', async () => {
    await using watch = await kubectl.start('get configmap watched -w --ignore-not-found');
    await using all = await kubectl.start('get configmaps -w --output-watch-events');
    await all.seen(/^ADDED +settings /m);
    await kubectl.run('create configmap watched --from-literal=a=1');
    await all.seen(/^ADDED +watched +1 /m);
    await kubectl.run(['patch', 'configmap', 'watched', '-p', '{"data":{"b":"2"}}']);
    await all.seen(/^MODIFIED +watched +2 /m);
    await kubectl.run('delete configmap watched');
    await all.seen(/^DELETED +watched +2 /m);
    await watch.interrupt();
  });

  it('waits for conditions, fields and the end', async () => {
    assert.equal(await kubectl.out('wait deployment/web --for=condition=Available --timeout=30s'), 'deployment.apps/web condition met\n');
    await using gone = await kubectl.start('wait pod -l app=web --for=delete --timeout=50s');
    if (kubectl.since(23)) assert.equal(await kubectl.out('wait deployment/web --for=jsonpath={.status.readyReplicas}=3 --timeout=30s'), 'deployment.apps/web condition met\n');
    const late = await kubectl.run('wait deployment/web --for=condition=Nothing --timeout=1s', { expect: 1 });
    assert.match(late.stderr, /timed out waiting for the condition on deployments\/web/);
    await kubectl.run('scale deployment web --replicas=0');
    assert.equal((await gone.ended).code, 0);
  });

  it('tells who may do what, also as somebody else', async () => {
    await kubectl.run('create serviceaccount robot');
    await kubectl.run('create role reader --verb=get,list --resource=pods,pods/log --resource-name=only');
    await kubectl.run(`create rolebinding reader --role=reader --serviceaccount=${kubectl.namespace}:robot`);
    const robot = `--as=system:serviceaccount:${kubectl.namespace}:robot`;
    assert.equal(await kubectl.out(`auth can-i get pods/only ${robot}`), 'yes\n');
    assert.match(await kubectl.out(`auth can-i delete pods ${robot}`, { expect: 1 }), /^no/);
    const list = await kubectl.out(`auth can-i --list ${robot}`);
    assert.match(list, /^Resources +Non-Resource URLs +Resource Names +Verbs\n/);
    assert.match(list, /^pods +\[\] +\[only\] +\[get list\]$/m);
    assert.match(list, /^selfsubjectaccessreviews\.authorization\.k8s\.io +\[\] +\[\] +\[create\]$/m);
    assert.match(list, /^ +\[\/healthz\] +\[\] +\[get\]$/m);
    assert.match((await kubectl.run(`get pods ${robot}`, { expect: 1 })).stderr, /^Error from server \(Forbidden\): pods is forbidden: User "system:serviceaccount:\S+:robot" cannot list resource "pods" in API group "" in the namespace "\S+"\n$/);
    if (kubectl.since(28)) assert.match(await kubectl.out(`auth whoami ${robot}`), /^Username +system:serviceaccount:\S+:robot$/m);
  });

  it('makes tokens, which say who one is', async () => {
    if (!kubectl.since(24)) return assert.match((await kubectl.run('create token robot', { expect: 'failure' })).stderr, /unknown command|must specify one of|Unexpected args/);
    const token = (await kubectl.out('create token robot --duration=1h --audience=https://kubernetes.default.svc.cluster.local')).trim();
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string; exp: number; iat: number };
    assert.equal(claims.sub, `system:serviceaccount:${kubectl.namespace}:robot`);
    assert.equal(claims.exp - claims.iat, 3600);
    // Without the administrator's certificate, which would come first.
    const as = ['--kubeconfig=/dev/null', `--server=https://127.0.0.1:${cluster.server.port}`, '--insecure-skip-tls-verify', `--token=${token}`];
    assert.equal(await kubectl.out(['get', 'pod', 'only', '--ignore-not-found', ...as]), '');
    assert.match((await kubectl.run(['get', 'secrets', ...as], { expect: 1 })).stderr, /User "system:serviceaccount:\S+:robot" cannot list resource "secrets"/);
  });

  it('lists the kinds that are served', async () => {
    const lines = (await kubectl.out('api-resources')).trimEnd().split('\n').slice(1);
    const served = cluster.server.resources.all().filter((r) => r.info.verbs.includes('list')).map((r) => r.info.kind);
    for (const kind of new Set(served)) assert.ok(lines.some((line) => line.trimEnd().endsWith(` ${kind}`)), kind);
    assert.match(lines.join('\n'), /^deployments +deploy +apps\/v1 +true +Deployment$/m);
    assert.match(await kubectl.out('api-resources --namespaced=false --verbs=list,watch -o name'), /^nodes$/m);
    assert.match(await kubectl.out('api-versions'), /^rbac\.authorization\.k8s\.io\/v1$/m);
    assert.match((await kubectl.run('get nothings', { expect: 1 })).stderr, /^error: the server doesn't have a resource type "nothings"\n$/);
  });

  // The oldest and the newest are enough: they say it differently.
  if (version !== '1.32') it('drains a node by evictions', async () => {
    await kubectl.run('scale deployment web --replicas=1');
    await kubectl.run('rollout status deployment/web --timeout=30s');
    assert.match(await kubectl.out('drain node-1 --ignore-daemonsets --timeout=30s --pod-selector=app=web'), /^evicting pod \S+\/web-\S+\n[^]*^node\/node-1 (drained|evicted)$/m);
    assert.equal(await kubectl.out('uncordon node-1'), 'node/node-1 uncordoned\n');
  });
}
