import 'reflect-metadata';
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { userOfClaims } from './claim-mapping.ts';
import { AuthenticationFile } from './configured.ts';
import { parseAuthenticationConfiguration } from './jwt-configuration.ts';
import { fakeRequest } from './testing/fakes.ts';
import { TestIssuer } from './testing/issuer.ts';

const OWN = 'https://kubernetes.default.svc.cluster.local';
const issuer = { url: 'https://idp.example.org', audiences: ['podyard'] };
const claimMappings = { username: { claim: 'sub', prefix: '' } };
const file = (more: object): string => JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration', ...more });
const jwt = (over: object): string => file({ jwt: [{ issuer, claimMappings, ...over }] });
const withIssuer = (over: object): string => jwt({ issuer: { ...issuer, ...over } });
const withMappings = (over: object): string => jwt({ claimMappings: { ...claimMappings, ...over } });

describe('parseAuthenticationConfiguration', () => {
  const WRONG: readonly (readonly [string, string])[] = [
    ['a: [', 'yaml: '],
    ['{"apiVersion":"v1","kind":"AuthenticationConfiguration"}', 'no kind "AuthenticationConfiguration" is registered for version "v1"'],
    [file({ jwts: [] }), 'jwts: Invalid value: "": unknown field "jwts"'],
    [withIssuer({ url: '' }), 'jwt[0].issuer.url: Required value'],
    [withIssuer({ url: 'http://x' }), 'jwt[0].issuer.url: Invalid value: "http://x": URL scheme must be https'],
    [withIssuer({ url: 'https://a:b@x' }), 'URL must not contain a username or password'],
    [withIssuer({ url: 'https://x?a=b' }), 'URL must not contain a query'],
    [withIssuer({ url: 'https://x#a' }), 'URL must not contain a fragment'],
    [withIssuer({ url: OWN }), `jwt[0].issuer.url: Invalid value: "${OWN}": URL must not overlap with disallowed issuers: [${OWN}]`],
    [withIssuer({ discoveryURL: 'https://idp.example.org/' }), 'jwt[0].issuer.discoveryURL: Invalid value: "https://idp.example.org/": discoveryURL must be different from URL'],
    [withIssuer({ audiences: [] }), 'jwt[0].issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required'],
    [withIssuer({ audiences: ['a', 'a'] }), 'jwt[0].issuer.audiences[1]: Duplicate value: "a"'],
    [withIssuer({ audiences: ['a', 'b'] }), 'jwt[0].issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple audiences'],
    [withIssuer({ audienceMatchPolicy: 'All' }), 'audienceMatchPolicy must be empty or MatchAny for single audience'],
    [withIssuer({ certificateAuthority: 'x' }), 'jwt[0].issuer.certificateAuthority: Invalid value: "<omitted>": data does not contain any valid RSA or ECDSA certificates'],
    [file({ jwt: [{ issuer, claimMappings }, { issuer, claimMappings }] }), 'jwt[1].issuer.url: Duplicate value: "https://idp.example.org"'],
    [jwt({ claimMappings: {} }), 'jwt[0].claimMappings.username: Required value: claim or expression is required'],
    [withMappings({ username: { claim: 'sub' } }), 'jwt[0].claimMappings.username.prefix: Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing'],
    [withMappings({ username: { claim: 'sub', expression: 'claims.sub', prefix: '' } }), 'jwt[0].claimMappings.username: Invalid value: "": claim and expression can\'t both be set'],
    [withMappings({ username: { expression: 'claims.sub', prefix: 'x' } }), 'jwt[0].claimMappings.username.prefix: Invalid value: "x": may not be specified when expression is set'],
    [withMappings({ username: { expression: 'claims.sub +' } }), 'jwt[0].claimMappings.username.expression: Invalid value: "claims.sub +": compilation failed: ERROR: <input>:1:'],
    [withMappings({ username: { expression: 'claims.email' } }), 'claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used'],
    [withMappings({ uid: { claim: 'a', expression: 'b' } }), 'jwt[0].claimMappings.uid: Invalid value: "": claim and expression can\'t both be set'],
    [withMappings({ extra: [{ key: 'foo', valueExpression: 'claims.a' }] }), 'jwt[0].claimMappings.extra[0].key: Invalid value: "foo": must be a domain-prefixed path'],
    [withMappings({ extra: [{ key: 'Example.org/a', valueExpression: 'claims.a' }] }), 'must be lowercase'],
    [withMappings({ extra: [{ key: 'x.k8s.io/a', valueExpression: 'claims.a' }] }), 'k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use'],
    [withMappings({ extra: [{ key: 'example.org/a' }] }), 'jwt[0].claimMappings.extra[0].valueExpression: Required value'],
    [jwt({ claimValidationRules: [{}] }), 'jwt[0].claimValidationRules[0]: Required value: claim or expression is required'],
    [jwt({ claimValidationRules: [{ claim: 'a', message: 'm' }] }), 'claimValidationRules[0].message: Invalid value: "m": may not be specified when claim is set'],
    [jwt({ claimValidationRules: [{ expression: 'claims.a' }] }), 'claimValidationRules[0].expression: Invalid value: "claims.a": must evaluate to bool'],
    [jwt({ claimValidationRules: [{ expression: 'true' }, { expression: 'true' }] }), 'claimValidationRules[1].expression: Duplicate value: "true"'],
    [jwt({ userValidationRules: [{ expression: 'user.name == ""' }] }), 'userValidationRules[0].expression: Invalid value: "user.name == \\"\\"": compilation failed: ERROR: <input>:1:5: undefined field \'name\''],
    [file({ anonymous: { enabled: false, conditions: [{ path: '/livez' }] } }), 'anonymous.conditions: Invalid value: [{"Path":"/livez"}]: enabled should be set to true when conditions are defined'],
  ];
  for (const [text, message] of WRONG) it(`refuses with: ${message}`, () => assert.throws(() => parseAuthenticationConfiguration(text, [OWN]), (err: Error) => err.message.includes(message) || assert.fail(err.message)));
  it('takes a file without issuers, and email with its check', () => {
    assert.deepEqual(parseAuthenticationConfiguration(file({})), { jwt: [] });
    for (const extra of [{ username: { expression: 'claims.?email_verified.orValue(true) == true ? claims.email : ""' } }]) assert.equal(parseAuthenticationConfiguration(withMappings(extra)).jwt.length, 1);
    const checked = { claimMappings: { username: { expression: 'claims.email' } }, claimValidationRules: [{ expression: 'claims.email_verified == true' }] };
    assert.equal(parseAuthenticationConfiguration(jwt(checked)).jwt.length, 1);
  });
});

