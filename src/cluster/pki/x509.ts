/**
 * Making certificates: authorities, leaves and the answer to certificate signing requests. EC P-256 with SHA-256 throughout.
 * Sources: RFC 5280 (profile), RFC 2986 (PKCS #10), the Kubernetes page "PKI certificates and requirements".
 */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import type { Clock } from '#base/clock.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1000;
/** Clocks of a cluster's machines differ a little: certificates begin to be good this much earlier. */
const BACKDATE_MS = 5 * 60 * 1000;
/** Longer than any renewal, shorter than the year 2050 where ASN.1's time changes its form. */
export const AUTHORITY_LIFETIME_MS = 3650 * DAY_MS;
export const LEAF_LIFETIME_MS = 365 * DAY_MS;

/** A certificate and its private key, both PEM. The key is PKCS #8. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}
export type KeyUsage = 'server auth' | 'client auth';

/** What a leaf says of its holder. */
export interface LeafRequest {
  readonly commonName: string;
  /** Groups, for client certificates. */
  readonly organizations?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly usages: readonly KeyUsage[];
  readonly lifetimeMs?: number;
}

const EXTENDED: Readonly<Record<KeyUsage, string>> = { 'server auth': x509.ExtendedKeyUsage.serverAuth, 'client auth': x509.ExtendedKeyUsage.clientAuth };

function subjectOf(commonName: string, organizations: readonly string[] = []): x509.JsonName {
  return [...organizations.map((o) => ({ O: [o] })), { CN: [commonName] }];
}
/** A positive serial number with 127 random bits (RFC 5280 §4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
async function newKeys(): Promise<{ readonly pair: webcrypto.CryptoKeyPair; readonly pem: string }> {
  const pair = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', pair.privateKey);
  return { pair, pem: createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }).toString() };
}
/** Reads a private key in PEM, PKCS #8 or SEC1. Throws for keys that are not EC P-256. */
async function importSigningKey(pem: string): Promise<webcrypto.CryptoKey> {
  const key = createPrivateKey(pem);
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new Error(`cannot sign with a key of type "${key.asymmetricKeyType ?? 'unknown'}": it must be EC P-256`);
  }
  return webcrypto.subtle.importKey('pkcs8', key.export({ format: 'der', type: 'pkcs8' }), ALGORITHM, false, ['sign']);
}
function ending(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}

/** A new self-signed authority. */
export async function createAuthority(commonName: string, clock: Clock): Promise<KeyPair> {
  const { pair, pem } = await newKeys();
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: subjectOf(commonName),
    issuer: subjectOf(commonName),
    notBefore: new Date(clock.now() - BACKDATE_MS),
    notAfter: new Date(clock.now() + AUTHORITY_LIFETIME_MS),
    publicKey: pair.publicKey,
    signingKey: pair.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.keyCertSign, true),
      await x509.SubjectKeyIdentifierExtension.create(pair.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: commonName }]),
    ],
  });
  return { cert: ending(cert.toString('pem')), key: pem };
}

interface Signing {
  readonly subject: x509.JsonName;
  readonly publicKey: x509.PublicKeyType;
  readonly names: x509.JsonGeneralNames;
  readonly usages: readonly string[];
  readonly keyUsages: x509.KeyUsageFlags;
  readonly notAfter: number;
}
async function sign(ca: KeyPair, what: Signing, clock: Clock): Promise<string> {
  const issuer = new x509.X509Certificate(ca.cert);
  const notAfter = Math.min(what.notAfter, issuer.notAfter.getTime());
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: what.subject,
    issuer: issuer.subjectName.toJSON(),
    notBefore: new Date(Math.max(clock.now() - BACKDATE_MS, issuer.notBefore.getTime())),
    notAfter: new Date(notAfter),
    publicKey: what.publicKey,
    signingKey: await importSigningKey(ca.key),
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.KeyUsagesExtension(what.keyUsages, true),
      ...(what.usages.length ? [new x509.ExtendedKeyUsageExtension(what.usages as x509.ExtendedKeyUsageType[])] : []),
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(what.names.length ? [new x509.SubjectAlternativeNameExtension(what.names)] : []),
    ],
  });
  return ending(cert.toString('pem'));
}

/** A new key with a certificate of `ca` over it. It never outlives the authority. */
export async function issueLeaf(ca: KeyPair, request: LeafRequest, clock: Clock): Promise<KeyPair> {
  const { pair, pem } = await newKeys();
  const names: x509.JsonGeneralNames = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const cert = await sign(ca, {
    subject: subjectOf(request.commonName, request.organizations),
    publicKey: pair.publicKey,
    names,
    usages: request.usages.map((u) => EXTENDED[u]),
    keyUsages: x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
    notAfter: clock.now() + (request.lifetimeMs ?? LEAF_LIFETIME_MS),
  }, clock);
  return { cert, key: pem };
}

