import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import * as x509 from '@peculiar/x509';
import { FakeClock } from '#base/fake-clock.ts';
import { createAuthority, signCsr, verifyCsr } from './x509.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
async function requestOf(name: x509.JsonName, names: x509.JsonGeneralNames = []): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: ALGORITHM, extensions: [new x509.SubjectAlternativeNameExtension(names)] });
  return csr.toString('pem');
}

test('a request with two common names is refused: the one that was looked at may not be the one that is read', async () => {
  const clock = new FakeClock();
  const ca = await createAuthority('kubernetes', clock);
  for (const name of [[{ CN: ['system:node:a'] }, { CN: ['system:kube-controller-manager'] }], [{ CN: ['system:node:a', 'system:kube-controller-manager'] }]]) {
    const csr = await requestOf([{ O: ['system:nodes'] }, ...name]);
    const refused = { message: 'the subject of a certificate request must have no more than one common name' };
    await assert.rejects(verifyCsr(csr), refused);
    await assert.rejects(signCsr(ca, csr, { usages: ['client auth'], lifetimeMs: 1000 }, clock), refused);
  }
});
test('what nobody has looked at is not signed', async () => {
  const clock = new FakeClock();
  const ca = await createAuthority('kubernetes', clock);
  const csr = await requestOf([{ C: ['DE'] }, { O: ['dev', 'ops'] }, { OU: ['x'] }, { '1.3.6.1.4.1.57683.2': ['uid-of-another'] }, { CN: ['jane'] }, { '2.5.4.5': ['7'] }], [{ type: 'dns', value: 'a' }, { type: 'id', value: '1.2.3.4' }, { type: 'dn', value: 'CN=b' }, { type: 'ip', value: '192.0.2.1' }]);
  const cert = new X509Certificate(await signCsr(ca, csr, { usages: ['client auth'], lifetimeMs: 1000 }, clock));
  assert.deepEqual(cert.subject.split('\n').flatMap((rdn) => rdn.split(' + ')), ['C=DE', 'O=dev', 'O=ops', 'OU=x', 'CN=jane', 'serialNumber=7']);
  assert.equal(cert.subjectAltName, 'DNS:a, IP Address:192.0.2.1');
});
