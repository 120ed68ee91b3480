/**
 * `AuthenticationConfiguration` of `apiserver.config.k8s.io/v1`: issuers of tokens, and who may come without any. Source: KEP-3331, the
 * Kubernetes page "Authenticating", "Using Authentication Configuration"; messages are upstream's.
 */
import { X509Certificate } from 'node:crypto';
import { DYN, mapOf, STRING } from '#cel/types.ts';
import { duplicate, fieldPath, invalidValue, required, toAggregate, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDomainPrefixedPath } from '#machinery/names.ts';
import { USER_INFO_TYPE } from '../admission/cel-types.ts';
import { ExpressionCompiler, type Expression } from '../configuration/expressions.ts';
import { readConfigurationObject, type ObjectReader } from '../configuration/object-reader.ts';

export interface JwtIssuer {
  /** `https://accounts.example.org`: the claim `iss`. */
  readonly url: string;
  /** Where the discovery document is, if not at its well-known place below {@link url}. */
  readonly discoveryUrl?: string | undefined;
  /** PEM of the issuer's authority; absent: the system's roots. */
  readonly certificateAuthority?: string | undefined;
  /** A token must name one of them. */
  readonly audiences: readonly string[];
}
export type ClaimMapping = { readonly claim: string; readonly prefix: string } | { readonly expression: Expression };
export type PlainMapping = { readonly claim: string } | { readonly expression: Expression };
export interface ValidationRule {
  readonly expression: Expression;
  readonly message: string;
}
export interface JwtAuthenticator {
  readonly issuer: JwtIssuer;
  readonly requiredClaims: ReadonlyMap<string, string>;
  readonly claimRules: readonly ValidationRule[];
  readonly username: ClaimMapping;
  readonly groups?: ClaimMapping | undefined;
  readonly uid?: PlainMapping | undefined;
  readonly extra: ReadonlyMap<string, Expression>;
  readonly userRules: readonly ValidationRule[];
}
export interface AuthenticationConfiguration {
  readonly jwt: readonly JwtAuthenticator[];
  /** false: nobody. Absent: everybody. Else at these paths. */
  readonly anonymous?: false | { readonly paths?: readonly string[] } | undefined;
}

const VERSIONS = ['apiserver.config.k8s.io/v1', 'apiserver.config.k8s.io/v1beta1'];
const MAX_ISSUERS = 64;
const CLAIMS = new ExpressionCompiler('claims', mapOf(STRING, DYN));
const USER = new ExpressionCompiler('user', USER_INFO_TYPE);
const BOTH = 'claim and expression can\'t both be set';
const UNVERIFIED_EMAIL = 'claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression';

/** `disallowedIssuers`: the API server's own, whose tokens are service accounts'. Throws an Error that names the fields. */
export function parseAuthenticationConfiguration(text: string, disallowedIssuers: readonly string[] = []): AuthenticationConfiguration {
  const errors: FieldError[] = [];
  const file = readConfigurationObject(text, 'AuthenticationConfiguration', VERSIONS, errors);
  const list = file.objects('jwt');
  if (list.length > MAX_ISSUERS) errors.push(tooMany(fieldPath('jwt'), list.length, MAX_ISSUERS));
  const jwt = list.slice(0, MAX_ISSUERS).map((reader) => parseAuthenticator(reader, disallowedIssuers));
  refuseTwice(jwt, errors);
  const anonymous = parseAnonymous(file.object('anonymous'));
  file.close();
  if (errors.length > 0) throw new Error(toAggregate(errors));
  return { jwt, ...(anonymous === undefined ? {} : { anonymous }) };
}
function refuseTwice(jwt: readonly JwtAuthenticator[], errors: FieldError[]): void {
  const seen = { url: new Set<string>(), discoveryURL: new Set<string>() };
  jwt.forEach(({ issuer }, i) => {
    for (const [name, value] of [['url', issuer.url], ['discoveryURL', issuer.discoveryUrl ?? '']] as const) {
      if (value !== '' && seen[name].has(value)) errors.push(duplicate(fieldPath('jwt').index(i).child('issuer', name), value));
      seen[name].add(value);
    }
  });
}
function parseAnonymous(reader: ObjectReader | undefined): AuthenticationConfiguration['anonymous'] {
  if (!reader) return undefined;
  const enabled = reader.boolean('enabled') ?? false;
  const paths = reader.objects('conditions').map((condition) => {
    const path = condition.string('path') ?? '';
    condition.close();
    return path;
  });
  reader.close();
  if (enabled) return paths.length > 0 ? { paths } : {};
  if (paths.length > 0) reader.errors.push(invalidValue(reader.at('conditions'), paths.map((path) => ({ Path: path })), 'enabled should be set to true when conditions are defined'));
  return false;
}

