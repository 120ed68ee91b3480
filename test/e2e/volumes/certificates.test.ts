/** Trust anchors and certificates in Pods (KEP-3257, KEP-4317): a signer outside of the cluster, made of kubectl and openssl, answers the node's requests. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { PodCertificateRequest } from '#api/gen/certificates-v1beta1.ts';
import { POD_CERTIFICATE_REQUESTS } from '#client/kinds.ts';
import { pemBlocks, pemText } from '#machinery/pem.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForEvent, waitForLog, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const SIGNER = 'example.com/pods';
const HOUR_MS = 3_600_000;
const { test } = onCluster({ images: [BUSYBOX], flags: ['--runtime-config=certificates.k8s.io/v1beta1=true'] });
const run = promisify(execFile);

/** An authority of the test's own. */
async function newAuthority(c: TestCluster, name: string): Promise<string> {
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.crt`, '-days', '30', '-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign'], { cwd: c.files });
  return (await run('cat', [`${name}.crt`], { cwd: c.files })).stdout;
}
const pending = (c: TestCluster, podName: string): Promise<PodCertificateRequest> =>
  waitFor(c, POD_CERTIFICATE_REQUESTS, `spec.podName=${podName}`, `a certificate request of "${podName}"`, (all) => [...all.values()].find((r) => !r.status?.conditions?.length));
const condition = (type: string) => ({ type, status: 'True', reason: 'Decided', message: 'by the test', lastTransitionTime: new Date().toISOString() });
async function answer(c: TestCluster, { metadata }: PodCertificateRequest, status: object, as: readonly string[] = []): Promise<{ stderr: string }> {
  return await c.kubectl(['patch', 'podcertificaterequests', metadata.name!, '--subresource=status', '--type=merge', '-p', JSON.stringify({ status }), ...as], { expect: 'any' });
}
/** Signs what is in a request, as a signer does that knows the Pod by it. */
async function sign(c: TestCluster, request: PodCertificateRequest, as?: readonly string[]): Promise<{ stderr: string }> {
  await writeFile(`${c.files}/pod.csr`, pemText('CERTIFICATE REQUEST', Buffer.from(request.spec.stubPKCS10Request!, 'base64')));
  await writeFile(`${c.files}/pod.ext`, `subjectAltName=DNS:${request.spec.podName}.pods.example.com`);
  const { stdout } = await run('openssl', ['x509', '-req', '-in', 'pod.csr', '-CA', 'authority.crt', '-CAkey', 'authority.key', '-CAcreateserial', '-days', '1', '-extfile', 'pod.ext'], { cwd: c.files });
  const certificateChain = stdout.slice(stdout.indexOf('-----BEGIN'));
  const { validFromDate: from, validToDate: to } = new X509Certificate(certificateChain);
  const times = { notBefore: from.toISOString(), beginRefreshAt: new Date(from.getTime() + 12 * HOUR_MS).toISOString(), notAfter: to.toISOString() };
  return await answer(c, request, { conditions: [condition('Issued')], certificateChain, ...times }, as);
}
const holder = (name: string, sources: readonly object[]): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: {
    terminationGracePeriodSeconds: 0, securityContext: { runAsUser: 1000 },
    containers: [{ name: 'c', image: BUSYBOX, command: ['sh', '-c', 'while true; do n=$(grep -c BEGIN /v/anchors.pem 2>/dev/null); [ "$n" = "$o" ] || echo "anchors: $n"; o=$n; sleep 0.1; done'], volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
    volumes: [{ name: 'v', projected: { sources } }],
  },
});
const read = async (c: TestCluster, pod: string, path: string): Promise<string> => (await c.kubectl(['exec', pod, '--', 'cat', path])).stdout;
const anchors = (text: string): string[] => pemBlocks(text).map(({ bytes }) => bytes.toString('base64')).toSorted();

test('trust anchors come by name, and by signer and labels; a Pod sees new ones', async (c) => {
  const [first, second] = [await newAuthority(c, 'authority'), await newAuthority(c, 'second')];
  const bundle = (name: string, trustBundle: string, more: object = {}) => ({ apiVersion: 'certificates.k8s.io/v1beta1', kind: 'ClusterTrustBundle', metadata: { name, labels: { live: 'yes' } }, spec: { trustBundle, ...more } });
  await c.apply(bundle('plain', `words between\n${first}`));
  await c.apply(bundle('example.com:pods:a', first, { signerName: SIGNER }));
  await c.apply(holder('trusting', [
    { clusterTrustBundle: { signerName: SIGNER, labelSelector: { matchLabels: { live: 'yes' } }, path: 'anchors.pem' } },
    { clusterTrustBundle: { name: 'plain', path: 'plain.pem' } },
    { clusterTrustBundle: { name: 'none', optional: true, path: 'none.pem' } },
    { clusterTrustBundle: { signerName: 'kubernetes.io/kube-apiserver-serving', labelSelector: {}, path: 'apiserver.pem' } },
  ]));
  await waitForReady(c, 'trusting');
  await waitForLog(c, 'trusting', /anchors: 1/);
  assert.equal(await read(c, 'trusting', '/v/plain.pem'), pemBlocks(first).map(({ bytes }) => pemText('CERTIFICATE', bytes)).join(''), 'nothing but the certificates');
  assert.equal(await read(c, 'trusting', '/v/none.pem'), '');
  const { stdout } = await c.kubectl(['get', 'configmap', 'kube-root-ca.crt', '-o', 'jsonpath={.data.ca\\.crt}']);
  assert.deepEqual(anchors(await read(c, 'trusting', '/v/apiserver.pem')), anchors(stdout), 'the cluster publishes its own');
  await c.apply(bundle('example.com:pods:b', first + second, { signerName: SIGNER }));
  await waitForLog(c, 'trusting', /anchors: 2/);
  assert.deepEqual(anchors(await read(c, 'trusting', '/v/anchors.pem')), anchors(first + second), 'each once');
  await c.apply(holder('waiting', [{ clusterTrustBundle: { name: 'late', path: 'anchors.pem' } }]));
  await waitForEvent(c, 'waiting', 'FailedMount', /^MountVolume\.SetUp failed for volume "v" : while getting ClusterTrustBundle: clustertrustbundle\.certificates\.k8s\.io "late" not found$/);
  await c.apply(bundle('late', second));
  await waitForReady(c, 'waiting');
  await c.kubectl('delete pod trusting waiting --now');
});

test('a Pod gets a key and the certificate that a signer gives for it', async (c) => {
  await newAuthority(c, 'authority');
  await c.apply(holder('serving', [{ podCertificate: { signerName: SIGNER, keyType: 'ECDSAP256', credentialBundlePath: 'both.pem', keyPath: 'key.pem', certificateChainPath: 'chain.pem', userAnnotations: { 'example.com/team': 'a' } } }]));
  const request = await pending(c, 'serving');
  await waitForEvent(c, 'serving', 'FailedMount', /^MountVolume\.SetUp failed for volume "v" : credential bundle is not issued yet$/);
  const { stdout } = await c.kubectl('get podcertificaterequests');
  assert.match(stdout, /^NAME +PODNAME +SERVICEACCOUNTNAME +NODENAME +SIGNERNAME +STATE +UNVERIFIEDUSERANNOTATIONS\nreq-\S+ +serving +default +node01 +example\.com\/pods +Pending +example\.com\/team=a\n$/);
  // Who may write statuses, but not for this signer.
  await c.kubectl('create clusterrole half-signer --verb=get,patch,update --resource=podcertificaterequests,podcertificaterequests/status');
  await c.kubectl('create clusterrolebinding half-signer --clusterrole=half-signer --user=half');
  assert.match((await sign(c, request, ['--as=half'])).stderr, /spec\.signerName: Forbidden: User "half" is not permitted to "sign" for signer "example\.com\/pods"/);
  assert.equal((await sign(c, request)).stderr, '');
  await waitForReady(c, 'serving');
  const [key, chain, both] = [await read(c, 'serving', '/v/key.pem'), await read(c, 'serving', '/v/chain.pem'), await read(c, 'serving', '/v/both.pem')];
  assert.equal(both, key + chain);
  const leaf = new X509Certificate(chain);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(key)));
  assert.ok(leaf.checkIssued(new X509Certificate((await run('cat', ['authority.crt'], { cwd: c.files })).stdout)));
  assert.equal(leaf.subjectAltName, 'DNS:serving.pods.example.com');
  assert.match((await c.kubectl(['exec', 'serving', '--', 'stat', '-Lc', '%a %u', '/v/key.pem'])).stdout, /^600 1000$/m);
  // The node asks for its own Pods only, and nobody else asks in its name.
  const stolen = await c.kubectl(['create', '--as=system:node:other', '--as-group=system:nodes', '-f', '-'], { input: JSON.stringify({ apiVersion: 'certificates.k8s.io/v1beta1', kind: 'PodCertificateRequest', metadata: { name: 'stolen' }, spec: request.spec }), expect: 'any' });
  assert.match(stolen.stderr, /PodCertificateRequest\.Spec\.NodeName="node01", which is not the requesting node "other"/);
  await c.kubectl('delete pod serving --now');
  await waitFor(c, POD_CERTIFICATE_REQUESTS, 'spec.podName=serving', 'the requests to go with the Pod', (all) => (all.size === 0 ? true : undefined));
});

test('a signer that says no is the end of it', async (c) => {
  await c.apply(holder('denied', [{ podCertificate: { signerName: SIGNER, keyType: 'ED25519', credentialBundlePath: 'both.pem' } }]));
  const request = await pending(c, 'denied');
  assert.equal((await answer(c, request, { conditions: [condition('Denied')] })).stderr, '');
  await waitForEvent(c, 'denied', 'Denied', new RegExp(`^PodCertificateRequest default/${request.metadata.name} was denied, reason="Decided", message="by the test"$`));
  await waitForEvent(c, 'denied', 'FailedMount', /PodCertificateRequest was permanently denied: reason="Decided" message="by the test"/);
  await c.kubectl('delete pod denied --now');
});
