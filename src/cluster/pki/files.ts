/** The key pairs of a directory: made where missing, made anew where they no longer fit. Files are readable by root alone. */
import { randomUUID, X509Certificate } from 'node:crypto';
import { open, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { createAuthority, issueLeaf, splitSans, type KeyPair, type LeafRequest } from './x509.ts';

/** Leaves are made anew when less than this is left. */
export const RENEW_BEFORE_MS = 30 * 24 * 60 * 60 * 1000;

/** Writes a file as a whole (temporary file, fsync, rename), mode 0600. */
export async function writeSecretFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } catch (err) {
    await rm(temporary, { force: true });
    throw err;
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}
/** A file's text; undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw err;
  }
}
/** `<name>.crt` and `<name>.key`; undefined where one of them is missing. */
export async function readPair(dir: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([readIfThere(join(dir, `${name}.crt`)), readIfThere(join(dir, `${name}.key`))]);
  return cert === undefined || key === undefined ? undefined : { cert, key };
}
export async function writePair(dir: string, name: string, pair: KeyPair): Promise<void> {
  await writeSecretFile(join(dir, `${name}.key`), pair.key);
  await writeSecretFile(join(dir, `${name}.crt`), pair.cert);
}

/** `<name>.crt` and `<name>.key`, an authority: read, or made and written. An expired one is an error: the whole cluster trusts it. */
export async function ensureAuthority(dir: string, name: string, commonName: string, clock: Clock): Promise<KeyPair> {
  const known = await readPair(dir, name);
  if (known) {
    const cert = new X509Certificate(known.cert);
    if (cert.validToDate.getTime() <= clock.now()) throw new Error(`certificate authority "${join(dir, `${name}.crt`)}" expired at ${cert.validToDate.toISOString()}; remove it and its key to make a new one`);
    return known;
  }
  const made = await createAuthority(commonName, clock);
  await writePair(dir, name, made);
  return made;
}

/** Why a leaf must be made anew; undefined: it still fits. */
export function staleness(pair: KeyPair, ca: KeyPair, request: LeafRequest, now: number): string | undefined {
  let cert: X509Certificate;
  try {
    cert = new X509Certificate(pair.cert);
  } catch {
    return 'unreadable';
  }
  const issuer = new X509Certificate(ca.cert);
  if (!cert.checkIssued(issuer) || !cert.verify(issuer.publicKey)) return 'of another authority';
  if (cert.validToDate.getTime() - now < Math.min(RENEW_BEFORE_MS, (request.lifetimeMs ?? Infinity) / 3)) return 'near expiry';
  const subject = new Set(cert.subject.split('\n'));
  const wanted = [`CN=${request.commonName}`, ...(request.organizations ?? []).map((o) => `O=${o}`)];
  if (wanted.length !== subject.size || wanted.some((w) => !subject.has(w))) return 'for another subject';
  if ((request.dnsNames ?? []).some((name) => cert.checkHost(name, { subject: 'never' }) === undefined)) return 'without a DNS name';
  if ((request.ipAddresses ?? []).some((ip) => cert.checkIP(ip) === undefined)) return 'without an address';
  return undefined;
}

/** `<name>.crt` and `<name>.key`, a leaf of `ca`: read, or made and written when missing or stale. */
export async function ensureLeaf(dir: string, name: string, ca: KeyPair, request: LeafRequest, clock: Clock): Promise<KeyPair> {
  const known = await readPair(dir, name);
  if (known && staleness(known, ca, request, clock.now()) === undefined) return known;
  const made = await issueLeaf(ca, request, clock);
  await writePair(dir, name, made);
  return made;
}
/** Milliseconds until the first of some leaves is to be made anew: when a running cluster should call `ensure…` again. 0: now. */
export function renewalDue(certificates: readonly string[], now: number): number {
  const ends = certificates.map((pem) => new X509Certificate(pem).validToDate.getTime());
  return Math.max(0, Math.min(...ends) - RENEW_BEFORE_MS - now);
}
export { splitSans };
