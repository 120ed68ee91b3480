import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { emptyCertificateRequest, parseCertificateRequest } from './certificate-request.ts';
import { pemBlocks, pemText } from './pem.ts';

const KEYS: Readonly<Record<string, () => KeyObject>> = {
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 3072 }).privateKey,
  'P-256': () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey,
  'P-384': () => generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey,
  'P-521': () => generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey,
  Ed25519: () => generateKeyPairSync('ed25519').privateKey,
};
describe('emptyCertificateRequest', () => {
  for (const [name, make] of Object.entries(KEYS)) {
    test(`${name}: openssl verifies it, and so do we`, () => {
      const request = emptyCertificateRequest(make());
      assert.equal(parseCertificateRequest(request).isSignatureValid(), true);
      const shown = execFileSync('openssl', ['req', '-verify', '-noout', '-subject'], { input: pemText('CERTIFICATE REQUEST', request), stdio: ['pipe', 'pipe', 'pipe'] }).toString();
      assert.match(shown, /^subject=\s*$/m);
      const spoiled = Buffer.from(request);
      spoiled[spoiled.length - 1]! ^= 1;
      assert.equal(parseCertificateRequest(spoiled).isSignatureValid(), false);
    });
  }
});
test('parseCertificateRequest reads what openssl makes, and refuses what is none', () => {
  const made = execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-keyout', '/dev/null', '-subj', '/CN=a', '-addext', 'subjectAltName=DNS:a'], { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
  const { bytes } = pemBlocks(made)[0]!;
  assert.equal(parseCertificateRequest(bytes).isSignatureValid(), true);
  for (const bad of [Buffer.alloc(0), bytes.subarray(0, bytes.length - 1), Buffer.from('3000', 'hex'), Buffer.from('3080', 'hex'), Buffer.from('3006300030000300', 'hex'), Buffer.concat([bytes, bytes])]) assert.throws(() => parseCertificateRequest(bad), bad.toString('hex').slice(0, 20));
});
test('pemBlocks passes over what is between blocks, and tells of headers', () => {
  const block = pemText('CERTIFICATE', Buffer.alloc(100, 7));
  const headed = '-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END X-----\n';
  assert.deepEqual(pemBlocks(`words\n${block}more words\n${headed}-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n${block.replaceAll('\n', '\r\n')}`).map((b) => [b.type, b.hasHeaders, b.bytes.length]), [
    ['CERTIFICATE', false, 100], ['X', true, 3], ['CERTIFICATE', false, 100],
  ]);
  assert.deepEqual(pemBlocks('-----BEGIN A-----\nAAAA\n-----END B-----\n'), []);
});
