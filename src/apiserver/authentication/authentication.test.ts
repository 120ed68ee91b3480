import 'reflect-metadata';
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { ExtendedKeyUsage } from '@peculiar/x509';
import { decodeJwt, SignJWT } from 'jose';
import type { KubeObject } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { StatusError } from '#machinery/status-error.ts';
import type { AuthenticationRequest, AuthenticationResult, MaybePromise, RequestInfo, UserInfo } from '../interfaces.ts';
import { createAuthentication, DEFAULT_ISSUER, type Authentication } from './authentication.ts';
import { parseAuthenticationConfiguration } from './jwt-configuration.ts';
import { OidcAuthenticator } from './oidc.ts';
import { signingKey } from './service-account-keys.ts';
import { FakeReader, fakeRequest, testAuthority, testLeaf, testSigningKey, type TestAuthority } from './testing/fakes.ts';
import { parseTokenFile } from './token-file.ts';
import { reviewToken } from './token-review.ts';
import { HeaderImpersonator } from './impersonation.ts';

const signal = new AbortController().signal;
const DAY = 86_400_000;
const meta = (name: string, uid: string, namespace = 'default') => ({ name, uid, ...(namespace ? { namespace } : {}) });
const account: KubeObject = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta('web', 'sa-1') };
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: meta('p', 'pod-1'), spec: { serviceAccountName: 'web', nodeName: 'n1', containers: [] } };
const node: KubeObject = { apiVersion: 'v1', kind: 'Node', metadata: meta('n1', 'node-1', '') };

async function refused(answer: MaybePromise<unknown> | (() => MaybePromise<unknown>)): Promise<StatusError> {
  try {
    await (typeof answer === 'function' ? answer() : answer);
  } catch (err) {
    assert.ok(err instanceof StatusError, String(err));
    return err;
  }
  throw new assert.AssertionError({ message: 'expected a refusal' });
}

