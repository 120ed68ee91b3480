import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { ExtendedKeyUsage } from '@peculiar/x509';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { systemClock } from '#base/clock.ts';
import { StatusError } from '#machinery/status-error.ts';
import { FakeReader, testAuthority, testLeaf, type TestAuthority } from '../authentication/testing/fakes.ts';
import { WebhookTokenAuthenticator } from '../authentication/webhook.ts';
import { WebhookAuthorizer } from '../authorization/webhook.ts';
import { builtinResources } from '../registry/builtin.ts';
import type { ObjectStorage } from '../registry/object-cache.ts';
import { DynamicResourceRegistry } from '../registry/resource-registry.ts';
import { WebhookClient } from '../webhook/client.ts';
import { createAdmission } from './admission.ts';
import { NO_EXPRESSIONS } from './expressions.ts';
import type { RequestWaits } from '../interfaces.ts';
import { AdmissionMetrics } from './metrics.ts';
import { MutatingWebhook } from './mutating-webhook.ts';
import { ReinvokingPlugins } from './reinvocation.ts';
import { attributes, type TestAttributes } from './testing/attributes.ts';
import { ValidatingWebhook } from './validating-webhook.ts';

const signal = new AbortController().signal;
interface Review {
  readonly request: { readonly uid: string; readonly name: string; readonly dryRun: boolean; readonly object: { metadata: { labels?: Record<string, string> }; spec: { containers: { image: string }[] } }; readonly oldObject: unknown; readonly operation: string };
}
type Handler = (review: Review, path: string) => object | 'hang' | string;
const patch = (...operations: object[]) => ({ allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(operations)).toString('base64') });

