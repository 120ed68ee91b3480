/** What a signer may answer a PodCertificateRequest with, and when. Source: KEP-4317; the API reference, PodCertificateRequestStatus. */
import { X509Certificate, type KeyObject } from 'node:crypto';
import type { PodCertificateRequest, PodCertificateRequestStatus } from '#api/gen/certificates-v1beta1.ts';
import { rfc3339 } from '#base/clock.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath, invalidField, invalidValue, notSupported, required, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { pemBlocks } from '#machinery/pem.ts';
import { validateConditions } from '../conditions.ts';
import { each } from '../field-checks.ts';
import { PUBLIC_KEY, REQUEST, requestedKey } from './pod-certificate-key.ts';

const STATUS = fieldPath('status');
const CONDITIONS = STATUS.child('conditions');
const CHAIN = STATUS.child('certificateChain');
const OUTCOMES = ['Issued', 'Denied', 'Failed'];
const MAX_CHAIN_BYTES = 100 * 1024;
const MINUTE_MS = 60_000;
/** How far the certificate's beginning may be from now. */
const SKEW_MS = 5 * MINUTE_MS;
/** Least distance of the refresh from both ends. */
const MARGIN_MS = 10 * MINUTE_MS;
const MIN_LIFE_MS = 60 * MINUTE_MS;
const NS_PER_MS = 1e6;

type Status = Partial<PodCertificateRequestStatus>;
const has = ({ conditions }: Status, ...types: readonly string[]): boolean => conditions?.some((c) => types.includes(c.type) && c.status === 'True') ?? false;

function validateOutcome(conditions: Status['conditions']): FieldError[] {
  const known = each(conditions, CONDITIONS, ({ type, status }, path, i) => {
    if (!OUTCOMES.includes(type)) return [notSupported(path.child('type'), type, OUTCOMES)];
    const isSecond = conditions!.slice(0, i).some((c) => OUTCOMES.includes(c.type));
    return [
      ...(isSecond ? [invalidValue(path.child('type'), type, 'There may be at most one condition with type "Issued", "Denied", or "Failed"')] : []),
      ...(status === 'True' ? [] : [notSupported(path.child('status'), status, ['True'])]),
    ];
  });
  return [...known, ...validateConditions(conditions, CONDITIONS)];
}
const parsed = (bytes: Buffer): X509Certificate | undefined => {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
};
/** Alternative names of one type: `DNS`, `email`. */
const namesOf = (certificate: X509Certificate, type: string): string[] =>
  (certificate.subjectAltName ?? '').split(', ').filter((name) => name.startsWith(`${type}:`)).map((name) => name.slice(type.length + 1));

