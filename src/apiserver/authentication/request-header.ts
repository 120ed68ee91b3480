/**
 * The authenticating front proxy: a client whose certificate is of the front-proxy authority says in headers for whom it asks.
 * Source: the Kubernetes page "Authenticating", authenticating proxy.
 */
import type { X509Certificate } from 'node:crypto';
import type { Clock } from '#base/clock.ts';
import type { AuthenticationRequest, AuthenticationResult, Authenticator } from '../interfaces.ts';
import { judgeClientCertificate, parseCertificates, userOfCertificate } from './client-certificate.ts';

export interface RequestHeaderOptions {
  /** PEM bundle of the front proxy's authorities. */
  readonly authorities: string;
  /** Common names that may speak for others. Empty: every certificate of the authorities. */
  readonly allowedNames?: readonly string[];
  /** Lower-case header names, the first that is there counts. Default `x-remote-user`. */
  readonly usernameHeaders?: readonly string[];
  readonly uidHeaders?: readonly string[];
  readonly groupHeaders?: readonly string[];
  readonly extraHeaderPrefixes?: readonly string[];
  readonly clock: Clock;
}

export class RequestHeaderAuthenticator implements Authenticator {
  readonly #options: Required<RequestHeaderOptions>;
  readonly #authorities: readonly X509Certificate[];
  constructor(options: RequestHeaderOptions) {
    this.#authorities = parseCertificates(options.authorities);
    this.#options = {
      allowedNames: [], usernameHeaders: ['x-remote-user'], uidHeaders: ['x-remote-uid'], groupHeaders: ['x-remote-group'], extraHeaderPrefixes: ['x-remote-extra-'], ...options,
    };
  }
  authenticate(request: AuthenticationRequest): AuthenticationResult | undefined {
    const { usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes } = this.#options;
    const first = (names: readonly string[]) => names.map((h) => request.header(h)).find((v) => v !== undefined && v !== '');
    const name = first(usernameHeaders);
    if (name === undefined || !request.peerCertificate) return undefined;
    const speaks = this.#maySpeak(request.peerCertificate);
    if (speaks === 'not ours') return undefined; // some other client certificate: its own authenticator judges it
    if (speaks === 'not allowed') throw new Error('x509: the front proxy is not among the allowed names, or its certificate is not valid now');
    const uid = first(uidHeaders);
    return {
      user: { name, groups: groupHeaders.flatMap((h) => request.headerValues(h)), extra: extraOf(request, extraHeaderPrefixes), ...(uid ? { uid } : {}) },
    };
  }
  #maySpeak(cert: X509Certificate): 'yes' | 'not ours' | 'not allowed' {
    const validity = judgeClientCertificate(cert, this.#authorities);
    if (typeof validity === 'string') return 'not ours';
    const now = this.#options.clock.now();
    if (now < validity.from || now > validity.to) return 'not allowed';
    const { allowedNames } = this.#options;
    return allowedNames.length === 0 || allowedNames.includes(userOfCertificate(cert)?.name ?? '') ? 'yes' : 'not allowed';
  }
}

/** Values of all headers with one of the prefixes, by the percent-decoded rest of their lower-case names. */
export function extraOf(request: AuthenticationRequest, prefixes: readonly string[]): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  for (const header of request.headerNames()) {
    const prefix = prefixes.find((p) => header.startsWith(p) && header.length > p.length);
    if (prefix === undefined) continue;
    const key = decodeKey(header.slice(prefix.length));
    extra[key] = [...(Object.hasOwn(extra, key) ? extra[key]! : []), ...request.headerValues(header)];
  }
  return extra;
}
function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // as upstream: a key that does not decode is taken as it is
  }
}