describe('userOfClaims', () => {
  const userOf = (over: object, claims: Record<string, unknown>) => userOfClaims(claims, parseAuthenticationConfiguration(jwt(over)).jwt[0]!);
  it('maps by claims and by expressions, and drops what is empty', () => {
    assert.deepEqual(userOf({ claimMappings: { username: { claim: 'sub', prefix: 'idp:' }, groups: { claim: 'roles', prefix: 'g:' }, uid: { claim: 'id' } } }, { sub: 'u', roles: 'one', id: '7' }), { name: 'idp:u', groups: ['g:one'], uid: '7' });
    const claimMappings = {
      username: { expression: 'claims.sub + ":external-user"' }, groups: { expression: 'claims.roles.split(",")' }, uid: { expression: 'claims.sub' },
      extra: [{ key: 'example.org/tenant', valueExpression: 'claims.tenant' }, { key: 'example.org/none', valueExpression: '""' }, { key: 'example.org/admin', valueExpression: 'has(claims.admin) && claims.admin ? "yes" : "no"' }],
    };
    assert.deepEqual(userOf({ claimMappings }, { sub: 'u', roles: 'a,,b', tenant: ['t1', 't2'], admin: true }), {
      name: 'u:external-user', groups: ['a', 'b'], uid: 'u', extra: { 'example.org/tenant': ['t1', 't2'], 'example.org/admin': ['yes'] },
    });
  });
  const REFUSED: readonly (readonly [object, Record<string, unknown>, string])[] = [
    [{}, {}, 'oidc: parse username claims "sub": claim not present'],
    [{ claimMappings: { username: { claim: 'email', prefix: '' } } }, { email: 'a@b', email_verified: false }, 'oidc: email not verified'],
    [{ claimMappings: { username: { expression: 'claims.n' } } }, { n: 5 }, 'oidc: error evaluating username claim expression: username claim expression must return a string'],
    [{ claimMappings: { username: { expression: 'claims.n' } } }, {}, 'oidc: error evaluating username claim expression: expression \'claims.n\' resulted in error: no such key: n'],
    [{ claimMappings: { ...claimMappings, groups: { expression: 'claims.sub == "u"' } } }, { sub: 'u' }, 'oidc: error evaluating group claim expression: expression must return a string or a list of strings'],
    [{ claimValidationRules: [{ claim: 'hd', requiredValue: 'x' }] }, { sub: 'u' }, 'oidc: required claim hd not present in ID token'],
    [{ claimValidationRules: [{ claim: 'hd', requiredValue: 'x' }] }, { sub: 'u', hd: 'y' }, 'oidc: required claim hd value does not match. Got = y, want = x'],
    [{ claimValidationRules: [{ expression: 'claims.exp - claims.nbf <= 86400', message: 'total token lifetime must not exceed 24 hours' }] }, { sub: 'u', exp: 200_000, nbf: 0 }, 'oidc: error evaluating claim validation expression: validation expression \'claims.exp - claims.nbf <= 86400\' failed: total token lifetime must not exceed 24 hours'],
    [{ userValidationRules: [{ expression: "!user.username.startsWith('system:')", message: 'username cannot used reserved system: prefix' }] }, { sub: 'system:x' }, "oidc: error evaluating user info validation rule: validation expression '!user.username.startsWith('system:')' failed: username cannot used reserved system: prefix"],
    [{ userValidationRules: [{ expression: "user.groups.all(g, g != 'x')", message: 'no' }], claimMappings: { ...claimMappings, groups: { claim: 'g', prefix: '' } } }, { sub: 'u', g: ['x'] }, "failed: no"],
  ];
  for (const [over, claims, message] of REFUSED) it(`refuses with: ${message}`, () => assert.throws(() => userOf(over, claims), (err: Error) => err.message.endsWith(message) || assert.fail(err.message)));
});

