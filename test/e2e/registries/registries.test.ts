/** `registries.yaml`: mirrors that are asked in place of a registry, and the node's own credentials; what pulls that fail say. */
import assert from 'node:assert/strict';
import { buildImages } from '../../images/build.ts';
import { waitForEvent, waitForReady, waitForStatusColumn } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
/** Of layers that no other test pulls. */
const NGINX = 'docker.io/library/nginx:1.28';
const { test } = onCluster({ served: [BUSYBOX], guarded: { 'docker.io/private/app:1': BUSYBOX }, nodeCredentials: true });

const pod = (name: string, image: string, more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image, command: ['sleep', '3600'], ...more }] } });

test('images of every registry come from the mirror, and are pulled once', async (c) => {
  await c.apply(pod('mirrored', 'busybox:1.37'));
  await waitForReady(c, 'mirrored');
  assert.ok(c.registry.requests.some((r) => r.startsWith('HEAD /v2/library/busybox/manifests/1.37?ns=docker.io')), c.registry.requests.join('\n'));
  await waitForEvent(c, 'mirrored', 'Pulled', /^Successfully pulled image "busybox:1\.37" in \S+ \(\S+ including waiting\)\. Image size: \d+ bytes\.$/);
  const asked = c.registry.requests.length;
  await c.apply(pod('again', 'busybox:1.37'));
  await waitForReady(c, 'again');
  await waitForEvent(c, 'again', 'Pulled', /^Container image "busybox:1\.37" already present on machine/);
  assert.equal(c.registry.requests.length, asked);
  await c.apply(pod('always', 'busybox:1.37', { imagePullPolicy: 'Always' }));
  await waitForReady(c, 'always');
  assert.ok(c.registry.requests.length > asked);
  await c.kubectl('delete pod mirrored again always --now');
});

test('a private image is pulled with the credentials that the node has', async (c) => {
  await c.apply(pod('private', 'private/app:1'));
  await waitForReady(c, 'private');
  await c.kubectl('delete pod private --now');
});

test('a long pull tells how far it has come', async (c) => {
  await c.registry.push('docker.io/slow/app:1', (await buildImages({ names: [NGINX] })).images.get(NGINX)!, 'slow/app');
  c.registry.slowDown('slow/app', 100_000);
  await c.apply(pod('slow', 'slow/app:1'));
  const { message } = await waitForEvent(c, 'slow', 'Pulling', /%/);
  assert.match(message!, /^Pulling image "slow\/app:1": \d+\.\d of \d+\.\d MB \(\d+%\)$/);
  assert.match((await c.podyard(['status'])).stdout, /^pull +Pulling image "slow\/app:1": .* MB \(\d+%\), for default\/slow$/m);
  c.registry.slowDown('slow/app', 10_000_000);
  await c.kubectl('delete pod slow --now');
});

test('a missing image, and a registry that nobody is: the event says what was asked for and what went wrong', async (c) => {
  await c.apply(pod('missing', 'busybox:0.1'));
  await waitForStatusColumn(c, 'missing', /ImagePullBackOff/);
  await waitForEvent(c, 'missing', 'Failed', /^Failed to pull image "busybox:0\.1": .*docker\.io\/library\/busybox:0\.1/);
  await c.apply(pod('nowhere', 'localhost:1/x/y:1'));
  await waitForEvent(c, 'nowhere', 'Failed', /^Failed to pull image "localhost:1\/x\/y:1": .*localhost:1\/x\/y:1.*(connection refused|not found)/);
  await c.kubectl('delete pod missing nowhere');
});

test('loaded images are listed, and one that is no archive is refused', async (c) => {
  await c.loadImages(['docker.io/example/weather-api:1']);
  const listed = (await c.podyard(['image', 'list'])).stdout;
  assert.match(listed, /^IMAGE +IMAGE ID +SIZE\n/);
  assert.match(listed, /^docker\.io\/example\/weather-api:1 +[0-9a-f]{13} +\d+\.\d MB$/m);
  await c.file('no.tar', 'this is no archive');
  const refused = await c.podyard(['image', 'load', 'no.tar'], { expect: 1 });
  assert.match(refused.stderr, /^podyard: .*no\.tar/);
  assert.match((await c.podyard(['image', 'load', 'none.tar'], { expect: 1 })).stderr, /none\.tar/);
});