/** What a certificate signing request asks for, after its signature was checked. */
export interface CsrContents {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
}

/** Reads a PEM request and proves that its sender holds the key. Throws for anything malformed or wrongly signed. */
export async function verifyCsr(pem: string): Promise<CsrContents> {
  return (await openCsr(pem)).contents;
}
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';
/** Names that {@link CsrContents} tells: nobody has looked at others. */
const TOLD_NAMES: ReadonlySet<string> = new Set(['dns', 'ip', 'email', 'url']);
/** What Go keeps of a subject: names of places, the organization and its units, the common name; street, postal code and serial number. A user's UID is none. */
const KEPT_ATTRIBUTES: ReadonlySet<string> = new Set(['C', 'O', 'OU', 'L', 'ST', 'CN', '2.5.4.9', '2.5.4.17', '2.5.4.5']);
function alternativeNames(request: x509.Pkcs10CertificateRequest): x509.JsonGeneralNames {
  const extension = request.getExtension(SUBJECT_ALTERNATIVE_NAME);
  return extension ? new x509.SubjectAlternativeNameExtension(extension.rawData).names.toJSON().filter((n) => TOLD_NAMES.has(n.type)) : [];
}
function keptSubject(request: x509.Pkcs10CertificateRequest): x509.JsonName {
  return request.subjectName.toJSON().map((rdn) => Object.fromEntries(Object.entries(rdn).filter(([type]) => KEPT_ATTRIBUTES.has(type)))).filter((rdn) => Object.keys(rdn).length > 0);
}
async function openCsr(pem: string): Promise<{ readonly request: x509.Pkcs10CertificateRequest; readonly contents: CsrContents }> {
  if (!/-----BEGIN (NEW )?CERTIFICATE REQUEST-----/.test(pem)) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const request = new x509.Pkcs10CertificateRequest(pem);
  if (!(await request.verify())) throw new Error('x509: the signature of the certificate request does not match its key');
  const [commonName = '', ...more] = request.subjectName.getField('CN');
  // One reader takes the first for the user's name, another the last.
  if (more.length) throw new Error('the subject of a certificate request must have no more than one common name');
  const names = alternativeNames(request);
  const of = (type: string) => names.filter((n) => n.type === type).map((n) => n.value);
  return {
    request,
    contents: {
      commonName,
      organizations: request.subjectName.getField('O'),
      dnsNames: of('dns'),
      ipAddresses: of('ip'),
      emails: of('email'),
      uris: of('url'),
    },
  };
}

/** Signs a verified request: its subject and alternative names as asked, as far as upstream's signers keep them; `usages` as granted, for `lifetimeMs`. */
export async function signCsr(ca: KeyPair, pem: string, options: { readonly usages: readonly KeyUsage[]; readonly lifetimeMs: number; readonly keyEncipherment?: boolean }, clock: Clock): Promise<string> {
  const { request } = await openCsr(pem);
  return sign(ca, {
    subject: keptSubject(request),
    publicKey: request.publicKey,
    names: alternativeNames(request),
    usages: options.usages.map((u) => EXTENDED[u]),
    keyUsages: x509.KeyUsageFlags.digitalSignature | (options.keyEncipherment ? x509.KeyUsageFlags.keyEncipherment : 0),
    notAfter: clock.now() + options.lifetimeMs,
  }, clock);
}

/** A signing request for a new key: what a joining node sends. */
export async function createCsr(request: Pick<LeafRequest, 'commonName' | 'organizations' | 'dnsNames' | 'ipAddresses'>): Promise<{ readonly csr: string; readonly key: string }> {
  const { pair, pem } = await newKeys();
  const names: x509.JsonGeneralNames = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subjectOf(request.commonName, request.organizations),
    keys: pair,
    signingAlgorithm: ALGORITHM,
    ...(names.length ? { extensions: [new x509.SubjectAlternativeNameExtension(names)] } : {}),
  });
  return { csr: ending(csr.toString('pem')), key: pem };
}

/** The key that signs service-account tokens: private PKCS #8 and public SPKI, both PEM. */
export async function createServiceAccountKey(): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const { pem } = await newKeys();
  return { privateKey: pem, publicKey: createPublicKey(pem).export({ format: 'pem', type: 'spki' }).toString() };
}

/** DNS names and addresses apart, without repeats; empty texts are dropped. */
export function splitSans(sans: readonly string[]): { readonly dnsNames: string[]; readonly ipAddresses: string[] } {
  const all = [...new Set(sans.filter((s) => s !== ''))];
  return { dnsNames: all.filter((s) => isIP(s) === 0), ipAddresses: all.filter((s) => isIP(s) !== 0) };
}