describe('AuthenticationFile', () => {
  let dir: string;
  let idp: TestIssuer;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'podyard-authn-'));
    idp = await TestIssuer.start(systemClock.now());
  });
  after(async () => {
    await idp.close();
    await rm(dir, { recursive: true, force: true });
  });
  it('takes another issuer when the file changes, and keeps the old ones when it cannot be used', async () => {
    const path = join(dir, 'authentication.yaml');
    const write = async (text: string): Promise<void> => {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
    };
    assert.equal(await AuthenticationFile.open({ path, clock: systemClock, disallowedIssuers: [OWN] }), undefined);
    await write('{}');
    await assert.rejects(AuthenticationFile.open({ path, clock: systemClock, disallowedIssuers: [OWN] }), /failed to load authentication configuration from file/);
    await write(file({ anonymous: { enabled: true, conditions: [{ path: '/livez' }] } }));
    const opened = (await AuthenticationFile.open({ path, clock: systemClock, disallowedIssuers: [OWN] }))!;
    opened.start();
    const metric = async (wanted: RegExp): Promise<void> => {
      for (let i = 0; i < 400 && !wanted.test(opened.metricsText()); i++) await new Promise((resolve) => setTimeout(resolve, 25));
      assert.match(opened.metricsText(), wanted);
    };
    const { signal } = new AbortController();
    try {
      const token = await idp.token({ sub: 'ann', aud: 'podyard' }, systemClock.now());
      assert.equal(await opened.tokens.authenticateToken(token, [], signal), undefined);
      assert.ok(opened.anonymous.authenticate(fakeRequest({}, { path: '/livez' }), signal));
      assert.equal(opened.anonymous.authenticate(fakeRequest({}, { path: '/api' }), signal), undefined);
      await write(file({ jwt: [{ issuer: { url: idp.url, audiences: ['podyard'], certificateAuthority: idp.ca }, claimMappings }], anonymous: { enabled: false } }));
      await metric(/apiserver_authentication_config_controller_automatic_reloads_total\{status="success"\} 1\n/);
      assert.deepEqual(idp.fetched, ['/.well-known/openid-configuration', '/keys']);
      assert.equal((await opened.tokens.authenticateToken(token, [], signal))!.user.name, 'ann');
      assert.equal(opened.anonymous.authenticate(fakeRequest({}, { path: '/livez' }), signal), undefined);
      await assert.rejects(async () => opened.tokens.authenticateToken(await idp.token({ sub: 'ann', aud: ['x', 'y'] }, systemClock.now()), [], signal), { message: 'oidc: verify token: oidc: expected audience in ["podyard"] got ["x" "y"]' });
      await write(file({ jwt: [{ issuer: { url: 'https://127.0.0.1:1', audiences: ['a'] }, claimMappings }] }));
      await metric(/reloads_total\{status="failure"\} 1\n/);
      assert.equal((await opened.tokens.authenticateToken(token, [], signal))!.user.name, 'ann');
    } finally {
      await opened.stop();
    }
  });
});