describe('the request authenticator', () => {
  const clock = new FakeClock();
  const key = testSigningKey();
  let ca: TestAuthority;
  let proxyCa: TestAuthority;
  let reader: FakeReader;
  let auth: Authentication;
  before(async () => {
    [ca, proxyCa] = await Promise.all([testAuthority('ca', clock.now()), testAuthority('proxy', clock.now())]);
    reader = new FakeReader(account, pod as KubeObject, node);
    auth = createAuthentication({
      reader, clock, clientCa: ca.cert, requestHeader: { authorities: proxyCa.cert, allowedNames: ['front'] }, serviceAccounts: { signingKey: key },
      tokenFile: 'tok,alice,u1,"dev,ops"\nplain,bob,u2\n',
    });
  });
  const who = async (request: AuthenticationRequest): Promise<UserInfo> => (await auth.authenticator.authenticate(request, signal))!.user;
  const withCert = async (authority: TestAuthority, options: Partial<Parameters<typeof testLeaf>[1]> = {}): Promise<X509Certificate> =>
    new X509Certificate((await testLeaf(authority, { subject: [{ O: ['g1'] }, { O: ['g2'] }, { CN: ['jane'] }], from: clock.now() - DAY, to: clock.now() + DAY, usage: ExtendedKeyUsage.clientAuth, ...options })).cert);

  it('takes CN and O of a client certificate as user and groups', async () => {
    const user = await who(fakeRequest({}, { peerCertificate: await withCert(ca) }));
    assert.equal(user.name, 'jane');
    assert.deepEqual(user.groups, ['g1', 'g2', 'system:authenticated']);
    assert.match(user.extra!['authentication.kubernetes.io/credential-id']![0]!, /^X509SHA256=[0-9a-f]{64}$/);
  });
  it('refuses certificates that are expired, of strangers, or for servers, with the bare word', async () => {
    for (const cert of [await withCert(ca, { to: clock.now() - 1 }), await withCert(ca, { from: clock.now() + DAY / 2 }), await withCert(await testAuthority('ca', clock.now())), await withCert(ca, { usage: ExtendedKeyUsage.serverAuth })]) {
      const err = await refused(() => auth.authenticator.authenticate(fakeRequest({}, { peerCertificate: cert }), signal));
      assert.equal(err.message, 'Unauthorized');
      assert.equal(err.code, 401);
    }
  });
  it('judges a remembered certificate by the clock again', async () => {
    const peerCertificate = await withCert(ca, { to: clock.now() + 2000 });
    assert.equal((await who(fakeRequest({}, { peerCertificate }))).name, 'jane');
    await clock.advance(3000);
    await refused(() => auth.authenticator.authenticate(fakeRequest({}, { peerCertificate }), signal));
  });
  it('believes the front proxy, and nobody else, in headers', async () => {
    const headers = { 'x-remote-user': 'carol', 'x-remote-group': ['a', 'b'], 'x-remote-extra-scopes%2fx': ['s'], 'x-remote-uid': '7' };
    const front = await withCert(proxyCa, { subject: [{ CN: ['front'] }] });
    assert.deepEqual(await who(fakeRequest(headers, { peerCertificate: front })), { name: 'carol', uid: '7', groups: ['a', 'b', 'system:authenticated'], extra: { 'scopes/x': ['s'] } });
    assert.equal((await who(fakeRequest(headers))).name, 'system:anonymous');
    assert.equal((await who(fakeRequest(headers, { peerCertificate: await withCert(ca) }))).name, 'jane');
    const other = await withCert(proxyCa, { subject: [{ CN: ['other'] }] });
    await refused(() => auth.authenticator.authenticate(fakeRequest(headers, { peerCertificate: other }), signal));
  });
  it('knows the tokens of the token file and refuses unknown ones', async () => {
    assert.deepEqual(await who(fakeRequest({ authorization: 'Bearer tok' })), { name: 'alice', uid: 'u1', groups: ['dev', 'ops', 'system:authenticated'] });
    assert.equal((await who(fakeRequest({ authorization: 'bearer plain' }))).name, 'bob');
    assert.equal((await refused(() => auth.authenticator.authenticate(fakeRequest({ authorization: 'Bearer nope' }), signal))).code, 401);
  });
  it('takes the token of a WebSocket subprotocol', async () => {
    const protocol = `base64url.bearer.authorization.k8s.io.${Buffer.from('tok').toString('base64url')}`;
    assert.equal((await who(fakeRequest({ upgrade: 'websocket', 'sec-websocket-protocol': ['v4.channel.k8s.io', protocol] }))).name, 'alice');
    assert.equal((await who(fakeRequest({ 'sec-websocket-protocol': [protocol] }))).name, 'system:anonymous');
  });
  it('takes requests without credentials as anonymous, without system:authenticated', async () => {
    assert.deepEqual(await who(fakeRequest()), { name: 'system:anonymous', groups: ['system:unauthenticated'] });
    const closed = createAuthentication({ reader, clock, serviceAccounts: { signingKey: key }, anonymous: { paths: ['/healthz'] } });
    assert.equal((await refused(() => closed.authenticator.authenticate(fakeRequest(), signal))).message, 'Unauthorized');
    assert.ok(await closed.authenticator.authenticate(fakeRequest({}, { path: '/healthz?verbose' }), signal));
  });
  it('takes bootstrap tokens while their secret allows it', async () => {
    const data = { 'token-id': 'abcdef', 'token-secret': '0123456789abcdef', 'usage-bootstrap-authentication': 'true', 'auth-extra-groups': 'system:bootstrappers:kubeadm', expiration: new Date(clock.now() + 60_000).toISOString() };
    const secret = (over: object) => ({ apiVersion: 'v1', kind: 'Secret', metadata: meta('bootstrap-token-abcdef', 's', 'kube-system'), type: 'bootstrap.kubernetes.io/token', data: Object.fromEntries(Object.entries({ ...data, ...over }).map(([k, v]) => [k, Buffer.from(v as string).toString('base64')])) }) as KubeObject;
    const request = fakeRequest({ authorization: 'Bearer abcdef.0123456789abcdef' });
    reader.put(secret({}));
    assert.deepEqual(await who(request), { name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:bootstrappers:kubeadm', 'system:authenticated'] });
    for (const over of [{ 'token-secret': '0123456789abcdee' }, { 'usage-bootstrap-authentication': 'false' }, { expiration: new Date(clock.now() - 1).toISOString() }, { 'auth-extra-groups': 'system:masters' }]) {
      reader.put(secret(over));
      await refused(() => auth.authenticator.authenticate(request, signal));
    }
  });
});

describe('service account tokens', () => {
  const issue = async (auth: Authentication, reader: FakeReader, spec: object, warnings: string[] = []): Promise<{ token: string; answer: { spec: { expirationSeconds: number; audiences: string[] }; status: { expirationTimestamp: string } } }> => {
    const tokenRequest = { kind: 'TokenRequest', apiVersion: 'authentication.k8s.io/v1', metadata: {}, spec } as unknown as KubeObject;
    const answer = (await auth.issuer.issue({ serviceAccount: account, tokenRequest, user: { name: 'x', groups: [] }, objects: reader, warn: (m) => void warnings.push(m) }, signal)) as never;
    return { token: (answer as { status: { token: string } }).status.token, answer };
  };
  const setUp = (key = testSigningKey(), more: { maxExpirationSeconds?: number } = {}) => {
    const clock = new FakeClock();
    const reader = new FakeReader(account, pod as KubeObject, node);
    return { clock, reader, auth: createAuthentication({ reader, clock, serviceAccounts: { signingKey: key, ...more } }) };
  };
  const podRef = { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: 'pod-1' };

  for (const alg of ['ES256', 'RS256'] as const) {
    it(`of a Pod (${alg}) name the account, the Pod and the Node`, async () => {
      const { auth, reader } = setUp(testSigningKey(alg));
      const { token } = await issue(auth, reader, { boundObjectRef: podRef });
      const { user } = (await auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${token}` }), signal))!;
      assert.equal(user.name, 'system:serviceaccount:default:web');
      assert.equal(user.uid, 'sa-1');
      assert.deepEqual(user.groups, ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated']);
      const { 'authentication.kubernetes.io/credential-id': id, ...extra } = user.extra!;
      assert.match(id![0]!, /^JTI=/);
      assert.deepEqual(extra, { 'authentication.kubernetes.io/pod-name': ['p'], 'authentication.kubernetes.io/pod-uid': ['pod-1'], 'authentication.kubernetes.io/node-name': ['n1'], 'authentication.kubernetes.io/node-uid': ['node-1'] });
    });
  }
  it('answer at once when their signature was seen before, and end with their Pod', async () => {
    const { auth, reader } = setUp();
    const request = fakeRequest({ authorization: `Bearer ${(await issue(auth, reader, { boundObjectRef: podRef })).token}` });
    await auth.authenticator.authenticate(request, signal);
    assert.ok(!(auth.authenticator.authenticate(request, signal) instanceof Promise));
    reader.put({ ...pod, metadata: meta('p', 'pod-2') } as KubeObject);
    await refused(() => auth.authenticator.authenticate(request, signal));
    reader.remove(pod as KubeObject);
    const review = await reviewToken({ metadata: {}, spec: { token: (await issue(auth, reader, {})).token } }, auth.tokens, auth.audiences, signal);
    assert.equal(review.status!.authenticated, true);
    assert.deepEqual(review.status!.audiences, [DEFAULT_ISSUER]);
    await assert.rejects(async () => auth.tokens.authenticateToken(request.header('authorization')!.slice(7), [], signal), /service account token has been invalidated/);
  });
  it('expire, are refused under another key, and are bound to their audience', async () => {
    const { auth, reader, clock } = setUp();
    const { token } = await issue(auth, reader, { expirationSeconds: 600 });
    const foreign = (await issue(setUp().auth, reader, {})).token;
    await refused(() => auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${foreign}` }), signal));
    const vault = (await issue(auth, reader, { audiences: ['vault'] })).token;
    await refused(() => auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${vault}` }), signal));
    const review = await reviewToken({ metadata: {}, spec: { token: vault, audiences: ['vault', 'other'] } }, auth.tokens, auth.audiences, signal);
    assert.deepEqual([review.status!.authenticated, review.status!.audiences], [true, ['vault']]);
    const wrong = await reviewToken({ metadata: {}, spec: { token: vault } }, auth.tokens, auth.audiences, signal);
    assert.deepEqual(wrong.status, { user: {}, error: `[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["${DEFAULT_ISSUER}"]]` });
    await clock.advance(601_000);
    await assert.rejects(async () => auth.tokens.authenticateToken(token, [], signal), /service account token has expired/);
  });
  it('are refused when the payload was changed', async () => {
    const { auth, reader } = setUp();
    const [head, payload, signature] = (await issue(auth, reader, {})).token.split('.') as [string, string, string];
    const forged = Buffer.from(Buffer.from(payload, 'base64url').toString().replaceAll('web', 'adm')).toString('base64url');
    await refused(() => auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${head}.${forged}.${signature}` }), signal));
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    await refused(() => auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${none}` }), signal));
  });
  it('are issued for a year behind the one hour that a projected volume asks for', async () => {
    const { auth, reader, clock } = setUp();
    const { token, answer } = await issue(auth, reader, { expirationSeconds: 3607, boundObjectRef: podRef });
    const claims = decodeJwt(token) as { exp: number; iat: number; 'kubernetes.io': { warnafter: number } };
    assert.equal(claims.exp - claims.iat, 365 * 24 * 3600);
    assert.equal(claims['kubernetes.io'].warnafter - claims.iat, 3607);
    assert.equal(Date.parse(answer.status.expirationTimestamp) - clock.now(), 3607_000);
    const notes = async () => ((await auth.authenticator.authenticate(fakeRequest({ authorization: `Bearer ${token}` }), signal)) as AuthenticationResult).notes;
    assert.equal(await notes(), undefined);
    await clock.advance(3617_000);
    assert.deepEqual(await notes(), { annotations: { 'authentication.k8s.io/stale-token': 'subject: system:serviceaccount:default:web, seconds after warning threshold: 10' } });
  });
  it('are refused or shortened with upstream\'s words', async () => {
    const { auth, reader } = setUp(undefined, { maxExpirationSeconds: 3600 });
    assert.equal((await refused(() => issue(auth, reader, { expirationSeconds: 60 }))).message, 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes');
    assert.equal((await refused(() => issue(auth, reader, { expirationSeconds: 2 ** 32 + 1 }))).message, 'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds');
    assert.equal((await refused(() => issue(auth, reader, { boundObjectRef: { ...podRef, uid: 'old' } }))).message, 'Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (old) does not match the UID in record. The object might have been deleted and then recreated');
    assert.equal((await refused(() => issue(auth, reader, { boundObjectRef: { ...podRef, name: 'gone' } }))).message, 'pods "gone" not found');
    reader.put({ ...pod, metadata: meta('q', 'pod-q'), spec: { ...pod.spec, serviceAccountName: 'default' } } as KubeObject);
    assert.equal((await refused(() => issue(auth, reader, { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'q' } }))).message, 'cannot bind token for serviceaccount "web" to pod running with different serviceaccount name.');
    assert.equal((await refused(() => issue(auth, reader, { boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'q' } }))).message, 'cannot bind token to object of type /v1, Kind=ConfigMap');
    const warnings: string[] = [];
    assert.equal((await issue(auth, reader, { expirationSeconds: 7200 }, warnings)).answer.spec.expirationSeconds, 3600);
    assert.deepEqual(warnings, ['requested expiration of 7200 seconds shortened to 3600 seconds']);
  });
  it('of legacy secrets count while the secret holds them', async () => {
    const key = testSigningKey();
    const { auth, reader } = setUp(key);
    const signing = signingKey(key);
    const prefix = 'kubernetes.io/serviceaccount';
    const token = await new SignJWT({ iss: 'kubernetes/serviceaccount', sub: 'system:serviceaccount:default:web', [`${prefix}/namespace`]: 'default', [`${prefix}/service-account.name`]: 'web', [`${prefix}/service-account.uid`]: 'sa-1', [`${prefix}/secret.name`]: 's' })
      .setProtectedHeader({ alg: signing.alg, kid: signing.kid }).sign(signing.privateKey);
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: meta('s', 'x'), data: { token: Buffer.from(token).toString('base64') } } as KubeObject;
    reader.put(secret);
    const answer = (await auth.tokens.authenticateToken(token, [], signal)) as AuthenticationResult;
    const legacy = { 'authentication.k8s.io/legacy-token': 'system:serviceaccount:default:web' };
    assert.deepEqual([answer.user.name, answer.notes], ['system:serviceaccount:default:web', { annotations: { ...legacy, 'authentication.k8s.io/legacy-token-manual-secret': 's' }, warnings: [] }]);
    reader.put({ ...account, secrets: [{ name: 's' }] } as KubeObject);
    assert.deepEqual(((await auth.tokens.authenticateToken(token, [], signal)) as AuthenticationResult).notes, {
      annotations: { ...legacy, 'authentication.k8s.io/legacy-token-autogenerated-secret': 's' },
      warnings: ['Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.'],
    });
    reader.remove(secret);
    await assert.rejects(async () => auth.tokens.authenticateToken(token, [], signal), /Token has been invalidated/);
  });
  it('are described by the discovery documents', async () => {
    const { auth } = setUp();
    assert.deepEqual(auth.openIdConfiguration(), { issuer: DEFAULT_ISSUER, jwks_uri: `${DEFAULT_ISSUER}/openid/v1/jwks`, response_types_supported: ['id_token'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['ES256'] });
    const { keys } = (await auth.jwks()) as { keys: Record<string, string>[] };
    assert.deepEqual([keys[0]!['use'], keys[0]!['alg'], keys[0]!['kty'], keys[0]!['crv'], 'd' in keys[0]!], ['sig', 'ES256', 'EC', 'P-256', false]);
  });
});

describe('OidcAuthenticator', () => {
  const key = signingKey(testSigningKey('RS256'));
  const issuerUrl = 'https://idp.example.org';
  const setUp = () => {
    const clock = new FakeClock();
    const fetched: string[] = [];
    const fetchJson = async (url: string): Promise<unknown> => {
      fetched.push(url);
      if (url.endsWith('openid-configuration')) return { issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` };
      return { keys: [{ ...(key.key.export({ format: 'jwk' })), kid: key.kid, alg: 'RS256', use: 'sig' }] };
    };
    const { jwt: [authenticator] } = parseAuthenticationConfiguration(JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration',
      jwt: [{
        issuer: { url: issuerUrl, audiences: ['podyard'] }, claimValidationRules: [{ claim: 'hd', requiredValue: 'example.org' }],
        claimMappings: { username: { claim: 'sub', prefix: `${issuerUrl}#` }, groups: { claim: 'groups', prefix: 'idp:' } },
      }],
    }));
    const oidc = new OidcAuthenticator(authenticator!, clock, fetchJson);
    const token = (claims: object = {}, kid = key.kid) => new SignJWT({ iss: issuerUrl, aud: 'podyard', sub: 'u1', groups: ['dev'], hd: 'example.org', exp: clock.now() / 1000 + 60, ...claims }).setProtectedHeader({ alg: 'RS256', kid }).sign(key.privateKey);
    return { clock, fetched, oidc, token };
  };
  it('maps claims to user and groups and fetches the keys once', async () => {
    const { oidc, token, fetched } = setUp();
    for (let i = 0; i < 2; i++) assert.deepEqual(await oidc.authenticateToken(await token({ n: i })), { user: { name: `${issuerUrl}#u1`, groups: ['idp:dev'] } });
    assert.deepEqual(fetched, [`${issuerUrl}/.well-known/openid-configuration`, `${issuerUrl}/keys`]);
  });
  it('leaves other issuers\' tokens alone and refuses what is wrong with its own', async () => {
    const { oidc, token, clock } = setUp();
    assert.equal(await oidc.authenticateToken(await token({ iss: 'https://other' })), undefined);
    for (const wrong of [{ aud: 'x' }, { exp: clock.now() / 1000 - 1 }, { hd: 'evil.org' }, { hd: undefined }]) await assert.rejects(async () => oidc.authenticateToken(await token(wrong)));
    const good = await token();
    assert.ok(await oidc.authenticateToken(good));
    await clock.advance(9_000);
    assert.ok(await oidc.authenticateToken(good));
    await clock.advance(61_000);
    await assert.rejects(async () => oidc.authenticateToken(good));
  });
  it('asks for the keys again when a token names an unknown one, but not more often than every 30 seconds', async () => {
    const { oidc, token, fetched, clock } = setUp();
    await oidc.authenticateToken(await token());
    await clock.advance(31_000);
    for (let i = 0; i < 3; i++) await assert.rejects(async () => oidc.authenticateToken(await token({ n: i }, 'unknown')));
    assert.equal(fetched.length, 4);
  });
});