function validateNames(leaf: X509Certificate): FieldError[] {
  const dns = namesOf(leaf, 'DNS').flatMap((name) => [
    ...(name === '' ? ['leaf certificate should not contain empty DNSName'] : []),
    ...(name.includes('..') ? ["leaf certificate's DNSName should not contain '..'"] : []),
    ...(name.startsWith('.') || name.endsWith('.') ? ["leaf certificate's DNSName should not start or end with '.'"] : []),
  ].map((detail) => invalidValue(CHAIN, name, detail)));
  const emails = namesOf(leaf, 'email').filter((address) => !/^[^\s@<>]+@[^\s@<>]+$/.test(address));
  return [...dns, ...emails.map((address) => invalidValue(CHAIN, address, 'leaf certificate should not contain invalid EmailAddress'))];
}
/** The times that a status says against those of the certificate. */
function validateTimes(status: Status, leaf: X509Certificate, maxSeconds: number, now: number): FieldError | undefined {
  const [begin, end, refresh] = [status.notBefore!, status.notAfter!, status.beginRefreshAt!];
  const shown = (time: string): string => rfc3339(Date.parse(time));
  const [from, to] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  if (Date.parse(begin) !== from) return invalidValue(STATUS.child('notBefore'), shown(begin), 'must be set to the NotBefore time encoded in the leaf certificate');
  if (Math.abs(from - now) >= SKEW_MS) return invalidValue(STATUS.child('notBefore'), shown(begin), "must be set to within 5 minutes of kube-apiserver's current time");
  if (Date.parse(end) !== to) return invalidValue(STATUS.child('notAfter'), shown(end), 'must be set to the NotAfter time encoded in the leaf certificate');
  if (to - from < MIN_LIFE_MS) return invalidValue(CHAIN, (to - from) * NS_PER_MS, 'leaf certificate lifetime must be >= 1 hour');
  if (to - from > maxSeconds * 1000) return invalidValue(CHAIN, (to - from) * NS_PER_MS, `leaf certificate lifetime must be <= spec.maxExpirationSeconds (${maxSeconds})`);
  if (Date.parse(refresh) < from + MARGIN_MS) return invalidValue(STATUS.child('beginRefreshAt'), shown(refresh), 'must be at least 10 minutes after status.notBefore');
  return Date.parse(refresh) > to - MARGIN_MS ? invalidValue(STATUS.child('beginRefreshAt'), shown(refresh), 'must be at least 10 minutes before status.notAfter') : undefined;
}
function keyOf(request: PodCertificateRequest): KeyObject | FieldError {
  try {
    return requestedKey(request.spec);
  } catch {
    return request.spec.stubPKCS10Request ? invalidField(REQUEST, 'must be a valid PKCS#10 CSR') : invalidField(PUBLIC_KEY, 'must be a valid PKIX-serialized public key');
  }
}
function validateIssued(request: PodCertificateRequest, old: PodCertificateRequest, now: number): FieldError[] {
  const status = request.status!;
  const chain = status.certificateChain ?? '';
  if (Buffer.byteLength(chain) > MAX_CHAIN_BYTES) return [tooLong(CHAIN, MAX_CHAIN_BYTES)];
  const [leafBlock, ...others] = pemBlocks(chain);
  if (!leafBlock) return [invalidValue(CHAIN, chain, 'issued certificate chain must contain at least one certificate')];
  // Upstream's spelling.
  const foreign = 'issued certificate chain must consist entirely of CERTFICATE PEM blocks';
  if (leafBlock.type !== 'CERTIFICATE') return [invalidValue(CHAIN, chain, 'issued certificate chain must consist entirely of CERTIFICATE PEM blocks')];
  const leaf = parsed(leafBlock.bytes);
  if (!leaf) return [invalidValue(CHAIN, chain, 'leaf certificate does not parse as valid X.509')];
  const errors = validateNames(leaf);
  const key = keyOf(old);
  if ('field' in key) return [...errors, key];
  if (!leaf.publicKey.equals(key)) return [...errors, invalidValue(CHAIN, chain, 'leaf certificate was not issued to the requested public key')];
  for (const name of ['notBefore', 'notAfter'] as const) if (!status[name]) errors.push(required(STATUS.child(name), 'must be present and consistent with the issued certificate'));
  if (!status.beginRefreshAt) errors.push(required(STATUS.child('beginRefreshAt'), 'must be present and in the range [notbefore+10min, notafter-10min]'));
  if (errors.length > 0) return errors;
  const problem = validateTimes(status, leaf, request.spec.maxExpirationSeconds ?? 0, now);
  if (problem) return [problem];
  for (const { type, bytes } of others) {
    if (type !== 'CERTIFICATE') return [invalidValue(CHAIN, chain, foreign)];
    if (!parsed(bytes)) return [invalidValue(CHAIN, chain, 'intermediate certificate does not parse as valid X.509')];
  }
  return [];
}

export function validateStatusUpdate(request: PodCertificateRequest, old: PodCertificateRequest, now: number): FieldError[] {
  const [status, before]: [Status, Status] = [request.status ?? {}, old.status ?? {}];
  const conditions = validateOutcome(status.conditions);
  if (conditions.length > 0) return conditions;
  if (has(before, ...OUTCOMES)) return semanticEqual(status, before) ? [] : [invalidField(STATUS, 'immutable after PodCertificateRequest is issued, denied, or failed')];
  if (has(status, 'Denied', 'Failed')) {
    const { conditions: _, ...rest } = status;
    return Object.values(rest).some((value) => value !== undefined && value !== '') ? [invalidField(STATUS, 'non-condition status fields must be empty when denying or failing the PodCertificateRequest')] : [];
  }
  if (has(status, 'Issued')) return validateIssued(request, old, now);
  return semanticEqual(status, before) ? [] : [invalidField(STATUS, 'status is immutable unless transitioning to "Issued", "Denied", or "Failed"')];
}
