/**
 * Client certificates: the subject's CN is the user, its O are the groups. The TLS layer has proved that the client holds the key;
 * here the certificate itself is judged: issued by one of our authorities, within its time, meant for client authentication.
 * Source: the Kubernetes page "Authenticating", X.509 client certificates.
 */
import 'reflect-metadata';
import { createHash, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationRequest, AuthenticationResult, Authenticator, UserInfo } from '../interfaces.ts';
import { EXTRA } from './users.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USAGE = '2.5.29.37.0';
/** Attribute of a subject that carries a user's UID (KEP-5440). */
const UID_ATTRIBUTE = '1.3.6.1.4.1.57683.2';

const MAX_KNOWN = 1024;

interface Judged {
  readonly user: UserInfo;
  readonly from: number;
  readonly to: number;
  /** The end of the certificate's own time. */
  readonly ends: number;
}

/** The certificates of a PEM bundle. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((block) => new X509Certificate(block));
}
function authoritiesFor(cert: X509Certificate, authorities: readonly X509Certificate[]): readonly X509Certificate[] {
  return authorities.filter((ca) => ca.ca && cert.checkIssued(ca) && cert.verify(ca.publicKey));
}
/** The time during which a certificate is good for a client, or the reason why it never is. Times in milliseconds since the epoch. */
export function judgeClientCertificate(cert: X509Certificate, authorities: readonly X509Certificate[]): { readonly from: number; readonly to: number } | string {
  const issuers = authoritiesFor(cert, authorities);
  if (issuers.length === 0) return 'x509: certificate signed by unknown authority';
  const usages = cert.keyUsage as readonly string[] | undefined;
  if (usages?.length && !usages.includes(CLIENT_AUTH) && !usages.includes(ANY_USAGE)) return 'x509: certificate specifies an incompatible key usage';
  const from = Math.max(cert.validFromDate.getTime(), Math.min(...issuers.map((ca) => ca.validFromDate.getTime())));
  const to = Math.min(cert.validToDate.getTime(), Math.max(...issuers.map((ca) => ca.validToDate.getTime())));
  return { from, to };
}
/** User and groups of a certificate's subject. */
export function userOfCertificate(cert: X509Certificate): UserInfo | undefined {
  const subject = new x509.X509Certificate(cert.raw).subjectName;
  const name = subject.getField('CN')[0];
  if (name === undefined || name === '') return undefined;
  const uid = subject.getField(UID_ATTRIBUTE)[0];
  return {
    name,
    groups: subject.getField('O'),
    ...(uid ? { uid } : {}),
    extra: { [EXTRA.credentialId]: [`X509SHA256=${createHash('sha256').update(cert.raw).digest('hex')}`] },
  };
}

export class ClientCertificateAuthenticator implements Authenticator {
  readonly #authorities: readonly X509Certificate[];
  readonly #clock: Clock;
  /** One look a connection: the certificate object lives as long as it does. */
  readonly #judged = new WeakMap<X509Certificate, Judged | string>();
  /** By fingerprint, the oldest go first: clients come again, each time with a connection of its own. */
  readonly #known = new Map<string, Judged | string>();
  constructor(options: { /** PEM bundle. */ readonly authorities: string; readonly clock: Clock }) {
    this.#authorities = parseCertificates(options.authorities);
    this.#clock = options.clock;
  }
  authenticate(request: AuthenticationRequest): AuthenticationResult | undefined {
    const cert = request.peerCertificate;
    if (!cert) return undefined;
    const judged = this.#judge(cert);
    if (judged === undefined) return undefined;
    if (typeof judged === 'string') throw new Error(`verifying certificate failed: ${judged}`);
    const now = this.#clock.now();
    if (now < judged.from || now > judged.to) throw new Error('verifying certificate failed: x509: certificate has expired or is not yet valid');
    return { user: judged.user, certificateEnds: judged.ends };
  }
  #judge(cert: X509Certificate): Judged | string | undefined {
    const seen = this.#judged.get(cert);
    if (seen !== undefined) return seen;
    const { fingerprint256: key } = cert;
    const judged = this.#known.get(key) ?? this.#judgeAnew(cert);
    if (judged === undefined) return undefined;
    this.#judged.set(cert, judged);
    this.#known.set(key, judged);
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.keys().next().value!);
    return judged;
  }
  #judgeAnew(cert: X509Certificate): Judged | string | undefined {
    const validity = judgeClientCertificate(cert, this.#authorities);
    const user = typeof validity === 'string' ? undefined : userOfCertificate(cert);
    if (typeof validity !== 'string' && user === undefined) return undefined;
    return typeof validity === 'string' ? validity : { ...validity, user: user!, ends: cert.validToDate.getTime() };
  }
}