describe('admission webhooks', () => {
  let ca: TestAuthority;
  let server: Server;
  let port = 0;
  let handler: Handler;
  let calls: string[];
  let client: WebhookClient;
  before(async () => {
    const now = Date.now();
    ca = await testAuthority('hooks', now);
    const leaf = await testLeaf(ca, { subject: [{ CN: ['hook'] }], from: now - 60_000, to: now + 3_600_000, usage: ExtendedKeyUsage.serverAuth, names: [{ type: 'ip', value: '127.0.0.1' }, { type: 'dns', value: 'hook.default.svc' }] });
    server = createServer({ cert: leaf.cert, key: leaf.key }, (req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (c: Buffer) => chunks.push(c));
      req.on('end', () => {
        calls.push(req.url!);
        const review = JSON.parse(Buffer.concat(chunks).toString()) as Review;
        const answer = handler(review, req.url!.split('?')[0]!);
        if (answer === 'hang') return;
        if (typeof answer === 'string') {
          res.statusCode = 500;
          res.end(answer);
          return;
        }
        const body = 'raw' in answer ? answer.raw : { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid: review.request?.uid, ...answer } };
        res.setHeader('content-type', 'application/json');
        res.end(JSON.stringify(body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
    client = new WebhookClient({ clock: systemClock, resolver: { resolve: (_ns, name) => { if (name !== 'hook') throw new Error(`service ${JSON.stringify(name)} not found`); return { host: '127.0.0.1', port }; } } });
  });
  after(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  beforeEach(() => {
    calls = [];
    handler = () => ({ allowed: true });
  });

  const caBundle = (): string => Buffer.from(ca.cert).toString('base64');
  const hook = (name: string, more: object = {}): object => ({
    name, clientConfig: { url: `https://127.0.0.1:${port}/${name}`, caBundle: caBundle() }, rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'] }],
    sideEffects: 'None', admissionReviewVersions: ['v1'], ...more,
  });
  const configuration = (kind: 'Mutating' | 'Validating', name: string, ...webhooks: object[]): KubeObject => ({ apiVersion: 'admissionregistration.k8s.io/v1', kind: `${kind}WebhookConfiguration`, metadata: { name }, webhooks }) as unknown as KubeObject;
  const namespace: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default', labels: { team: 'a' } } };
  const pod = (labels: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', labels }, spec: { containers: [{ name: 'c', image: 'i' }] } });
  const services = (reader: FakeReader) => ({ client, reader, compiler: NO_EXPRESSIONS, authorizer: { authorize: () => ({ decision: 'noOpinion' as const, reason: '' }) }, uid: () => crypto.randomUUID() });
  const refusedBy = async (run: () => unknown): Promise<StatusError> => {
    try {
      await run();
    } catch (err) {
      assert.ok(err instanceof StatusError, String(err));
      return err;
    }
    throw new assert.AssertionError({ message: 'expected a refusal' });
  };
  const validate = (a: TestAttributes, ...objects: KubeObject[]): unknown => new ValidatingWebhook(services(new FakeReader(namespace, ...objects))).validate(a, signal);
  const mutate = (a: TestAttributes, ...objects: KubeObject[]): unknown => new ReinvokingPlugins([new MutatingWebhook(services(new FakeReader(namespace, ...objects)))]).admit(a, signal);

  it('say no in their own words', async () => {
    handler = () => ({ allowed: false, status: { message: 'no :latest', code: 403, reason: 'Forbidden' }, warnings: ['mind'], auditAnnotations: { why: 'tag' } });
    const a = attributes(pod());
    const err = await refusedBy(() => validate(a, configuration('Validating', 'v', hook('tags.example.com'))));
    assert.deepEqual([err.message, err.code, err.reason], ['admission webhook "tags.example.com" denied the request: no :latest', 403, 'Forbidden']);
    assert.deepEqual([a.warnings, a.annotations['tags.example.com/why']], [['mind'], 'tag']);
    assert.deepEqual(calls, ['/tags.example.com?timeout=10s']);
    handler = () => ({ allowed: false });
    const bare = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('x.example.com'))));
    assert.deepEqual([bare.message, bare.code], ['admission webhook "x.example.com" denied the request without explanation', 400]);
  });
  it('are asked only about what their rules and selectors name', async () => {
    const all = configuration('Validating', 'v',
      hook('other-kind', { rules: [{ operations: ['CREATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['*'] }] }),
      hook('other-operation', { rules: [{ operations: ['UPDATE'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'] }] }),
      hook('other-namespace', { namespaceSelector: { matchLabels: { team: 'b' } } }),
      hook('other-object', { objectSelector: { matchLabels: { app: 'x' } } }),
      hook('cluster-scope', { rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'], scope: 'Cluster' }] }),
      hook('this', { namespaceSelector: { matchLabels: { team: 'a' } }, objectSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['web'] }] } }));
    await validate(attributes(pod({ app: 'web' })), all);
    assert.deepEqual(calls, ['/this?timeout=10s']);
  });
  it('are asked in the version that their rule names, and patch it back', async () => {
    const [v1, v2] = [resourceOf('autoscaling', 'v1', 'horizontalpodautoscalers'), resourceOf('autoscaling', 'v2', 'horizontalpodautoscalers')];
    const storage = {} as ObjectStorage;
    const resources = new DynamicResourceRegistry();
    const served = builtinResources([v1, v2], () => storage);
    for (const info of [v1, v2]) resources.add(served.find((r) => r.info === info)!);
    const hpa = { apiVersion: 'autoscaling/v2', kind: 'HorizontalPodAutoscaler', metadata: { name: 'h', namespace: 'default' }, spec: { scaleTargetRef: { kind: 'Deployment', name: 'd', apiVersion: 'apps/v1' }, minReplicas: 1, maxReplicas: 3, metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }] } };
    handler = (review) => {
      const { request } = review as unknown as { request: { kind: object; requestKind: object; object: { apiVersion: string; spec: { targetCPUUtilizationPercentage: number } } } };
      assert.deepEqual([request.kind, request.requestKind], [{ group: 'autoscaling', version: 'v1', kind: 'HorizontalPodAutoscaler' }, { group: 'autoscaling', version: 'v2', kind: 'HorizontalPodAutoscaler' }]);
      assert.deepEqual([request.object.apiVersion, request.object.spec.targetCPUUtilizationPercentage], ['autoscaling/v1', 50]);
      return patch({ op: 'replace', path: '/spec/targetCPUUtilizationPercentage', value: 70 });
    };
    const rules = [{ operations: ['CREATE'], apiGroups: ['autoscaling'], apiVersions: ['v1'], resources: ['horizontalpodautoscalers'] }];
    const ask = async (matchPolicy: string): Promise<unknown> => {
      const a = attributes(hpa);
      const plugin = new MutatingWebhook({ ...services(new FakeReader(namespace, configuration('Mutating', 'm', hook('old', { rules, matchPolicy })))), resources });
      await plugin.admit(a, signal);
      return (a.object as unknown as typeof hpa).spec.metrics[0]!.resource.target.averageUtilization;
    };
    assert.equal(await ask('Equivalent'), 70);
    assert.equal(await ask('Exact'), 50);
    assert.equal(calls.length, 1);
  });
  it('are never asked about the configurations of admission themselves', async () => {
    const self = configuration('Validating', 'v', hook('all', { rules: [{ operations: ['*'], apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }] }));
    await validate(attributes(configuration('Validating', 'new')), self);
    assert.deepEqual(calls, []);
  });
  it('change the object by JSON patch and annotate what they did', async () => {
    handler = (review) => {
      assert.deepEqual([review.request.oldObject, review.request.operation, review.request.name], [null, 'CREATE', 'p']);
      return patch({ op: 'add', path: '/metadata/labels/injected', value: 'yes' });
    };
    const a = attributes(pod());
    const held = a.object;
    await mutate(a, configuration('Mutating', 'm', hook('inject.example.com')));
    assert.deepEqual(held!.metadata.labels, { injected: 'yes' });
    assert.equal(a.annotations['mutation.webhook.admission.k8s.io/round_0_index_0'], '{"configuration":"m","webhook":"inject.example.com","mutated":true}');
    assert.match(a.annotations['patch.webhook.admission.k8s.io/round_0_index_0']!, /"patchType":"JSONPatch"/);
  });
  it('are called again after a later change when they ask for it, once', async () => {
    handler = (review, path) => (path === '/b' && review.request.object.metadata.labels?.['b'] === undefined ? patch({ op: 'add', path: '/metadata/labels/b', value: '1' }) : { allowed: true });
    await mutate(attributes(pod()), configuration('Mutating', 'm', hook('a', { reinvocationPolicy: 'IfNeeded' }), hook('never'), hook('b')));
    assert.deepEqual(calls.map((c) => c.split('?')[0]), ['/a', '/never', '/b', '/a']);
  });
  it('fail closed or open by their policy, and the error reads as upstream\'s', async () => {
    handler = () => 'boom';
    const closed = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('x.example.com'))));
    assert.deepEqual([closed.message, closed.code], ['Internal error occurred: failed calling webhook "x.example.com": failed to call webhook: an error on the server ("boom") has prevented the request from succeeding', 500]);
    const a = attributes(pod());
    await validate(a, configuration('Validating', 'v', hook('x.example.com', { failurePolicy: 'Ignore' })));
    assert.deepEqual(a.annotations, { 'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'x.example.com' });
  });
  it('time out', async () => {
    handler = () => 'hang';
    const err = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('slow', { timeoutSeconds: 0.05 }))));
    assert.match(err.message, /^Internal error occurred: failed calling webhook "slow": failed to call webhook: Post "https:\/\/127\.0\.0\.1:\d+\/slow\?timeout=0\.05s": context deadline exceeded$/);
  });
  it('are reached through Services, by the name in their certificate', async () => {
    const service = (name: string) => ({ clientConfig: { service: { namespace: 'default', name, path: '/check' }, caBundle: caBundle() } });
    await validate(attributes(pod()), configuration('Validating', 'v', hook('svc', service('hook'))));
    assert.deepEqual(calls, ['/check?timeout=10s']);
    const missing = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('svc', service('gone')))));
    assert.equal(missing.message, 'Internal error occurred: failed calling webhook "svc": failed to call webhook: Post "https://gone.default.svc:443/check?timeout=10s": service "gone" not found');
  });
  it('must have a certificate of the bundle', async () => {
    const stranger = Buffer.from((await testAuthority('hooks', Date.now())).cert).toString('base64');
    const err = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('x', { clientConfig: { url: `https://127.0.0.1:${port}/x`, caBundle: stranger } }))));
    assert.match(err.message, /tls: failed to verify certificate: x509: certificate signed by unknown authority$/);
  });
  it('cannot be reached where nobody listens', async () => {
    const err = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('x', { clientConfig: { url: 'https://127.0.0.1:1/x', caBundle: caBundle() } }))));
    assert.match(err.message, /Post "https:\/\/127\.0\.0\.1:1\/x\?timeout=10s": dial tcp 127\.0\.0\.1:1: connect: connection refused$/);
  });
  it('must answer in the right form', async () => {
    const answers: [object, string][] = [
      [{ uid: 'other', allowed: true }, 'expected response.uid='],
      [{ raw: { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' } }, 'webhook response was absent'],
      [{ raw: {} }, 'expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind='],
      [patch({ op: 'add', path: '/x', value: 1 }), 'validating webhook may not return response.patch'],
    ];
    for (const [answer, why] of answers) {
      handler = () => answer;
      const err = await refusedBy(() => validate(attributes(pod()), configuration('Validating', 'v', hook('x'))));
      assert.ok(err.message.startsWith(`Internal error occurred: failed calling webhook "x": received invalid webhook response: ${why}`), err.message);
    }
  });
  it('are counted by what came of them', async () => {
    const metrics = new AdmissionMetrics();
    const ask = async (answer: Handler, more: object = {}): Promise<void> => {
      handler = answer;
      const reader = new FakeReader(namespace, configuration('Validating', 'v', hook('w', more)));
      await Promise.resolve(new ValidatingWebhook({ ...services(reader), measured: { clock: systemClock, metrics } }).validate(attributes(pod()), signal)).catch(() => undefined);
    };
    await ask(() => ({ allowed: true }));
    await ask(() => ({ allowed: false, status: { code: 418 } }));
    await ask(() => 'boom');
    await ask(() => 'boom', { failurePolicy: 'Ignore' });
    await ask(() => ({ raw: {} }));
    const counts = metrics.text().split('\n').filter((line) => /^apiserver_admission_webhook_(request_total|rejection_count|fail_open_count|admission_duration_seconds_count)/.test(line));
    assert.deepEqual(counts, [
      'apiserver_admission_webhook_admission_duration_seconds_count{name="w",operation="CREATE",rejected="false",type="validating"} 2', 'apiserver_admission_webhook_admission_duration_seconds_count{name="w",operation="CREATE",rejected="true",type="validating"} 3',
      'apiserver_admission_webhook_request_total{code="200",name="w",operation="CREATE",rejected="false",type="validating"} 1', 'apiserver_admission_webhook_request_total{code="418",name="w",operation="CREATE",rejected="true",type="validating"} 1',
      'apiserver_admission_webhook_request_total{code="500",name="w",operation="CREATE",rejected="true",type="validating"} 1', 'apiserver_admission_webhook_request_total{code="500",name="w",operation="CREATE",rejected="false",type="validating"} 1',
      'apiserver_admission_webhook_request_total{code="503",name="w",operation="CREATE",rejected="true",type="validating"} 1',
      'apiserver_admission_webhook_rejection_count{error_type="no_error",name="w",operation="CREATE",rejection_code="418",type="validating"} 1', 'apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",name="w",operation="CREATE",rejection_code="500",type="validating"} 1',
      'apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",name="w",operation="CREATE",rejection_code="503",type="validating"} 1', 'apiserver_admission_webhook_fail_open_count{name="w",type="validating"} 1',
    ]);
  });
  it('tell the request how long it waited for them: for mutating ones in all, for validating ones at most', async () => {
    handler = () => ({ allowed: true });
    const waits: RequestWaits = { queue: 0, mutating: 0, validating: 0 };
    let now = 0;
    // Every look at the clock is 10 ms after the one before.
    const measured = { clock: { monotonic: () => (now += 10) }, metrics: new AdmissionMetrics() };
    const two = (kind: 'Validating' | 'Mutating') => new FakeReader(namespace, configuration(kind, 'v', hook('w'), hook('x')));
    await new MutatingWebhook({ ...services(two('Mutating')), measured }).admit({ ...attributes(pod()), waits }, signal);
    const one = now;
    await new ValidatingWebhook({ ...services(two('Validating')), measured }).validate({ ...attributes(pod()), waits }, signal);
    assert.deepEqual([waits.queue, waits.mutating], [0, 20]);
    assert.ok(waits.validating >= 10 && waits.validating < now - one, String(waits.validating));
  });
  it('with side effects are not called for a dry run', async () => {
    const err = await refusedBy(() => validate(attributes(pod(), { dryRun: true }), configuration('Validating', 'v', hook('x', { sideEffects: 'Some' }))));
    assert.deepEqual([err.message, err.code, calls.length], ['admission webhook "x" does not support dry run', 400, 0]);
  });
  it('with match conditions fail by their policy where there is no CEL', async () => {
    const conditioned = (more: object) => configuration('Validating', 'v', hook('x', { matchConditions: [{ name: 'c', expression: 'true' }], ...more }));
    assert.match((await refusedBy(() => validate(attributes(pod()), conditioned({})))).message, /built without CEL/);
    await validate(attributes(pod()), conditioned({ failurePolicy: 'Ignore' }));
    assert.deepEqual(calls, []);
  });
  it('run inside the whole chain without a promise when there are none', () => {
    const reader = new FakeReader({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } }, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: 'default' } });
    const admission = createAdmission({ reader, loopback: { call: () => Promise.reject(new Error('not needed')) }, authorizer: { authorize: () => ({ decision: 'noOpinion', reason: '' }) }, clock: systemClock, random: () => 0.1, uid: () => 'u', webhooks: client, resolve: () => undefined });
    const a = attributes(pod());
    const [plugin] = admission.plugins;
    assert.equal(plugin!.admit!(a, signal), undefined);
    assert.equal((a.object as unknown as { spec: { serviceAccountName: string } }).spec.serviceAccountName, 'default');
    admission.stop();
  });

  it('WebhookTokenAuthenticator maps the answer, remembers it and asks once for requests that come together', async () => {
    handler = () => ({ raw: { status: { authenticated: true, user: { username: 'jane', groups: ['dev'] } } } });
    const tokens = new WebhookTokenAuthenticator({ client, target: { url: `https://127.0.0.1:${port}/token`, caBundle: caBundle() }, audiences: ['api'], clock: systemClock });
    const [first] = await Promise.all([tokens.authenticateToken('t', []), tokens.authenticateToken('t', [])]);
    assert.deepEqual(first, { user: { name: 'jane', groups: ['dev'] }, audiences: ['api'] });
    await tokens.authenticateToken('t', []);
    assert.deepEqual(calls, ['/token']);
  });
  it('WebhookAuthorizer passes on the answer, and has no opinion when nobody answers', async () => {
    handler = () => ({ raw: { status: { allowed: true, reason: 'fine' } } });
    const attributesOf = (name: string) => ({ isResourceRequest: true, verb: 'get', path: '', apiGroup: '', apiVersion: 'v1', namespace: 'default', resource: 'pods', subresource: '', name, user: { name: 'x', groups: [] } });
    const target = { url: `https://127.0.0.1:${port}/authz`, caBundle: caBundle() };
    const authorizer = new WebhookAuthorizer({ webhook: { post: (body, options) => client.post(target, { body, ...options }), close: () => {} }, clock: systemClock });
    assert.deepEqual(await authorizer.authorize(attributesOf('a'), signal), { decision: 'allow', reason: 'fine' });
    assert.ok(!(authorizer.authorize(attributesOf('a'), signal) instanceof Promise));
    handler = () => 'down';
    const failed = await authorizer.authorize(attributesOf('b'), signal);
    assert.deepEqual([failed.decision, typeof failed.error], ['noOpinion', 'string']);
  });
});
