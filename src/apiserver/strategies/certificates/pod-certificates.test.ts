import 'reflect-metadata';
import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import * as x509 from '@peculiar/x509';
import { emptyCertificateRequest } from '#machinery/certificate-request.ts';
import { pemText } from '#machinery/pem.ts';
import { NOW, rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { clustertrustbundles } from './clustertrustbundles.ts';
import { podcertificaterequests } from './podcertificaterequests.ts';

const HOUR_MS = 3_600_000;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const at = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z');
interface Issue {
  readonly ca?: boolean;
  readonly key?: KeyObject;
  readonly from?: number;
  readonly hours?: number;
  readonly names?: x509.JsonGeneralNames;
}
/** A certificate, signed by some other key. */
async function issue({ ca = false, key, from = NOW, hours = 24, names }: Issue): Promise<string> {
  const signer = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const spki = key && new Uint8Array(generatePublic(key));
  const certificate = await x509.X509CertificateGenerator.create({
    subject: 'CN=a', issuer: 'CN=ca', serialNumber: '01', notBefore: new Date(from), notAfter: new Date(from + hours * HOUR_MS), signingAlgorithm: ALGORITHM, signingKey: signer.privateKey,
    publicKey: spki ? new x509.PublicKey(spki) : signer.publicKey,
    extensions: [new x509.BasicConstraintsExtension(ca), ...(names ? [new x509.SubjectAlternativeNameExtension(names)] : [])],
  });
  return `${certificate.toString('pem')}\n`;
}
const generatePublic = (key: KeyObject): Buffer => Buffer.from(key.export({ format: 'der', type: 'spki' }));
const [anchorA, anchorB, leafCertificate] = await Promise.all([issue({ ca: true }), issue({ ca: true }), issue({})]);

test('clustertrustbundles check name, signer and anchors', async (t) => {
  const bundle = (name: string, trustBundle: string, signerName?: string) => ({ metadata: { name }, spec: { trustBundle, ...(signerName === undefined ? {} : { signerName }) } });
  const BUNDLE = 'spec.trustBundle: Invalid value: "<value omitted>": ';
  const table: readonly (readonly [what: string, input: object, errors: readonly string[]])[] = [
    ['two anchors', bundle('a', anchorA + anchorB), []],
    ['words between them', bundle('a', `first\n${anchorA}second\n${anchorB}`), []],
    ['a signer', bundle('example.com:s:a', anchorA, 'example.com/s'), []],
    ['a name without the signer', bundle('a', anchorA, 'example.com/s'), ['metadata.name: Invalid value: "a": ClusterTrustBundle for signerName example.com/s must be named with prefix example.com:s:']],
    ['a colon without a signer', bundle('example.com:s:a', anchorA), ['metadata.name: Invalid value: "example.com:s:a": ClusterTrustBundle without signer name must not have ":" in its name']],
    ['a signer that is none', bundle('s:a', anchorA, 's'), ["spec.signerName: Invalid value: \"s\": must be a fully qualified domain and path of the form 'example.com/signer-name'"]],
    ['nothing', bundle('a', ''), [`${BUNDLE}at least one trust anchor must be provided`]],
    ['another block', bundle('a', pemText('PRIVATE KEY', Buffer.from('x'))), [`${BUNDLE}entry 0 has bad block type: PRIVATE KEY`]],
    ['headers', bundle('a', anchorA.replace('\n', '\nA: b\n\n')), [`${BUNDLE}entry 0 has PEM block headers`]],
    ['no certificate', bundle('a', anchorA + pemText('CERTIFICATE', Buffer.from('x'))), [`${BUNDLE}entry 1 does not parse as X.509`]],
    ['no authority', bundle('a', leafCertificate), [`${BUNDLE}entry 0 does not have the CA bit set`]],
    ['one anchor twice', bundle('a', anchorA + anchorB + anchorA), [`${BUNDLE}duplicate trust anchor (indices [0 2])`]],
    ['too much', bundle('a', 'x'.repeat(1024 * 1024 + 1)), ['spec.trustBundle: Too long: may not be more than 1048576 bytes']],
  ];
  for (const [what, input, errors] of table) await t.test(`${what}: ${errors.length ? 'refused' : 'fine'}`, () => assert.deepEqual(tryCreate(clustertrustbundles, input).errors, errors));
  await t.test('keep their signer, and a bundle that is not touched is not read again', () => {
    const old = bundle('a', 'of another time');
    assert.deepEqual(tryUpdate(clustertrustbundles, old, (b) => (b.metadata.labels = { a: 'b' })).errors, []);
    const change = tryUpdate(clustertrustbundles, bundle('example.com:s:a', anchorA, 'example.com/s'), (b) => (b['spec'] = { trustBundle: anchorB, signerName: 'example.com/t' }));
    assert.deepEqual(change.errors, ['metadata.name: Invalid value: "example.com:s:a": ClusterTrustBundle for signerName example.com/t must be named with prefix example.com:t:', 'spec.signerName: Invalid value: "example.com/t": field is immutable']);
    assert.deepEqual(rowOf(clustertrustbundles, bundle('a', '')), { Name: 'a', SignerName: '<none>' });
    assert.equal(clustertrustbundles.selectableFields!['spec.signerName']!(bundle('x', '', 'example.com/s') as never), 'example.com/s');
  });
});

const SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const STUB = emptyCertificateRequest(privateKey).toString('base64');
const spec = {
  signerName: 'example.com/s', podName: 'p', podUID: 'pu', serviceAccountName: 'sa', serviceAccountUID: 'su', nodeName: 'n', nodeUID: 'nu', maxExpirationSeconds: 86_400, stubPKCS10Request: STUB,
};
const request = (change: object = {}) => ({ metadata: { name: 'r', namespace: 'default' }, spec: { ...spec, ...change } });
/** The older form: a key and a signature of the Pod's uid. */
function keyed(key: KeyObject, proof: Buffer) {
  return { stubPKCS10Request: undefined, pkixPublicKey: generatePublic(key).toString('base64'), proofOfPossession: proof.toString('base64') };
}
test('podcertificaterequests check whom and what they are for', async (t) => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const other = generateKeyPairSync('ec', { namedCurve: 'secp224r1' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const small = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pss = sign('sha256', Buffer.from('pu'), { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING });
  const spoiled = Buffer.from(STUB, 'base64');
  spoiled[spoiled.length - 1]! ^= 1;
  const long = Buffer.alloc(10 * 1024 + 1).toString('base64');
  const ONE_OF = 'spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set';
  const table: readonly (readonly [what: string, change: object, errors: readonly string[]])[] = [
    ['a stub', {}, []],
    ['an Ed25519 key and its proof', keyed(publicKey, sign(null, Buffer.from('pu'), privateKey)), []],
    ['an elliptic key and its proof', keyed(ec.publicKey, sign('sha256', Buffer.from('pu'), ec.privateKey)), []],
    ['an RSA key and its proof', keyed(rsa.publicKey, pss), []],
    ['a proof for another Pod', keyed(ec.publicKey, sign('sha256', Buffer.from('other'), ec.privateKey)), ['spec.proofOfPossession: Invalid value: could not verify proof-of-possession signature']],
    ['another curve', keyed(other.publicKey, Buffer.from('x')), ['spec.pkixPublicKey: Invalid value: "curve P-224": elliptic public keys must use curve P256 or P384']],
    ['a small RSA key', keyed(small.publicKey, Buffer.from('x')), ['spec.pkixPublicKey: Invalid value: "2048-bit modulus": RSA keys must have modulus size 3072 or 4096']],
    ['a small RSA key in a stub', { stubPKCS10Request: emptyCertificateRequest(small.privateKey).toString('base64') }, ['spec.stubPKCS10Request: Invalid value: "2048-bit modulus": RSA keys must have modulus size 3072 or 4096']],
    ['no key', { ...keyed(publicKey, Buffer.from('x')), pkixPublicKey: 'eA==' }, ['spec.pkixPublicKey: Invalid value: "eA==": must be a valid PKIX-serialized public key']],
    ['a stub that is none', { stubPKCS10Request: 'eA==' }, ['spec.stubPKCS10Request: Invalid value: must be a valid PKCS#10 CSR']],
    ['a stub of another signature', { stubPKCS10Request: spoiled.toString('base64') }, ['spec.stubPKCS10Request: Invalid value: invalid signature']],
    ['a long stub', { stubPKCS10Request: long }, ['spec.stubPKCS10Request: Too long: may not be more than 10240 bytes']],
    ['both forms', { pkixPublicKey: 'eA==' }, [ONE_OF]],
    ['half of a form', { stubPKCS10Request: undefined, pkixPublicKey: 'eA==' }, [ONE_OF]],
    ['names and uids that are none', { podName: 'P', podUID: '', nodeUID: 'x'.repeat(129), stubPKCS10Request: undefined }, [
      `spec.podName: Invalid value: "P": ${SUBDOMAIN}`, 'spec.podUID: Invalid value: "": must not be empty', 'spec.nodeUID: Too long: may not be more than 128 bytes', ONE_OF,
    ]],
    ['no life', { maxExpirationSeconds: undefined }, ['spec.maxExpirationSeconds: Required value: must be set']],
    ['a short life', { maxExpirationSeconds: 3599 }, ['spec.maxExpirationSeconds: Invalid value: 3599: must be in the range [3600, 7862400]']],
    ['a long life from a signer of Kubernetes', { signerName: 'x.kubernetes.io/s', maxExpirationSeconds: 86_401 }, ['spec.maxExpirationSeconds: Invalid value: 86401: must be in the range [3600, 86400]']],
    ['annotations without a domain', { unverifiedUserAnnotations: { a: 'b', 'Example.com/C': 'd' } }, ['spec.unverifiedUserAnnotations: Invalid value: "a": must be a domain-prefixed key (such as "acme.io/foo")']],
  ];
  for (const [what, change, errors] of table) await t.test(`${what}: ${errors.length ? 'refused' : 'fine'}`, () => assert.deepEqual(tryCreate(podcertificaterequests, request(change)).errors, errors));
  await t.test('keep their spec', () => {
    assert.deepEqual(tryUpdate(podcertificaterequests, request(), (r) => (r['spec'] = { ...spec, podName: 'q' })).errors.map((e) => e.replace(/\{.*\}/, '…')), ['spec: Invalid value: …: field is immutable']);
  });
});

test('podcertificaterequests check their answer', async (t) => {
  const condition = (type: string, status = 'True') => ({ type, status, reason: 'R', message: 'm', lastTransitionTime: at(NOW) });
  const times = (from: number, hours: number) => ({ notBefore: at(from), notAfter: at(from + hours * HOUR_MS), beginRefreshAt: at(from + (hours * HOUR_MS) / 2) });
  const own = { key: publicKey };
  const chain = async (how: Issue, tail = '') => ({ certificateChain: (await issue(how)) + tail });
  const issued = { conditions: [condition('Issued')] };
  const good = { ...issued, ...times(NOW, 24), ...(await chain(own, anchorA)) };
  const shown = (c: { certificateChain: string }) => JSON.stringify(c.certificateChain);
  const foreign = await chain({});
  const names = await chain({ ...own, names: [{ type: 'dns', value: 'a..b' }, { type: 'dns', value: '.c' }, { type: 'email', value: 'nobody' }] });
  const cases: readonly (readonly [what: string, status: object, errors: readonly string[]])[] = [
    ['a chain', good, []],
    ['a refusal', { conditions: [condition('Denied')] }, []],
    ['nothing', {}, []],
    ['two outcomes', { conditions: [condition('Issued'), condition('Failed')] }, ['status.conditions[1].type: Invalid value: "Failed": There may be at most one condition with type "Issued", "Denied", or "Failed"']],
    ['an outcome that is not', { conditions: [condition('Denied', 'False')] }, ['status.conditions[0].status: Unsupported value: "False": supported values: "True"']],
    ['another condition', { conditions: [condition('Ready')] }, ['status.conditions[0].type: Unsupported value: "Ready": supported values: "Denied", "Failed", "Issued"']],
    ['a chain with a refusal', { ...good, conditions: [condition('Denied')] }, ['status: Invalid value: non-condition status fields must be empty when denying or failing the PodCertificateRequest']],
    ['a chain without an outcome', { ...good, conditions: [] }, ['status: Invalid value: status is immutable unless transitioning to "Issued", "Denied", or "Failed"']],
    ['no chain', { ...good, certificateChain: '' }, ['status.certificateChain: Invalid value: "": issued certificate chain must contain at least one certificate']],
    ['another key', { ...good, ...foreign }, [`status.certificateChain: Invalid value: ${shown(foreign)}: leaf certificate was not issued to the requested public key`]],
    ['names that are none', { ...good, ...names }, [
      `status.certificateChain: Invalid value: "a..b": leaf certificate's DNSName should not contain '..'`, `status.certificateChain: Invalid value: ".c": leaf certificate's DNSName should not start or end with '.'`,
      'status.certificateChain: Invalid value: "nobody": leaf certificate should not contain invalid EmailAddress',
    ]],
    ['no times', { ...issued, certificateChain: good.certificateChain }, [
      'status.notBefore: Required value: must be present and consistent with the issued certificate', 'status.notAfter: Required value: must be present and consistent with the issued certificate',
      'status.beginRefreshAt: Required value: must be present and in the range [notbefore+10min, notafter-10min]',
    ]],
    ['another beginning', { ...good, notBefore: at(NOW - 1000) }, [`status.notBefore: Invalid value: "${at(NOW - 1000)}": must be set to the NotBefore time encoded in the leaf certificate`]],
    ['another end', { ...good, notAfter: at(NOW) }, [`status.notAfter: Invalid value: "${at(NOW)}": must be set to the NotAfter time encoded in the leaf certificate`]],
    ['a beginning long ago', { ...good, ...times(NOW - HOUR_MS, 24), ...(await chain({ ...own, from: NOW - HOUR_MS })) }, [`status.notBefore: Invalid value: "${at(NOW - HOUR_MS)}": must be set to within 5 minutes of kube-apiserver's current time`]],
    ['a short life', { ...good, ...times(NOW, 0.5), ...(await chain({ ...own, hours: 0.5 })) }, ['status.certificateChain: Invalid value: 1800000000000: leaf certificate lifetime must be >= 1 hour']],
    ['a long life', { ...good, ...times(NOW, 25), ...(await chain({ ...own, hours: 25 })) }, ['status.certificateChain: Invalid value: 90000000000000: leaf certificate lifetime must be <= spec.maxExpirationSeconds (86400)']],
    ['an early refresh', { ...good, beginRefreshAt: at(NOW) }, [`status.beginRefreshAt: Invalid value: "${at(NOW)}": must be at least 10 minutes after status.notBefore`]],
    ['a late refresh', { ...good, beginRefreshAt: good.notAfter }, [`status.beginRefreshAt: Invalid value: "${good.notAfter}": must be at least 10 minutes before status.notAfter`]],
  ];
  for (const [what, status, errors] of cases) {
    await t.test(`${what}: ${errors.length ? 'refused' : 'fine'}`, () => assert.deepEqual(tryUpdate(podcertificaterequests, request(), (r) => (r['status'] = status), 'status').errors, errors));
  }
  await t.test('answered once are answered for good', () => {
    const answered = { ...request(), status: good };
    const strategy = { ...podcertificaterequests, prepareForCreate: () => {} };
    assert.deepEqual(tryUpdate(strategy, answered, (r) => (r['status'] = { conditions: [condition('Denied')] }), 'status').errors, ['status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed']);
    assert.deepEqual(tryUpdate(strategy, answered, () => {}, 'status').errors, []);
  });
  await t.test('row', () => {
    const row = rowOf(podcertificaterequests, { ...request({ unverifiedUserAnnotations: { 'b.io/x': '1', 'a.io/x': '2' } }), status: good });
    assert.deepEqual(row, { Name: 'r', PodName: 'p', ServiceAccountName: 'sa', NodeName: 'n', SignerName: 'example.com/s', State: 'Issued', UnverifiedUserAnnotations: 'a.io/x=2,b.io/x=1' });
    assert.equal(rowOf(podcertificaterequests, request())['State'], 'Pending');
  });
});