function parseAuthenticator(reader: ObjectReader, disallowed: readonly string[]): JwtAuthenticator {
  const { errors } = reader;
  const issuer = parseIssuer(reader.object('issuer'), reader.at('issuer'), disallowed, errors);
  const rules = parseClaimRules(reader.objects('claimValidationRules'), errors);
  const mappings = parseMappings(reader.object('claimMappings'), reader.at('claimMappings'), rules.claimRules, errors);
  const userRules = parseUserRules(reader.objects('userValidationRules'), errors);
  reader.close();
  return { issuer, ...rules, ...mappings, userRules };
}

function parseIssuer(reader: ObjectReader | undefined, path: FieldPath, disallowed: readonly string[], errors: FieldError[]): JwtIssuer {
  const url = reader?.string('url') ?? '';
  const discoveryUrl = reader?.string('discoveryURL') ?? '';
  const certificateAuthority = reader?.string('certificateAuthority') ?? '';
  const audiences = reader?.strings('audiences') ?? [];
  const policy = reader?.string('audienceMatchPolicy') ?? '';
  const egress = reader?.string('egressSelectorType') ?? '';
  reader?.close();
  if (url === '') errors.push(required(path.child('url')));
  else errors.push(...validateUrl(url, path.child('url'), disallowed));
  if (discoveryUrl !== '') errors.push(...validateDiscoveryUrl(url, discoveryUrl, path.child('discoveryURL')));
  errors.push(...validateAudiences(audiences, policy, path));
  if (certificateAuthority !== '' && !isCertificate(certificateAuthority)) errors.push(invalidValue(path.child('certificateAuthority'), '<omitted>', 'data does not contain any valid RSA or ECDSA certificates'));
  if (egress !== '') errors.push(invalidValue(path.child('egressSelectorType'), egress, 'egress selector is not supported when StructuredAuthenticationConfigurationEgressSelector feature gate is disabled'));
  return { url, audiences, ...(discoveryUrl === '' ? {} : { discoveryUrl }), ...(certificateAuthority === '' ? {} : { certificateAuthority }) };
}
function validateUrl(text: string, path: FieldPath, disallowed: readonly string[]): FieldError[] {
  const errors: FieldError[] = [];
  const bad = (detail: string): number => errors.push(invalidValue(path, text, detail));
  if (disallowed.includes(text)) bad(`URL must not overlap with disallowed issuers: [${disallowed.toSorted().join(' ')}]`);
  if (!URL.canParse(text)) {
    bad(text.includes('://') ? `parse ${JSON.stringify(text)}: invalid URL` : 'URL scheme must be https');
    return errors;
  }
  const url = new URL(text);
  if (url.protocol !== 'https:') bad('URL scheme must be https');
  if (url.username !== '' || url.password !== '') bad('URL must not contain a username or password');
  if (url.search !== '') bad('URL must not contain a query');
  if (url.hash !== '') bad('URL must not contain a fragment');
  return errors;
}
function validateDiscoveryUrl(url: string, discoveryUrl: string, path: FieldPath): FieldError[] {
  const bare = (text: string): string => text.replace(/\/+$/, '');
  const same = url !== '' && bare(url) === bare(discoveryUrl) ? [invalidValue(path, discoveryUrl, 'discoveryURL must be different from URL')] : [];
  return [...same, ...validateUrl(discoveryUrl, path, [])];
}
function validateAudiences(audiences: readonly string[], policy: string, path: FieldPath): FieldError[] {
  const at = path.child('audiences');
  if (audiences.length === 0) return [required(at, `at least one ${at} is required`)];
  const errors = audiences.flatMap((audience, i) => [
    ...(audience === '' ? [required(at.index(i))] : []),
    ...(audiences.indexOf(audience) < i ? [duplicate(at.index(i), audience)] : []),
  ]);
  const policyAt = path.child('audienceMatchPolicy');
  if (audiences.length > 1 && policy !== 'MatchAny') errors.push(invalidValue(policyAt, policy, 'audienceMatchPolicy must be MatchAny for multiple audiences'));
  if (audiences.length === 1 && policy !== '' && policy !== 'MatchAny') errors.push(invalidValue(policyAt, policy, 'audienceMatchPolicy must be empty or MatchAny for single audience'));
  return errors;
}
function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined;
  } catch {
    return false;
  }
}

