import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { beforeEach, describe, test } from 'node:test';
import type { ClusterTrustBundle, PodCertificateRequest } from '#api/gen/certificates-v1beta1.ts';
import type { ClusterTrustBundleProjection, Node, Pod, PodCertificateProjection } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { CLUSTER_TRUST_BUNDLES, POD_CERTIFICATE_REQUESTS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { parseCertificateRequest } from '#machinery/certificate-request.ts';
import { pemBlocks, pemText } from '#machinery/pem.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { PodCertificates, type CredentialBundle } from './pod-certificates.ts';
import { TrustBundles } from './trust-bundles.ts';

const never = new AbortController().signal;
let api: FakeApi;
let clock: FakeClock;
const anew = (): void => {
  [api, clock] = [new FakeApi(), new FakeClock()];
};
/** Turns until something holds: keys are made beside the event loop. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end;) {
    if (holds()) return;
    await flushMicrotasks();
  }
  assert.fail(`waiting for ${what}`);
}

describe('TrustBundles', () => {
  const anchor = (n: number) => pemText('CERTIFICATE', Buffer.from([n]));
  const bundle = (name: string, anchors: readonly number[], signerName?: string, labels: Record<string, string> = {}): ClusterTrustBundle => ({
    apiVersion: 'certificates.k8s.io/v1beta1', kind: 'ClusterTrustBundle', metadata: { name, labels }, spec: { trustBundle: `text\n${anchors.map(anchor).join('more\n')}`, ...(signerName ? { signerName } : {}) },
  });
  let bundles: TrustBundles;
  let changed: string[] = [];
  beforeEach(() => {
    anew();
    [bundles, changed] = [new TrustBundles(new Client(api), clock), []];
    bundles.onChange((uid) => changed.push(uid));
    api.put(CLUSTER_TRUST_BUNDLES, bundle('plain', [1, 2, 1]));
    api.put(CLUSTER_TRUST_BUNDLES, bundle('example.com:s:a', [1, 3], 'example.com/s', { live: 'yes' }));
    api.put(CLUSTER_TRUST_BUNDLES, bundle('example.com:s:b', [3, 4], 'example.com/s', { live: 'no' }));
    api.put(CLUSTER_TRUST_BUNDLES, bundle('example.com:t:a', [5], 'example.com/t', { live: 'yes' }));
  });
  const ask = (projection: Omit<ClusterTrustBundleProjection, 'path'>) => bundles.anchors('u', { path: 'p', ...projection }, never);
  const numbers = (text: string) => pemBlocks(text).map(({ bytes }) => bytes[0]).toSorted();
  const table: readonly (readonly [projection: Omit<ClusterTrustBundleProjection, 'path'>, anchors: readonly number[]])[] = [
    [{ name: 'plain' }, [1, 2]],
    [{ signerName: 'example.com/s', labelSelector: {} }, [1, 3, 4]],
    [{ signerName: 'example.com/s', labelSelector: { matchLabels: { live: 'yes' } } }, [1, 3]],
    [{ signerName: 'example.com/s', optional: true }, []],
    [{ signerName: 'example.com/none', labelSelector: {}, optional: true }, []],
    [{ name: 'none', optional: true }, []],
  ];
  for (const [projection, anchors] of table) {
    test(`${JSON.stringify(projection)} gives ${anchors.join(', ') || 'nothing'}, each once and nothing between`, async () => {
      const text = await ask(projection);
      assert.deepEqual(numbers(text), anchors);
      assert.equal(text, pemBlocks(text).map(({ bytes }) => pemText('CERTIFICATE', bytes)).join(''));
      assert.equal(await ask(projection), text, 'in an order that stays');
      await bundles.stop();
    });
  }
  test('what is missing is an error', async () => {
    await assert.rejects(ask({ name: 'none' }), { message: 'while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io "none" not found' });
    await assert.rejects(ask({ signerName: 'example.com/s' }), { message: 'combination of signerName and labelSelector matched zero ClusterTrustBundles' });
    await assert.rejects(ask({}), { message: 'ClusterTrustBundle projection requires either name or signerName to be set' });
    await bundles.stop();
  });
  test('Pods that asked hear of changes until they are forgotten', async () => {
    await ask({ name: 'plain' });
    await until(() => api.calls.length > 0, 'the list');
    assert.deepEqual(changed, [], 'what is there at first is no change');
    api.put(CLUSTER_TRUST_BUNDLES, bundle('plain', [7]));
    await until(() => changed.length > 0, 'word of the change');
    assert.deepEqual(numbers(await ask({ name: 'plain' })), [7]);
    bundles.forget('u');
    api.remove(CLUSTER_TRUST_BUNDLES, 'plain');
    await flushMicrotasks();
    assert.deepEqual(changed, ['u']);
    await bundles.stop();
  });
  test('an API server that does not answer is an error after a second', async () => {
    api.intercept = () => { throw new Error('away'); };
    const asked = assert.rejects(ask({ name: 'plain' }), { message: 'ClusterTrustBundle informer has not yet synced' });
    await clock.advance(1000);
    await asked;
    await bundles.stop();
  });
});

describe('PodCertificates', () => {
  beforeEach(anew);
  const MINUTE = 60_000;
  const source = (change: Partial<PodCertificateProjection> = {}): PodCertificateProjection => ({ signerName: 'example.com/s', keyType: 'ED25519', maxExpirationSeconds: 86_400, userAnnotations: { 'example.com/a': 'b' }, credentialBundlePath: 'c', ...change });
  const podWith = (podCertificate: PodCertificateProjection): Pod => makePod('p').container('c').volume('v', { projected: { sources: [{ configMap: { name: 'cm' } }, { podCertificate }] } }).build();
  let pod: Pod;
  let certificates: PodCertificates;
  let events: string[] = [];
  let changed = 0;
  const start = (change: Partial<PodCertificateProjection> = {}): void => {
    pod = podWith(source(change));
    [events, changed] = [[], 0];
    certificates = new PodCertificates({
      nodeName: 'n', client: new Client(api), clock, random: () => 0.5, node: () => ({ metadata: { name: 'n', uid: 'node-uid' } }) as Node, podOf: (uid) => (uid === pod.metadata.uid ? pod : undefined),
      recorder: { event: (_o: unknown, type: string, reason: string, message: string) => void events.push(`${type} ${reason}: ${message}`) } as unknown as EventRecorder,
    });
    certificates.onChange(() => changed++);
    api.put(SERVICE_ACCOUNTS, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default', uid: 'sa-uid' } });
  };
  const bundle = (): CredentialBundle => certificates.bundle(pod, 'v', 1);
  const problem = (): string => {
    try {
      bundle();
      return '';
    } catch (err) {
      return (err as Error).message;
    }
  };
  const requests = () => api.list<PodCertificateRequest>(POD_CERTIFICATE_REQUESTS);
  const asked = async (count: number): Promise<PodCertificateRequest> => {
    await until(() => requests().length === count, `request ${count}`);
    return requests().at(-1)!;
  };
  const iso = (ms: number) => new Date(ms).toISOString();
  const chain = (n: number) => pemText('CERTIFICATE', Buffer.from([n]));
  function answer(request: PodCertificateRequest, type: string, n = 1): void {
    const status = type === 'Issued' ? { certificateChain: `words\n${chain(n)}`, notBefore: iso(clock.now()), beginRefreshAt: iso(clock.now() + 60 * MINUTE), notAfter: iso(clock.now() + 120 * MINUTE) } : {};
    api.put(POD_CERTIFICATE_REQUESTS, { ...request, status: { ...status, conditions: [{ type, status: 'True', reason: 'R', message: 'm', lastTransitionTime: iso(clock.now()) }] } });
  }
  const issued = async (n: number): Promise<void> => {
    answer(await asked(n), 'Issued', n);
    await until(() => problem() === '' && bundle().chain === chain(n), `certificate ${n}`);
  };

  for (const keyType of ['RSA3072', 'ECDSAP256', 'ECDSAP384', 'ECDSAP521', 'ED25519']) {
    test(`a ${keyType} key is made, and a certificate asked for it`, async () => {
      start({ keyType });
      assert.equal(problem(), 'credential bundle is not issued yet');
      const request = await asked(1);
      const { stubPKCS10Request, ...spec } = request.spec;
      assert.deepEqual(spec, {
        signerName: 'example.com/s', podName: 'p', podUID: pod.metadata.uid, serviceAccountName: 'default', serviceAccountUID: 'sa-uid', nodeName: 'n', nodeUID: 'node-uid', maxExpirationSeconds: 86_400,
        unverifiedUserAnnotations: { 'example.com/a': 'b' },
      });
      assert.deepEqual([request.metadata.generateName, request.metadata.ownerReferences], ['req-', [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid }]]);
      await issued(1);
      const { publicKey, isSignatureValid } = parseCertificateRequest(Buffer.from(stubPKCS10Request!, 'base64'));
      assert.ok(isSignatureValid() && createPublicKey(createPrivateKey(bundle().key)).equals(publicKey), 'of the key that the Pod gets');
      assert.equal(changed, 1);
      await certificates.stop();
    });
  }
  for (const [type, outcome, what] of [['Denied', 'denied', 'was denied'], ['Failed', 'failed', 'failed']] as const) {
    test(`a request that is ${outcome} is never made again`, async () => {
      start();
      problem();
      const request = await asked(1);
      answer(request, type);
      await until(() => changed > 0, 'word of it');
      assert.equal(problem(), `PodCertificateRequest was permanently ${outcome}: reason="R" message="m"`);
      assert.deepEqual(events, [`Warning ${type}: PodCertificateRequest default/${request.metadata.name} ${what}, reason="R", message="m"`]);
      await clock.advance(60 * MINUTE);
      assert.equal(requests().length, 1);
      assert.deepEqual(certificates.states(), [{ signer: 'example.com/s', state: outcome }]);
      await certificates.stop();
    });
  }
  test('a certificate is refreshed in time, with another key; the old one is in force until then', async () => {
    start();
    problem();
    await issued(1);
    const first = bundle();
    await clock.advance(62 * MINUTE);
    assert.equal(requests().length, 1, 'half of the jitter is left');
    await clock.advance(MINUTE);
    await asked(2);
    assert.equal(bundle(), first);
    await issued(2);
    assert.notEqual(bundle().key, first.key);
    assert.deepEqual([events, changed], [[], 2]);
    await certificates.stop();
  });
  test('a refresh that does not come is told twice: when it is late, and when the certificate is over', async () => {
    start();
    problem();
    await issued(1);
    await clock.advance(63 * MINUTE);
    await asked(2);
    await clock.advance(9 * MINUTE);
    assert.deepEqual(certificates.states(), [{ signer: 'example.com/s', state: 'fresh' }]);
    await clock.advance(MINUTE);
    await until(() => events.length > 0, 'the first event');
    assert.deepEqual(events, ['Warning CertificateOverdueForRefresh: PodCertificate refresh overdue']);
    assert.deepEqual(certificates.states(), [{ signer: 'example.com/s', state: 'overdue_for_refresh' }]);
    await clock.advance(60 * MINUTE);
    await until(() => events.length > 1, 'the second event');
    assert.equal(events[1], 'Warning CertificateExpired: PodCertificate expired');
    assert.deepEqual(certificates.states(), [{ signer: 'example.com/s', state: 'expired' }]);
    await certificates.stop();
  });
  test('a request that somebody deleted is made again, after a while', async () => {
    start();
    problem();
    const { name } = (await asked(1)).metadata;
    api.remove(POD_CERTIFICATE_REQUESTS, `default/${name}`);
    await clock.advance(12 * MINUTE);
    assert.equal(requests().length, 0);
    await clock.advance(4 * MINUTE);
    assert.notEqual((await asked(1)).metadata.name, name);
    await certificates.stop();
  });
  test('a request that cannot be made is made later, and a Pod that is gone has none', async () => {
    start();
    let away = true;
    api.intercept = ({ verb }) => { if (away && verb === 'create') throw new Error('away'); };
    problem();
    await until(() => api.calls.some((c) => c.verb === 'create'), 'the first try');
    away = false;
    await clock.advance(1000);
    await asked(1);
    certificates.forget(pod.metadata.uid!);
    assert.deepEqual(certificates.states(), []);
    await clock.advance(60 * MINUTE);
    assert.equal(requests().length, 1);
    await certificates.stop();
  });
});
