/** The official JavaScript client, unmodified: streams to real containers, any kind of object, and an operator that is built on it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { Attach, CoreV1Api, Exec, Health, KubeConfig, KubernetesObjectApi, Log, PatchStrategy, PortForward, type V1ConfigMap, type V1Status } from '@kubernetes/client-node';
import { DEPLOYMENTS, PODS, REPLICA_SETS, type KindRef } from '#client/kinds.ts';
import type { KubeObject } from '#api/object.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';
import { SITE_DEFINITION, SiteOperator } from './site-operator.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

function configOf(cluster: TestCluster): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfig);
  return config;
}
/** Collects what a stream gets; `seen` resolves once that has the pattern. */
function sink(): { stream: PassThrough; seen(pattern: RegExp): Promise<string> } {
  const stream = new PassThrough({ encoding: 'utf8' });
  let all = '';
  let wake = Promise.withResolvers<void>();
  stream.on('data', (chunk: string) => {
    all += chunk;
    wake.resolve();
    wake = Promise.withResolvers();
  });
  return {
    stream,
    async seen(pattern) {
      while (!pattern.test(all)) await wake.promise;
      return all;
    },
  };
}

test('the client executes, attaches, reads logs and forwards ports', async (c) => {
  const config = configOf(c);
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'streams' }, spec: { terminationGracePeriodSeconds: 0, restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox:1.37', stdin: true, command: ['sh', '-c', 'mkdir /www; echo a page > /www/index.html; httpd -p 8080 -h /www; echo first; while read -r line && [ "$line" != bye ]; do echo "got $line"; done'] }] } });
  await waitForReady(c, 'streams');

  const [out, err] = [sink(), sink()];
  const ended = Promise.withResolvers<V1Status>();
  await new Exec(config).exec('default', 'streams', 'c', ['sh', '-c', 'cat; echo aside >&2; exit 3'], out.stream, err.stream, Readable.from(['in and out\n']), false, ended.resolve);
  const status = await ended.promise;
  assert.equal(status.status, 'Failure');
  assert.deepEqual(status.details?.causes, [{ reason: 'ExitCode', message: '3' }]);
  await Promise.all([out.seen(/^in and out\n$/), err.seen(/^aside\n$/)]);

  const log = sink();
  await new Log(config).log('default', 'streams', 'c', log.stream, { follow: true });
  await log.seen(/^first\n/);
  const [typed, attached] = [new PassThrough(), sink()];
  const session = await new Attach(config).attach('default', 'streams', 'c', attached.stream, null, typed, false);
  typed.write('a line\n');
  await Promise.all([attached.seen(/^got a line$/m), log.seen(/^got a line$/m)]);

  const [request, answer] = [new PassThrough(), sink()];
  await new PortForward(config).portForward('default', 'streams', [8080], answer.stream, null, request);
  request.write('GET / HTTP/1.0\r\n\r\n');
  assert.match(await answer.seen(/a page\n$/), /^HTTP\/1\.[01] 200 OK\r\n/);
  request.end();
  assert.equal(await config.makeApiClient(CoreV1Api).readNamespacedPodLog({ name: 'streams', namespace: 'default', tailLines: 1 }), 'got a line\n');

  // What follows a log hears of the container's end.
  const ends = once(log.stream, 'end');
  typed.write('bye\n');
  await ends;
  session.close();
});

test('the client takes objects of any kind, and asks whether the server is well', async (c) => {
  const config = configOf(c);
  assert.equal(await new Health(config).readyz({}), true);
  assert.equal(await new Health(config).livez({}), true);
  const objects = KubernetesObjectApi.makeApiClient(config);
  const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'any', namespace: 'default' }, data: { a: '1' } } satisfies V1ConfigMap;
  const applied = await objects.patch<V1ConfigMap>(map, undefined, undefined, 'me', false, PatchStrategy.ServerSideApply);
  assert.equal(applied.metadata?.managedFields?.[0]?.operation, 'Apply');
  await assert.rejects(objects.patch({ ...map, data: { a: '2' } }, undefined, undefined, 'other', false, PatchStrategy.ServerSideApply), /409[^]*conflict with \\+"me\\+": \.data\.a/);
  assert.deepEqual((await objects.read<V1ConfigMap>(map)).data, { a: '1' });
  assert.deepEqual((await objects.list('v1', 'ConfigMap', 'default', undefined, undefined, undefined, 'metadata.name=any')).items.map((o) => o.metadata?.name), ['any']);
  await objects.delete(map);
  await assert.rejects(objects.read(map), /404/);
});

test('an operator keeps what a custom object asks for, tells how far it is, and tidies up', async (c) => {
  await c.apply(SITE_DEFINITION);
  await c.kubectl(`wait crd/${SITE_DEFINITION.metadata.name} --for=condition=Established --timeout=20s`);
  const failed = Promise.withResolvers<never>();
  const operator = new SiteOperator(configOf(c), 'default', failed.reject);
  await operator.start();
  try {
    await Promise.race([useSites(c, operator), failed.promise]);
  } finally {
    await operator.stop();
  }
});

async function useSites(c: TestCluster, operator: SiteOperator): Promise<void> {
  const site = (page: string, replicas?: number): object => ({ apiVersion: 'clients.example.com/v1', kind: 'Site', metadata: { name: 'front' }, spec: { page, ...(replicas === undefined ? {} : { replicas }) } });
  const served = (replicas: number) => c.kubectl(`wait site/front --for=jsonpath={.status.readyReplicas}=${replicas} --timeout=30s`);
  const gone = <T extends KubeObject>(kind: KindRef<T>) => waitFor(c, kind, '', `no ${kind.plural} of the Site`, (all) => ([...all.values()].some((o) => o.metadata.labels?.['clients.example.com/site']) ? undefined : true));

  await c.apply(site('a page of one'));
  await served(1);
  assert.match((await c.kubectl('get st')).stdout, /^NAME +WANTED +READY +PHASE\nfront +1 +1 +Served\n$/);
  assert.equal((await c.kubectl('exec deploy/front -- cat /www/index.html')).stdout, 'a page of one\n');

  await c.kubectl('scale site front --replicas=2');
  await served(2);
  const refused = await c.apply(site('a page of many', 6), { expect: 1 });
  assert.match(refused.stderr, /The Site "front" is invalid: spec: Invalid value: only popular pages may have many replicas/);

  const client = await c.client();
  const { uid } = (await client.of(DEPLOYMENTS).get('default', 'front')).metadata;
  await c.kubectl('delete deployment front');
  await waitFor(c, DEPLOYMENTS, 'metadata.name=front', 'another Deployment', (all) => [...all.values()].find((d) => d.metadata.uid !== uid && d.status?.readyReplicas === 2));

  assert.match((await c.kubectl('delete site front --timeout=30s')).stdout, /^site\.clients\.example\.com "front" deleted/);
  assert.deepEqual(operator.tidied, ['front']);
  await Promise.all([gone(DEPLOYMENTS), gone(REPLICA_SETS), gone(PODS)]);
}
