/**
 * `create serviceaccounts/token`: checks a TokenRequest and signs the token it asks for.
 * Source: the API reference, TokenRequest; KEP-1205 (bound tokens), KEP-2907 (extended expiry), KEP-4193 (node reference).
 */
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type * as authenticationV1 from '#api/gen/authentication-v1.ts';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { badRequest, conflict, invalid, notFound } from '#machinery/status-error.ts';
import type { TokenIssueRequest, TokenIssuer } from '../interfaces.ts';
import type { ObjectRef, TokenClaims } from './service-account-claims.ts';
import type { SigningKey } from './service-account-keys.ts';
import { serviceAccountUserName } from './users.ts';

const PODS = resourceOf('', 'v1', 'pods');
const SECRETS = resourceOf('', 'v1', 'secrets');
const NODES = resourceOf('', 'v1', 'nodes');
const MIN_SECONDS = 10 * 60;
const MAX_SECONDS = 2 ** 32;
const DEFAULT_SECONDS = 60 * 60;
/** What the ServiceAccount admission plugin asks for: clients that never reload their token shall go on for a year. */
const EXTENDED_REQUEST_SECONDS = 60 * 60 + 7;
const EXTENDED_SECONDS = 365 * 24 * 60 * 60;

export interface TokenIssuerOptions {
  readonly issuer: string;
  readonly key: SigningKey;
  /** Audiences of a request that names none. */
  readonly audiences: readonly string[];
  /** Longest life of a token in seconds (`--service-account-max-token-expiration`); 0: no limit. */
  readonly maxExpirationSeconds?: number;
  /** `--service-account-extend-token-expiration`. Default true. */
  readonly extendExpiration?: boolean;
  readonly clock: Clock;
}

/** Upstream's validation of a TokenRequest's spec. */
export function validateTokenRequestSpec(spec: authenticationV1.TokenRequestSpec): FieldError[] {
  const path = fieldPath('spec', 'expirationSeconds');
  const seconds = spec.expirationSeconds ?? DEFAULT_SECONDS;
  if (seconds < MIN_SECONDS) return [invalidValue(path, seconds, 'may not specify a duration less than 10 minutes')];
  if (seconds > MAX_SECONDS) return [invalidValue(path, seconds, 'may not specify a duration larger than 2^32 seconds')];
  return [];
}

interface Bound {
  readonly pod?: ObjectRef;
  readonly secret?: ObjectRef;
  readonly node?: ObjectRef;
}
const refOf = (object: KubeObject): ObjectRef => ({ name: object.metadata.name ?? '', uid: object.metadata.uid ?? '' });

/** The objects a token is bound to, found and checked. Throws StatusErrors. */
function boundObjects(ref: authenticationV1.BoundObjectReference, request: TokenIssueRequest): Bound {
  const { serviceAccount, objects } = request;
  const namespace = serviceAccount.metadata.namespace ?? '';
  const name = ref.name ?? '';
  // The group counts, not the version.
  const kind = ref.apiVersion?.includes('/') ? undefined : ref.kind;
  const found = <T extends KubeObject>(resource: typeof PODS): T => {
    const object = objects.get<T>(resource, resource.namespaced ? namespace : '', name);
    if (!object) throw notFound({ group: '', resource: resource.plural }, name);
    if (ref.uid && ref.uid !== object.metadata.uid) {
      throw conflict({ group: '', resource: resource.kind }, name, `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`);
    }
    return object;
  };
  if (kind === 'Pod') {
    const pod = found<coreV1.Pod>(PODS);
    const account = serviceAccount.metadata.name ?? '';
    if (account !== pod.spec?.serviceAccountName) throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`);
    const node = pod.spec.nodeName ? objects.get(NODES, '', pod.spec.nodeName) : undefined;
    // The node may be gone, or not be registered yet: then its name alone is known.
    const nodeRef = pod.spec.nodeName ? { node: node ? refOf(node) : { name: pod.spec.nodeName, uid: '' } } : {};
    return { pod: refOf(pod), ...nodeRef };
  }
  if (kind === 'Secret') return { secret: refOf(found(SECRETS)) };
  if (kind === 'Node') return { node: refOf(found(NODES)) };
  throw badRequest(`cannot bind token to object of type ${goGroupVersionKind(ref)}`);
}
function goGroupVersionKind(ref: authenticationV1.BoundObjectReference): string {
  return `${ref.apiVersion ?? ''}, Kind=${ref.kind ?? ''}`.replace(/^(?=[^/]*,)/, '/');
}

export class ServiceAccountTokenIssuer implements TokenIssuer {
  readonly #options: TokenIssuerOptions;
  constructor(options: TokenIssuerOptions) {
    this.#options = options;
  }
  async issue(request: TokenIssueRequest): Promise<KubeObject> {
    const { maxExpirationSeconds = 0, extendExpiration = true, clock, audiences: own } = this.#options;
    const asked = request.tokenRequest as authenticationV1.TokenRequest;
    const errors = validateTokenRequestSpec(asked.spec);
    if (errors.length) throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', errors);
    const bound = asked.spec.boundObjectRef ? boundObjects(asked.spec.boundObjectRef, request) : {};
    const audiences = asked.spec.audiences?.length ? asked.spec.audiences : own;
    let seconds = asked.spec.expirationSeconds ?? DEFAULT_SECONDS;
    if (maxExpirationSeconds > 0 && seconds > maxExpirationSeconds) {
      request.warn?.(`requested expiration of ${seconds} seconds shortened to ${maxExpirationSeconds} seconds`);
      seconds = maxExpirationSeconds;
    }
    const extended = extendExpiration && seconds === EXTENDED_REQUEST_SECONDS && bound.pod !== undefined && audiences.every((a) => own.includes(a));
    const lifetime = extended ? Math.max(seconds, maxExpirationSeconds > 0 ? Math.min(maxExpirationSeconds, EXTENDED_SECONDS) : EXTENDED_SECONDS) : seconds;
    const nowMs = clock.now();
    const id = randomUUID();
    request.annotate?.('authentication.kubernetes.io/issued-credential-id', `JTI=${id}`);
    const token = await this.#sign(id, request.serviceAccount, audiences, bound, Math.floor(nowMs / 1000), lifetime, extended ? seconds : undefined);
    return {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { ...asked.metadata, name: request.serviceAccount.metadata.name, namespace: request.serviceAccount.metadata.namespace, uid: request.serviceAccount.metadata.uid, creationTimestamp: rfc3339(nowMs) },
      spec: { ...asked.spec, audiences, expirationSeconds: seconds },
      status: { token, expirationTimestamp: rfc3339(nowMs + seconds * 1000) },
    } as KubeObject;
  }
  #sign(jti: string, account: KubeObject, audiences: readonly string[], bound: Bound, now: number, lifetime: number, warnAfter: number | undefined): Promise<string> {
    const namespace = account.metadata.namespace ?? '';
    const claims = {
      aud: [...audiences],
      exp: now + lifetime,
      iat: now,
      iss: this.#options.issuer,
      jti,
      'kubernetes.io': { namespace, ...bound, serviceaccount: refOf(account), ...(warnAfter === undefined ? {} : { warnafter: now + warnAfter }) },
      nbf: now,
      sub: serviceAccountUserName(namespace, account.metadata.name ?? ''),
    } satisfies TokenClaims;
    const { key } = this.#options;
    return new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey);
  }
}
