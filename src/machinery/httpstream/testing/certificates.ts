/** Certificates for tests: a small DER writer (X.690, RFC 5280), so that no tool and no package is needed. ECDSA P-256, valid 2020 to 2049. */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}
interface Authority extends TestCertificate {
  /** Issues a certificate for a client or a server (with the names `localhost`, 127.0.0.1 and ::1). */
  issue(usage: 'client' | 'server', commonName: string, organizations?: readonly string[]): TestCertificate;
}

function der(tag: number, ...content: (Buffer | number[])[]): Buffer {
  const body = Buffer.concat(content.map((c) => Buffer.from(c)));
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const sequence = (...content: Buffer[]): Buffer => der(0x30, ...content);
function oid(text: string): Buffer {
  const [first, second, ...rest] = text.split('.').map(Number) as [number, number, ...number[]];
  const bytes = [first * 40 + second];
  for (const value of rest) {
    const groups = [value & 0x7f];
    for (let left = value >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(0x06, bytes);
}
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));
const VALIDITY = sequence(der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('490101000000Z')));

function subjectName(commonName: string, organizations: readonly string[]): Buffer {
  const attribute = (type: string, value: string): Buffer => der(0x31, sequence(oid(type), utf8(value)));
  return sequence(...organizations.map((o) => attribute('2.5.4.10', o)), attribute('2.5.4.3', commonName));
}
const extension = (id: string, critical: boolean, value: Buffer): Buffer => sequence(oid(id), ...(critical ? [der(0x01, [0xff])] : []), der(0x04, value));

function certificate(issuer: Buffer, subject: Buffer, publicKey: KeyObject, extensions: readonly Buffer[], signer: KeyObject): string {
  const serial = randomBytes(8);
  serial[0]! &= 0x7f;
  serial[0]! |= 0x01;
  const body = sequence(
    der(0xa0, der(0x02, [2])), der(0x02, serial), ECDSA_SHA256, issuer, VALIDITY, subject,
    publicKey.export({ type: 'spki', format: 'der' }), der(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, signer);
  const bytes = sequence(body, ECDSA_SHA256, der(0x03, [0], signature));
  return `-----BEGIN CERTIFICATE-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

/** A new certificate authority. */
export function testAuthority(name = 'test-ca'): Authority {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = subjectName(name, []);
  const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
  const cert = certificate(subject, subject, pair.publicKey, [extension('2.5.29.19', true, sequence(der(0x01, [0xff])))], pair.privateKey);
  return {
    cert,
    key: pem(pair.privateKey),
    issue(usage, commonName, organizations = []) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const purpose = extension('2.5.29.37', false, sequence(oid(usage === 'client' ? '1.3.6.1.5.5.7.3.2' : '1.3.6.1.5.5.7.3.1')));
      const ipv6 = Buffer.alloc(16);
      ipv6[15] = 1;
      const names = extension('2.5.29.17', false, sequence(der(0x82, Buffer.from('localhost')), der(0x87, [127, 0, 0, 1]), der(0x87, ipv6)));
      const extensions = usage === 'server' ? [purpose, names] : [purpose];
      return { cert: certificate(subject, subjectName(commonName, organizations), own.publicKey, extensions, pair.privateKey), key: pem(own.privateKey) };
    },
  };
}
