import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AuthorizationFile } from '#apiserver/authorization/configured.ts';
import { systemClock } from '#base/clock.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

interface Review {
  readonly spec: { readonly user: string; readonly resourceAttributes?: { readonly resource: string; readonly verb: string } };
}
let dir: string;
let hook: Server;
let file: AuthorizationFile;
let fixture: Fixture;
let http: Requests;
let answer: (review: Review) => object | undefined;
const asked: Review[] = [];
const write = async (...authorizers: string[]): Promise<void> => {
  await writeFile(join(dir, 'new.yaml'), `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n${authorizers.join('\n')}\n`);
  await rename(join(dir, 'new.yaml'), join(dir, 'authorization.yaml'));
};
const webhook = (policy: string): string => `
- type: Webhook
  name: gate
  webhook:
    timeout: 1s
    authorizedTTL: 1ms
    unauthorizedTTL: 1ms
    subjectAccessReviewVersion: v1
    matchConditionSubjectAccessReviewVersion: v1
    failurePolicy: ${policy}
    connectionInfo: {type: KubeConfigFile, kubeConfigFile: ${join(dir, 'gate.kubeconfig')}}
    matchConditions:
    - expression: request.user != 'system:apiserver' && has(request.resourceAttributes)
    - expression: request.resourceAttributes.resource in ['secrets', 'configmaps']`;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-authz-'));
  hook = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as Review;
      asked.push(review);
      const status = answer(review);
      response.writeHead(status ? 200 : 400, { 'content-type': 'application/json' }).end(JSON.stringify({ ...review, status }));
    });
  });
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
  await writeFile(join(dir, 'gate.kubeconfig'), JSON.stringify({
    'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'gate', user: '' } }], clusters: [{ name: 'gate', cluster: { server: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/authorize` } }], users: [],
  }));
  await write(webhook('Deny'), '- {type: Node, name: node}', '- {type: RBAC, name: rbac}');
  file = (await AuthorizationFile.open({ path: join(dir, 'authorization.yaml'), clock: systemClock, random: Math.random }))!;
  file.start();
  fixture = await startServer({ authorization: file });
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
  await file.stop();
  hook.closeAllConnections();
  await new Promise((resolve) => hook.close(resolve));
  await rm(dir, { recursive: true, force: true });
});
const ann = { 'impersonate-user': 'ann' };

test('a webhook of the file is asked where its conditions match, and decides before RBAC', async () => {
  answer = ({ spec }) => (spec.resourceAttributes?.resource === 'secrets' ? { allowed: false, denied: true, reason: 'secrets are closed today' } : { allowed: true });
  const refused = await http.get('/api/v1/secrets', ann);
  assert.equal(refused.status.message, 'secrets is forbidden: User "ann" cannot list resource "secrets" in API group "" at the cluster scope: secrets are closed today');
  assert.equal((await http.get('/api/v1/configmaps', ann)).code, 200);
  assert.equal((await http.get('/api/v1/pods', ann)).code, 403); // RBAC's no: the webhook was not asked
  assert.deepEqual(asked.map((r) => [r.spec.user, r.spec.resourceAttributes!.verb, r.spec.resourceAttributes!.resource]), [['ann', 'list', 'secrets'], ['ann', 'list', 'configmaps']]);
  // system:masters is asked nobody about.
  assert.equal((await http.get('/api/v1/secrets')).code, 200);
  const review = await http.post('/apis/authorization.k8s.io/v1/subjectaccessreviews', { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec: { user: 'ann', resourceAttributes: { resource: 'secrets', verb: 'get', namespace: 'default' } } });
  assert.deepEqual(review.json<{ status: object }>().status, { allowed: false, denied: true, reason: 'secrets are closed today' });
});
test('a webhook that fails means what its policy says, and a changed file takes effect without a restart', async () => {
  answer = () => undefined;
  assert.equal((await http.get('/api/v1/configmaps', ann)).code, 403);
  await write('- {type: RBAC, name: rbac}', webhook('NoOpinion'), '- {type: AlwaysAllow, name: open}');
  for (let i = 0; i < 400 && (await http.get('/api/v1/pods', ann)).code !== 200; i++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.equal((await http.get('/api/v1/configmaps', ann)).code, 200);
  assert.match(file.metricsText(), /apiserver_authorization_config_controller_automatic_reloads_total\{status="success"\} 1\n/);
  await write('- {type: ABAC, name: old}');
  for (let i = 0; i < 400 && !file.metricsText().includes('failure'); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  assert.equal((await http.get('/api/v1/pods', ann)).code, 200);
});
