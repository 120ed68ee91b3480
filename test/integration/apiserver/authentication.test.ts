import 'reflect-metadata';
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AuthenticationFile } from '#apiserver/authentication/configured.ts';
import { TestIssuer } from '#apiserver/authentication/testing/issuer.ts';
import { systemClock } from '#base/clock.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

let dir: string;
let idp: TestIssuer;
let file: AuthenticationFile;
let fixture: Fixture;
let http: Requests;
const write = async (text: string): Promise<void> => {
  await writeFile(join(dir, 'new.yaml'), text);
  await rename(join(dir, 'new.yaml'), join(dir, 'authentication.yaml'));
};
const configuration = (more = ''): string => `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: ${idp.url}
    audiences: [podyard, other]
    audienceMatchPolicy: MatchAny
    certificateAuthority: ${JSON.stringify(idp.ca)}
  claimValidationRules:
  - expression: "claims.exp - claims.iat <= 3600"
    message: tokens of more than an hour are not taken
  claimMappings:
    username: {expression: "'idp:' + claims.sub"}
    groups: {expression: "claims.roles.map(r, 'idp:' + r)"}
    uid: {claim: sub}
    extra:
    - {key: example.org/tenant, valueExpression: claims.tenant}
  userValidationRules:
  - expression: "!user.groups.exists(g, g == 'idp:banned')"
    message: banned
${more}`;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-authn-'));
  idp = await TestIssuer.start(systemClock.now());
  await write(configuration());
  file = (await AuthenticationFile.open({ path: join(dir, 'authentication.yaml'), clock: systemClock, disallowedIssuers: [] }))!;
  file.start();
  fixture = await startServer({ authentication: file });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
  await file.stop();
  await idp.close();
  await rm(dir, { recursive: true, force: true });
});
const now = (): number => systemClock.now();
const token = (claims: object = {}): Promise<string> => idp.token({ sub: 'ann', aud: 'podyard', iat: Math.floor(now() / 1000), roles: ['dev'], tenant: 't1', ...claims }, now());
const as = (bearer: string, path: string, body?: unknown) => http.call(body ? 'POST' : 'GET', path, { anonymous: true, body, headers: { authorization: `Bearer ${bearer}` } });
const REVIEW = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const SELF = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };

test('a token of an issuer in the file is a user, as its expressions say, and RBAC knows the groups', async () => {
  await http.post('/apis/rbac.authorization.k8s.io/v1/clusterroles', { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'reader' }, rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }, { apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'], verbs: ['create'] }] });
  await http.post('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name: 'devs' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reader' }, subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'idp:dev' }],
  });
  const good = await token();
  const { status } = (await as(good, REVIEW, SELF)).json<{ status: { userInfo: object } }>();
  assert.deepEqual(status.userInfo, { username: 'idp:ann', uid: 'ann', groups: ['idp:dev', 'system:authenticated'], extra: { 'example.org/tenant': ['t1'] } });
  assert.equal((await as(good, '/api/v1/configmaps')).code, 200);
  const refused = await as(good, '/api/v1/secrets');
  assert.equal(refused.status.message, 'secrets is forbidden: User "idp:ann" cannot list resource "secrets" in API group "" at the cluster scope');
});
test('what its rules refuse is unauthorized, and a TokenReview says why', async () => {
  const review = async (bearer: string) => (await http.post('/apis/authentication.k8s.io/v1/tokenreviews', { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: bearer } })).json<{ status: { authenticated?: boolean; error?: string; user: { username?: string } } }>().status;
  for (const [claims, why] of [
    [{ iat: Math.floor(now() / 1000) - 7200 }, /validation expression 'claims.exp - claims.iat <= 3600' failed: tokens of more than an hour are not taken/],
    [{ roles: ['banned'] }, /failed: banned\]$/],
    [{ aud: 'elsewhere' }, /oidc: verify token: oidc: expected audience in \["other" "podyard"\] got \["elsewhere"\]/],
    [{ roles: undefined }, /oidc: error evaluating group claim expression: expression 'claims.roles.map\(r, 'idp:' \+ r\)' resulted in error: no such key: roles/],
  ] as const) {
    const bad = await token(claims);
    assert.equal((await as(bad, '/version')).code, 401);
    const answer = await review(bad);
    assert.notEqual(answer.authenticated, true);
    assert.match(answer.error!, why);
  }
  assert.deepEqual((await review(await token())).user.username, 'idp:ann');
});
test('a changed file decides who may come without credentials, without a restart', async () => {
  const anonymous = async (path: string) => (await http.call('GET', path, { anonymous: true })).code;
  assert.equal(await anonymous('/livez'), 403); // known as system:anonymous, whom RBAC gives nothing here
  await write(configuration('anonymous: {enabled: true, conditions: [{path: /livez}]}'));
  for (let i = 0; i < 400 && (await anonymous('/version')) !== 401; i++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.deepEqual([await anonymous('/version'), await anonymous('/livez')], [401, 403]);
  assert.equal((await as(await token(), REVIEW, SELF)).code, 201);
  const metrics = (await http.get('/metrics')).text;
  assert.match(metrics, /apiserver_request_total/);
  for (const result of ['success', 'failure', 'error']) assert.match(metrics, new RegExp(`^authentication_attempts\\{result="${result}"\\} [1-9]`, 'm'));
  for (const result of ['allowed', 'no-opinion']) assert.match(metrics, new RegExp(`^authorization_duration_seconds_count\\{result="${result}"\\} [1-9]`, 'm'));
  assert.match(metrics, /^apiserver_client_certificate_expiration_seconds_bucket\{le="0"\} 0$/m);
  assert.match(metrics, /^apiserver_client_certificate_expiration_seconds_count [1-9]/m);
  assert.match(metrics, /^apiserver_request_body_size_bytes_count\{group="authentication.k8s.io",resource="(selfsubject|token)reviews",verb="create"\} [1-9]/m);
  assert.match(metrics, /^process_open_fds [1-9]/m);
});