describe('HeaderImpersonator', () => {
  const user: UserInfo = { name: 'op', groups: ['system:authenticated'] };
  const asked: string[] = [];
  const impersonator = new HeaderImpersonator({
    authorize: (a) => {
      asked.push(`${a.verb} ${a.apiGroup}/${a.resource}${a.subresource && `/${a.subresource}`} ${a.namespace}/${a.name}`);
      return { decision: a.name === 'root' ? 'noOpinion' : 'allow', reason: '' };
    },
  });
  it('is transparent without headers', () => {
    assert.equal(impersonator.impersonate(fakeRequest(), user, signal), user);
  });
  it('asks for every part and builds the user', async () => {
    asked.length = 0;
    const became = await impersonator.impersonate(fakeRequest({ 'impersonate-user': 'jane', 'impersonate-group': ['dev'], 'impersonate-uid': '9', 'impersonate-extra-scopes': ['a', 'b'] }), user, signal);
    assert.deepEqual(became, { name: 'jane', uid: '9', groups: ['dev', 'system:authenticated'], extra: { scopes: ['a', 'b'] } });
    assert.deepEqual(asked, ['impersonate /users /jane', 'impersonate authentication.k8s.io/uids /9', 'impersonate /groups /dev', 'impersonate authentication.k8s.io/userextras/scopes /a', 'impersonate authentication.k8s.io/userextras/scopes /b']);
  });
  it('knows the groups of service accounts', async () => {
    const became = await impersonator.impersonate(fakeRequest({ 'impersonate-user': 'system:serviceaccount:kube-system:dns' }), user, signal);
    assert.deepEqual(became.groups, ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated']);
    assert.deepEqual((await impersonator.impersonate(fakeRequest({ 'impersonate-user': 'system:anonymous' }), user, signal)).groups, ['system:unauthenticated']);
  });
  it('refuses with the known sentence', async () => {
    assert.equal((await refused(() => impersonator.impersonate(fakeRequest({ 'impersonate-user': 'root' }), user, signal))).message, 'users "root" is forbidden: User "op" cannot impersonate resource "users" in API group "" at the cluster scope');
    assert.equal((await refused(() => impersonator.impersonate(fakeRequest({ 'impersonate-group': 'x' }), user, signal))).code, 400);
  });
});

describe('constrained impersonation', () => {
  const list: RequestInfo = { isResourceRequest: true, verb: 'list', path: '', apiGroup: '', apiVersion: 'v1', namespace: 'default', resource: 'pods', subresource: '', name: '' };
  const as = async (headers: Record<string, string | string[]>, allowed: readonly string[], who: UserInfo = { name: 'op', groups: [] }): Promise<UserInfo | string> => {
    const impersonator = new HeaderImpersonator({ authorize: (a) => ({ decision: allowed.includes(`${a.verb} ${a.resource} ${a.name}`.trim()) ? 'allow' : 'noOpinion', reason: '' }) });
    try {
      return await impersonator.impersonate(fakeRequest(headers), who, signal, list);
    } catch (err) {
      return (err as Error).message;
    }
  };
  it('needs the identity and the verb on the resource at hand', async () => {
    assert.deepEqual(await as({ 'impersonate-user': 'jane' }, ['impersonate:user-info users jane', 'impersonate-on:user-info:list pods']), { name: 'jane', groups: ['system:authenticated'], extra: {} });
    assert.equal(await as({ 'impersonate-user': 'jane' }, ['impersonate:user-info users jane']), 'pods is forbidden: User "op" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "default"');
    assert.equal(await as({ 'impersonate-user': 'jane' }, ['impersonate-on:user-info:list pods']), 'users.authentication.k8s.io "jane" is forbidden: User "op" cannot impersonate:user-info resource "users" in API group "authentication.k8s.io" at the cluster scope');
  });
  it('falls back to the plain verb, which alone makes members of system:masters', async () => {
    const plain = ['impersonate users jane', 'impersonate groups system:masters'];
    const constrained = ['impersonate:user-info users jane', 'impersonate:user-info groups system:masters', 'impersonate-on:user-info:list pods'];
    const headers = { 'impersonate-user': 'jane', 'impersonate-group': ['system:masters'] };
    assert.deepEqual(((await as(headers, plain)) as UserInfo).groups, ['system:masters', 'system:authenticated']);
    assert.match((await as(headers, constrained)) as string, /impersonating the system:masters group is not allowed$/);
  });
  it('lets a Pod be its own node, and no other', async () => {
    const agent: UserInfo = { name: 'system:serviceaccount:kube-system:agent', groups: [], extra: { 'authentication.kubernetes.io/node-name': ['n1'] } };
    const allowed = ['impersonate:associated-node nodes *', 'impersonate-on:associated-node:list pods'];
    assert.deepEqual(((await as({ 'impersonate-user': 'system:node:n1' }, allowed, agent)) as UserInfo).groups, ['system:nodes', 'system:authenticated']);
    assert.equal(typeof (await as({ 'impersonate-user': 'system:node:n2' }, allowed, agent)), 'string');
  });
});

describe('parseTokenFile', () => {
  it('reads quotes and refuses lines that are too short', () => {
    assert.deepEqual(parseTokenFile('t,"a ""b""",u,"x, y"').get('t'), { name: 'a "b"', uid: 'u', groups: ['x', 'y'] });
    assert.throws(() => parseTokenFile('t,a'), /at least 3 columns/);
  });
});