function parseClaimRules(rules: readonly ObjectReader[], errors: FieldError[]): Pick<JwtAuthenticator, 'requiredClaims' | 'claimRules'> {
  const requiredClaims = new Map<string, string>();
  const claimRules: ValidationRule[] = [];
  const seen = new Set<string>();
  for (const rule of rules) {
    const [claim = '', value = '', source = '', message = ''] = [rule.string('claim'), rule.string('requiredValue'), rule.string('expression'), rule.string('message')];
    const path = rule.path!;
    rule.close();
    if (claim !== '' && source !== '') errors.push(invalidValue(path, claim, BOTH));
    else if (claim === '' && source === '') errors.push(required(path, 'claim or expression is required'));
    else if (claim !== '') {
      if (message !== '') errors.push(invalidValue(path.child('message'), message, 'may not be specified when claim is set'));
      if (requiredClaims.has(claim)) errors.push(duplicate(path.child('claim'), claim));
      requiredClaims.set(claim, value);
    } else {
      if (value !== '') errors.push(invalidValue(path.child('requiredValue'), value, 'may not be specified when expression is set'));
      if (seen.has(source)) errors.push(duplicate(path.child('expression'), source));
      else {
        seen.add(source);
        const expression = CLAIMS.compile(source, 'bool', path.child('expression'), errors);
        if (expression) claimRules.push({ expression, message });
      }
    }
  }
  return { requiredClaims, claimRules };
}
function parseUserRules(rules: readonly ObjectReader[], errors: FieldError[]): ValidationRule[] {
  const seen = new Set<string>();
  return rules.flatMap((rule) => {
    const [source = '', message = ''] = [rule.string('expression'), rule.string('message')];
    const path = rule.path!.child('expression');
    rule.close();
    if (source === '') errors.push(required(path));
    else if (seen.has(source)) errors.push(duplicate(path, source));
    else {
      seen.add(source);
      const expression = USER.compile(source, 'bool', path, errors);
      if (expression) return [{ expression, message }];
    }
    return [];
  });
}

function parseMappings(reader: ObjectReader | undefined, path: FieldPath, rules: readonly ValidationRule[], errors: FieldError[]): Pick<JwtAuthenticator, 'username' | 'groups' | 'uid' | 'extra'> {
  const username = parsePrefixed(reader?.object('username'), path.child('username'), errors);
  if (username === 'absent') errors.push(required(path.child('username'), 'claim or expression is required'));
  const groups = parsePrefixed(reader?.object('groups'), path.child('groups'), errors);
  const uid = parseUid(reader?.object('uid'), path.child('uid'), errors);
  const extra = parseExtra(reader?.objects('extra') ?? [], errors);
  reader?.close();
  const byEmail = typeof username === 'object' && 'expression' in username && username.expression.reads('email') ? username.expression : undefined;
  if (byEmail && ![byEmail, ...extra.values(), ...rules.map((r) => r.expression)].some((e) => e.reads('email_verified'))) {
    errors.push(invalidValue(path.child('username', 'expression'), byEmail.source, UNVERIFIED_EMAIL));
  }
  // What is wrong has been said: the rest is never used.
  const known = (mapping: ClaimMapping | 'absent' | 'wrong'): ClaimMapping | undefined => (typeof mapping === 'object' ? mapping : undefined);
  return { username: known(username) ?? { claim: 'sub', prefix: '' }, groups: known(groups), uid, extra };
}
function parsePrefixed(reader: ObjectReader | undefined, path: FieldPath, errors: FieldError[]): ClaimMapping | 'absent' | 'wrong' {
  const [claim = '', source = '', prefix] = [reader?.string('claim'), reader?.string('expression'), reader?.string('prefix')];
  reader?.close();
  if (claim === '' && source === '') return 'absent';
  if (claim !== '' && source !== '') {
    errors.push(invalidValue(path, '', BOTH));
    return 'wrong';
  }
  if (source !== '') {
    if (prefix !== undefined) errors.push(invalidValue(path.child('prefix'), prefix, 'may not be specified when expression is set'));
    const expression = CLAIMS.compile(source, 'any', path.child('expression'), errors);
    return expression ? { expression } : 'wrong';
  }
  if (prefix === undefined) errors.push(required(path.child('prefix'), 'prefix is required when claim is set. It can be set to an empty string to disable prefixing'));
  return { claim, prefix: prefix ?? '' };
}
function parseUid(reader: ObjectReader | undefined, path: FieldPath, errors: FieldError[]): PlainMapping | undefined {
  const [claim = '', source = ''] = [reader?.string('claim'), reader?.string('expression')];
  reader?.close();
  if (claim !== '' && source !== '') errors.push(invalidValue(path, '', BOTH));
  else if (claim !== '') return { claim };
  else if (source !== '') {
    const expression = CLAIMS.compile(source, 'any', path.child('expression'), errors);
    return expression && { expression };
  }
  return undefined;
}
function parseExtra(mappings: readonly ObjectReader[], errors: FieldError[]): ReadonlyMap<string, Expression> {
  const extra = new Map<string, Expression>();
  const seen = new Set<string>();
  for (const mapping of mappings) {
    const [key = '', source = ''] = [mapping.string('key'), mapping.string('valueExpression')];
    const [keyAt, sourceAt] = [mapping.at('key'), mapping.at('valueExpression')];
    mapping.close();
    errors.push(...isDomainPrefixedPath(keyAt, key));
    if (key !== key.toLowerCase()) errors.push(invalidValue(keyAt, key, 'must be lowercase'));
    if (/^(?:[^/]*\.)?(?:k8s|kubernetes)\.io\//.test(key)) errors.push(invalidValue(keyAt, key, 'k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use'));
    if (seen.has(key)) errors.push(duplicate(keyAt, key));
    else if (source === '') errors.push(required(sourceAt));
    else {
      const expression = CLAIMS.compile(source, 'any', sourceAt, errors);
      if (expression) extra.set(key, expression);
    }
    seen.add(key);
  }
  return extra;
}
