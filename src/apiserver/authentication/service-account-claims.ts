/** The claims of a bound service-account token, and the check that what they name still exists. Source: KEP-1205, KEP-2799, KEP-4193. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import type { KubeObject } from '#api/object.ts';
import type { ObjectReader, UserInfo } from '../interfaces.ts';
import { EXTRA, serviceAccountGroups, serviceAccountUserName } from './users.ts';

const SERVICE_ACCOUNTS = resourceOf('', 'v1', 'serviceaccounts');
const PODS = resourceOf('', 'v1', 'pods');
const SECRETS = resourceOf('', 'v1', 'secrets');
const NODES = resourceOf('', 'v1', 'nodes');
/** An object on its way out keeps its tokens for this long, so that it can still say goodbye. */
const DELETION_LEEWAY_MS = 60_000;
/** Clocks may differ by this much when a token begins or ends. */
const CLOCK_LEEWAY_S = 0;

export interface ObjectRef {
  readonly name: string;
  readonly uid: string;
}
export interface KubernetesClaims {
  readonly namespace: string;
  readonly serviceaccount: ObjectRef;
  readonly pod?: ObjectRef | undefined;
  readonly secret?: ObjectRef | undefined;
  readonly node?: ObjectRef | undefined;
  /** Seconds since the epoch after which the token should have been renewed, though it is still taken. */
  readonly warnafter?: number | undefined;
}
export interface TokenClaims {
  readonly iss: string;
  readonly sub: string;
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly nbf: number;
  readonly jti?: string | undefined;
  readonly 'kubernetes.io': KubernetesClaims;
}

const INVALIDATED = 'service account token has been invalidated';

function isRef(value: unknown): value is ObjectRef {
  const ref = value as ObjectRef | undefined;
  return typeof ref === 'object' && ref !== null && typeof ref.name === 'string' && typeof ref.uid === 'string';
}
/** Reads the payload of a token whose signature holds. Throws for payloads of another shape. */
export function parseClaims(payload: unknown): TokenClaims {
  const claims = payload as Partial<TokenClaims> & { readonly aud?: unknown };
  const aud = typeof claims.aud === 'string' ? [claims.aud] : claims.aud;
  const own = claims['kubernetes.io'];
  const shaped = typeof claims.iss === 'string' && typeof claims.sub === 'string' && typeof claims.exp === 'number' && Array.isArray(aud) && aud.every((a) => typeof a === 'string')
    && typeof own === 'object' && own !== null && typeof own.namespace === 'string' && isRef(own.serviceaccount)
    && [own.pod, own.secret, own.node].every((ref) => ref === undefined || ref === null || isRef(ref));
  if (!shaped) throw new Error('service account token claims could not be validated due to unexpected private claim');
  return { ...(claims as TokenClaims), aud: aud as string[], nbf: claims.nbf ?? 0, iat: claims.iat ?? 0 };
}

function mustLive(object: KubeObject | undefined, ref: ObjectRef, nowMs: number, mismatch: (uid: string) => string): void {
  const deleted = object?.metadata.deletionTimestamp;
  if (!object || (deleted !== undefined && Date.parse(deleted) < nowMs - DELETION_LEEWAY_MS)) throw new Error(INVALIDATED);
  if (object.metadata.uid !== ref.uid) throw new Error(mismatch(object.metadata.uid ?? ''));
}

