/** Bootstrap tokens as they are stored. Source: reference/access-authn-authz/bootstrap-tokens. */
import { createHmac } from 'node:crypto';
import type { Secret } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';

export const TOKEN_TYPE = 'bootstrap.kubernetes.io/token';
const PREFIX = 'bootstrap-token-';

export function dataOf(secret: Secret, key: string): string {
  return Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
}
/** When the token ends, in ms since the epoch: undefined for never, 0 for a time that cannot be read. */
export function expiryOf(secret: Secret): number | undefined {
  const text = dataOf(secret, 'expiration');
  return text === '' ? undefined : Date.parse(text) || 0;
}
/** ID and secret of a token that may sign the cluster's information now. */
export function signingToken(secret: Secret, now: number): { readonly id: string; readonly secret: string } | undefined {
  const [id, key] = [dataOf(secret, 'token-id'), dataOf(secret, 'token-secret')];
  const named = nameOf(secret) === PREFIX + id && /^[a-z0-9]{6}$/.test(id) && key !== '';
  return named && (expiryOf(secret) ?? Infinity) > now && dataOf(secret, 'usage-bootstrap-signing') === 'true' ? { id, secret: key } : undefined;
}
/** A JWS over the text with the text itself left out (RFC 7515, appendix F). */
export function detachedSignature(text: string, token: { readonly id: string; readonly secret: string }): string {
  const encode = (value: string): string => Buffer.from(value).toString('base64url');
  const header = encode(JSON.stringify({ alg: 'HS256', kid: token.id }));
  return `${header}..${createHmac('sha256', token.secret).update(`${header}.${encode(text)}`).digest('base64url')}`;
}
