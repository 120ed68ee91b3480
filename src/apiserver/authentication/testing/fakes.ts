/** What tests of authentication, authorization and admission plug in: a reader over plain objects, requests, certificates. */
import 'reflect-metadata';
import { createPrivateKey, generateKeyPairSync, webcrypto, type X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { nameOf, namespaceOf, splitApiVersion, type KubeObject } from '#api/object.ts';
import { ALL_RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { deepFreeze } from '#base/draft.ts';
import type { AuthenticationRequest, ObjectChange, ObjectReader } from '../../interfaces.ts';

const idOf = (r: Pick<ResourceInfo, 'group' | 'plural'>): string => `${r.group}/${r.plural}`;

/** The resource of an object by its apiVersion and kind. */
export function resourceOfObject(object: KubeObject): ResourceInfo {
  const { group, version } = splitApiVersion(object.apiVersion ?? '');
  const found = ALL_RESOURCES.find((r) => r.group === group && r.version === version && r.kind === object.kind);
  if (!found) throw new Error(`no resource for ${object.apiVersion} ${object.kind}`);
  return found;
}

/** A watch cache made of objects that a test puts in. Objects are frozen: whoever writes to them fails the test. */
export class FakeReader implements ObjectReader {
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #listeners = new Map<string, Set<(change: ObjectChange) => void>>();
  /** Number of `list` calls: tests of indexes watch it. */
  lists = 0;
  constructor(...objects: KubeObject[]) {
    for (const object of objects) this.put(object);
  }
  put(object: KubeObject): void {
    const id = idOf(resourceOfObject(object));
    const key = `${namespaceOf(object)}/${nameOf(object)}`;
    const all = this.#objects.getOrInsertComputed(id, () => new Map());
    const previous = all.get(key);
    all.set(key, deepFreeze(object));
    for (const listener of this.#listeners.get(id) ?? []) listener({ type: previous ? 'MODIFIED' : 'ADDED', object, previous });
  }
  remove(object: KubeObject): void {
    const id = idOf(resourceOfObject(object));
    const key = `${namespaceOf(object)}/${nameOf(object)}`;
    const previous = this.#objects.get(id)?.get(key);
    if (!previous) return;
    this.#objects.get(id)!.delete(key);
    for (const listener of this.#listeners.get(id) ?? []) listener({ type: 'DELETED', object: previous, previous });
  }
  get<T extends KubeObject>(resource: ResourceInfo, namespace: string, name: string): T | undefined {
    return this.#objects.get(idOf(resource))?.get(`${namespace}/${name}`) as T | undefined;
  }
  list<T extends KubeObject>(resource: ResourceInfo, namespace = ''): readonly T[] {
    this.lists++;
    const all = [...(this.#objects.get(idOf(resource))?.values() ?? [])] as T[];
    return namespace === '' ? all : all.filter((o) => namespaceOf(o) === namespace);
  }
  subscribe<T extends KubeObject>(resource: ResourceInfo, listener: (change: ObjectChange<T>) => void): () => void {
    const set = this.#listeners.getOrInsertComputed(idOf(resource), () => new Set());
    set.add(listener as (change: ObjectChange) => void);
    return () => void set.delete(listener as (change: ObjectChange) => void);
  }
}

/** A request with these headers (lower-case names). */
export function fakeRequest(headers: Readonly<Record<string, string | readonly string[]>> = {}, more: { readonly peerCertificate?: X509Certificate; readonly path?: string } = {}): AuthenticationRequest {
  const values = (name: string): readonly string[] => {
    const value = headers[name];
    return value === undefined ? [] : typeof value === 'string' ? [value] : value;
  };
  return {
    header: (name) => (headers[name] === undefined ? undefined : values(name).join(', ')),
    headerValues: values,
    headerNames: () => Object.keys(headers),
    peerCertificate: more.peerCertificate,
    remoteAddress: '192.0.2.1',
    path: more.path ?? '/api',
  };
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
export interface TestAuthority {
  readonly cert: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly name: string;
}
export interface TestLeaf {
  readonly cert: string;
  readonly key: string;
}
/** A self-signed authority that is good from `now - 1 day` to `now + 10 years`. */
export async function testAuthority(name: string, now: number): Promise<TestAuthority> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`, keys, signingAlgorithm: EC, notBefore: new Date(now - 86_400_000), notAfter: new Date(now + 3650 * 86_400_000),
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true), await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)],
  });
  return { cert: cert.toString('pem'), keys, name };
}
export async function testLeaf(ca: TestAuthority, options: { readonly subject: x509.JsonName; readonly from: number; readonly to: number; readonly usage?: x509.ExtendedKeyUsage; readonly names?: x509.JsonGeneralNames }): Promise<TestLeaf> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const cert = await x509.X509CertificateGenerator.create({
    subject: options.subject, issuer: `CN=${ca.name}`, publicKey: keys.publicKey, signingKey: ca.keys.privateKey, signingAlgorithm: EC,
    notBefore: new Date(options.from), notAfter: new Date(options.to),
    extensions: [
      ...(options.usage ? [new x509.ExtendedKeyUsageExtension([options.usage])] : []),
      ...(options.names ? [new x509.SubjectAlternativeNameExtension(options.names)] : []),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { cert: cert.toString('pem'), key: createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' }).toString() };
}
/** A private key for tokens, PEM. */
export function testSigningKey(type: 'ES256' | 'RS256' = 'ES256'): string {
  const pair = type === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'prime256v1' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
}