/** Checks times and every object that the claims name; returns the user. Throws with upstream's reason. */
export function userOfClaims(claims: TokenClaims, reader: ObjectReader, nowMs: number): UserInfo {
  const now = nowMs / 1000;
  if (now > claims.exp + CLOCK_LEEWAY_S) throw new Error('service account token has expired');
  if (now < claims.nbf - CLOCK_LEEWAY_S) throw new Error('service account token is not valid yet');
  const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io'];
  if (claims.sub !== serviceAccountUserName(namespace, serviceaccount.name)) throw new Error('service account token claims could not be validated due to unexpected private claim');
  const find = (resource: ResourceInfo, ref: ObjectRef): KubeObject | undefined => reader.get(resource, resource.namespaced ? namespace : '', ref.name);
  const account = find(SERVICE_ACCOUNTS, serviceaccount);
  if (!account) throw new Error(`serviceaccounts "${serviceaccount.name}" not found`);
  mustLive(account, serviceaccount, nowMs, (uid) => `service account UID (${uid}) does not match claim (${serviceaccount.uid})`);
  if (secret) mustLive(find(SECRETS, secret), secret, nowMs, (uid) => `secret UID (${uid}) does not match service account secret ref claim (${secret.uid})`);
  if (pod) mustLive(find(PODS, pod), pod, nowMs, (uid) => `pod UID (${uid}) does not match service account pod ref claim (${pod.uid})`);
  // A pod's token names its node for information only; a token bound to a node lives and dies with it.
  if (node && !pod) mustLive(find(NODES, node), node, nowMs, (uid) => `node UID (${uid}) does not match service account node ref claim (${node.uid})`);
  return { name: claims.sub, uid: serviceaccount.uid, groups: serviceAccountGroups(namespace), extra: extraOfClaims(claims) };
}
function extraOfClaims(claims: TokenClaims): Record<string, readonly string[]> {
  const { pod, node } = claims['kubernetes.io'];
  return {
    ...(claims.jti ? { [EXTRA.credentialId]: [`JTI=${claims.jti}`] } : {}),
    ...(pod ? { [EXTRA.podName]: [pod.name], [EXTRA.podUid]: [pod.uid] } : {}),
    ...(node ? { [EXTRA.nodeName]: [node.name], ...(node.uid ? { [EXTRA.nodeUid]: [node.uid] } : {}) } : {}),
  };
}

/** Claims of the tokens that secrets of type `kubernetes.io/service-account-token` hold: without end, and without audiences. */
export interface LegacyClaims {
  readonly sub: string;
  readonly 'kubernetes.io/serviceaccount/namespace': string;
  readonly 'kubernetes.io/serviceaccount/service-account.name': string;
  readonly 'kubernetes.io/serviceaccount/service-account.uid': string;
  readonly 'kubernetes.io/serviceaccount/secret.name': string;
}
export const LEGACY_ISSUER = 'kubernetes/serviceaccount';
const INVALID_SINCE = 'kubernetes.io/legacy-token-invalid-since';

/** Whom a token of a secret stands for. */
export interface LegacyUser {
  readonly user: UserInfo;
  readonly account: coreV1.ServiceAccount;
  readonly secretName: string;
}
/** Calls `used` with the secret of a token that is genuine, whether or not it still counts. */
export function userOfLegacyClaims(claims: Partial<LegacyClaims>, token: string, reader: ObjectReader, used?: (secret: coreV1.Secret) => void): LegacyUser {
  const namespace = claims['kubernetes.io/serviceaccount/namespace'] ?? '';
  const name = claims['kubernetes.io/serviceaccount/service-account.name'] ?? '';
  const uid = claims['kubernetes.io/serviceaccount/service-account.uid'] ?? '';
  const secretName = claims['kubernetes.io/serviceaccount/secret.name'] ?? '';
  if (namespace === '' || name === '' || uid === '') throw new Error('service account token claims could not be validated due to unexpected private claim');
  if (secretName === '') throw new Error('secretName claim is missing');
  if (claims.sub !== serviceAccountUserName(namespace, name)) throw new Error('sub claim is invalid');
  const secret = reader.get<coreV1.Secret>(SECRETS, namespace, secretName);
  if (!secret || secret.metadata.deletionTimestamp) throw new Error('Token has been invalidated');
  if (Buffer.from(secret.data?.['token'] ?? '', 'base64').toString('utf8') !== token) throw new Error(`Token does not match server's copy`);
  const account = reader.get<coreV1.ServiceAccount>(SERVICE_ACCOUNTS, namespace, name);
  if (!account) throw new Error(`serviceaccounts "${name}" not found`);
  if (account.metadata.deletionTimestamp) throw new Error(`ServiceAccount ${namespace}/${name} has been deleted`);
  if (account.metadata.uid !== uid) throw new Error(`ServiceAccount UID (${account.metadata.uid ?? ''}) does not match claim (${uid})`);
  used?.(secret);
  if (secret.metadata.labels?.[INVALID_SINCE]) {
    throw new Error(`the token in secret ${namespace}/${secretName} for service account ${namespace}/${name} has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '${INVALID_SINCE}' label from the secret to temporarily allow use of this token`);
  }
  return { user: { name: serviceAccountUserName(namespace, name), uid, groups: serviceAccountGroups(namespace) }, account, secretName };
}
