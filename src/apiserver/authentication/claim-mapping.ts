/** From the claims of a verified token to a user, by claims or CEL expressions. Messages are upstream's; the order of the checks too. */
import type { JWTPayload } from 'jose';
import type { UserInfo } from '../interfaces.ts';
import type { JwtAuthenticator, ValidationRule } from './jwt-configuration.ts';

/** Throws when the claims do not make a user, or a rule refuses them. */
export function userOfClaims(claims: JWTPayload, authenticator: JwtAuthenticator): UserInfo {
  const name = usernameOf(claims, authenticator);
  const groups = groupsOf(claims, authenticator);
  const uid = uidOf(claims, authenticator);
  const extra = extraOf(claims, authenticator);
  checkRequiredClaims(claims, authenticator.requiredClaims);
  checkRules(authenticator.claimRules, claims, 'oidc: error evaluating claim validation expression: ');
  checkRules(authenticator.userRules, { username: name, uid, groups, extra }, 'oidc: error evaluating user info validation rule: ');
  return { name, groups, ...(uid === '' ? {} : { uid }), ...(Object.keys(extra).length > 0 ? { extra } : {}) };
}

/** Evaluates with `where` before the message of a failure. */
function within<T>(where: string, evaluate: () => T): T {
  try {
    return evaluate();
  } catch (err) {
    throw new Error(`${where}${(err as Error).message}`, { cause: err });
  }
}
function stringClaim(claims: JWTPayload, name: string, what: string): string {
  const value = claims[name];
  if (value === undefined) throw new Error(`oidc: parse ${what} "${name}": claim not present`);
  if (typeof value !== 'string') throw new Error(`oidc: parse ${what} "${name}": json: cannot unmarshal ${goKind(value)} into Go value of type string`);
  return value;
}
function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function usernameOf(claims: JWTPayload, { username }: JwtAuthenticator): string {
  if ('expression' in username) return within('oidc: error evaluating username claim expression: ', () => stringResult(username.expression.evaluate(claims), 'username'));
  const name = stringClaim(claims, username.claim, 'username claims');
  const verified = claims['email_verified'];
  if (username.claim === 'email' && verified !== undefined) {
    if (typeof verified !== 'boolean') throw new Error(`oidc: parse 'email_verified' claim: json: cannot unmarshal ${goKind(verified)} into Go value of type bool`);
    if (!verified) throw new Error('oidc: email not verified');
  }
  return `${username.prefix}${name}`;
}
function stringResult(value: unknown, what: string): string {
  if (typeof value !== 'string') throw new Error(`${what} claim expression must return a string`);
  return value;
}
function groupsOf(claims: JWTPayload, { groups }: JwtAuthenticator): string[] {
  if (!groups) return [];
  if ('expression' in groups) return within('oidc: error evaluating group claim expression: ', () => stringList(groups.expression.evaluate(claims)));
  const value = claims[groups.claim];
  if (value === undefined) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((group) => {
    if (typeof group !== 'string') throw new Error(`oidc: parse groups claim "${groups.claim}": json: cannot unmarshal ${goKind(value)} into Go value of type string`);
    return `${groups.prefix}${group}`;
  });
}
function uidOf(claims: JWTPayload, { uid }: JwtAuthenticator): string {
  if (!uid) return '';
  if ('claim' in uid) return stringClaim(claims, uid.claim, 'uid claim');
  return within('oidc: error evaluating uid claim expression: ', () => stringResult(uid.expression.evaluate(claims), 'uid'));
}
function extraOf(claims: JWTPayload, { extra }: JwtAuthenticator): Record<string, string[]> {
  const made: Record<string, string[]> = {};
  for (const [key, expression] of extra) {
    const value = within('', () => expression.evaluate(claims));
    const values = within(`oidc: error evaluating extra claim expression: ${expression.source}: `, () => stringList(value));
    if (values.length > 0) made[key] = values;
  }
  return made;
}
/** A text or a list of them; what is empty counts as absent. */
function stringList(value: unknown): string[] {
  if (value === null) return [];
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.flatMap((item) => {
    if (typeof item !== 'string') throw new Error('expression must return a string or a list of strings');
    return item === '' ? [] : [item];
  });
}

function checkRequiredClaims(claims: JWTPayload, wanted: ReadonlyMap<string, string>): void {
  for (const [name, value] of wanted) {
    const found = claims[name];
    if (found === undefined) throw new Error(`oidc: required claim ${name} not present in ID token`);
    if (typeof found !== 'string') throw new Error(`oidc: parse claim ${name}: json: cannot unmarshal ${goKind(found)} into Go value of type string`);
    if (found !== value) throw new Error(`oidc: required claim ${name} value does not match. Got = ${found}, want = ${value}`);
  }
}
function checkRules(rules: readonly ValidationRule[], value: unknown, where: string): void {
  for (const { expression, message } of rules) {
    if (within(where, () => expression.evaluate(value)) !== true) throw new Error(`${where}validation expression '${expression.source}' failed: ${message}`);
  }
}
