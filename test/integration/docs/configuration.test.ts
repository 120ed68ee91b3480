import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { userOfClaims } from '#apiserver/authentication/claim-mapping.ts';
import { parseAuthenticationConfiguration } from '#apiserver/authentication/jwt-configuration.ts';
import { parseAuthorizationConfiguration } from '#apiserver/authorization/configuration.ts';
import { matches } from '#apiserver/authorization/match.ts';
import { parseAuditPolicy } from '#apiserver/audit/policy.ts';
import { ciphersFor, parseEncryptionConfiguration, type KmsConfiguration } from '#apiserver/encryption/configuration.ts';
import { IDENTITY } from '#apiserver/encryption/providers.ts';
import { parseTracingConfiguration } from '#apiserver/tracing/configuration.ts';
import { openKubeconfigWebhook } from '#apiserver/webhook/kubeconfig.ts';
import { systemClock } from '#base/clock.ts';
import { parseRegistries } from '#cluster/runtime/registries.ts';
import { KUBELET_DEFAULTS } from '#kubelet/config.ts';
import { parseKubeletConfiguration } from '#kubelet/configuration.ts';
import { reservedByNode } from '#kubelet/memorymanager/reserved-memory.ts';
import { parseYaml } from '#machinery/yaml.ts';

const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
/** The YAML example under a heading that begins with the file's name; `which` is the word after "yaml". */
function example(file: string, which = ''): string {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${file}:`));
  const text = section && new RegExp(`^\`\`\`yaml${which && ` ${which}`}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(section)?.[1];
  assert.ok(text, `docs/configuration.md has an example of ${file}`);
  return text;
}

test('the example of encryption.yaml encrypts Secrets and nothing else', () => {
  const configuration = parseEncryptionConfiguration(example('encryption.yaml'));
  assert.match(ciphersFor(configuration, '', 'secrets')![0]!.encrypt(Buffer.from('{}'), '/registry/secrets/a/b').toString('latin1'), /^k8s:enc:aesgcm:v1:key1:/);
  assert.equal(ciphersFor(configuration, '', 'configmaps'), undefined);
});
test('the example of encryption.yaml with a KMS names its socket', () => {
  const seen: KmsConfiguration[] = [];
  parseEncryptionConfiguration(example('encryption.yaml', 'kms'), (kms) => {
    seen.push(kms);
    return IDENTITY;
  });
  assert.deepEqual(seen, [{ name: 'vault', endpoint: 'unix:///run/kms/vault.sock', timeoutMs: 3000 }]);
});
test('the example of authentication.yaml makes users of its issuer, and opens health to everybody', () => {
  const { jwt, anonymous } = parseAuthenticationConfiguration(example('authentication.yaml'));
  assert.deepEqual(userOfClaims({ sub: 'ann', roles: ['dev'], tenant: 't1', iat: 0, exp: 60 }, jwt[0]!), { name: 'example:ann', groups: ['example:dev'], extra: { 'example.com/tenant': ['t1'] } });
  assert.throws(() => userOfClaims({ sub: 'ann', tenant: 't1', iat: 0, exp: 90_000 }, jwt[0]!), /tokens of more than a day are not taken/);
  assert.deepEqual(anonymous, { paths: ['/livez', '/readyz', '/healthz'] });
});
test('the example of authorization.yaml asks a webhook about Secrets before RBAC', () => {
  // The kubeconfig file must be there: this file stands in for it.
  const [gate, ...own] = parseAuthorizationConfiguration(example('authorization.yaml').replace('/etc/podyard/gate.kubeconfig', import.meta.filename));
  assert.deepEqual(own, [{ type: 'Node', name: 'node' }, { type: 'RBAC', name: 'rbac' }]);
  assert.ok(gate?.type === 'Webhook');
  const asks = (user: string, resource: string) => matches(gate.webhook.matchConditions, { user, groups: [], resourceAttributes: { resource } }).matches;
  assert.deepEqual([asks('ann', 'secrets'), asks('ann', 'pods'), asks('system:node:a', 'secrets')], [true, false, false]);
});
test('the example of audit-policy.yaml is a policy', () => assert.deepEqual(parseAuditPolicy(example('audit-policy.yaml')).map((r) => r.decision.level), ['None', 'None', 'Metadata', 'RequestResponse', 'Metadata']));
test('the example of audit-webhook.yaml names its collector', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-docs-'));
  try {
    const path = join(dir, 'audit-webhook.yaml');
    await writeFile(path, example('audit-policy.yaml', 'webhook').replaceAll('/etc/podyard', dir));
    await writeFile(join(dir, 'audit-ca.crt'), rootCertificates[0]!);
    (await openKubeconfigWebhook({ path, clock: systemClock, random: Math.random, initialBackoffMs: 1 })).close();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
test('the example of kubelet.yaml reserves and evicts', () => {
  const { systemReserved, evictionSoftGracePeriodMs } = parseKubeletConfiguration(example('kubelet.yaml'));
  assert.deepEqual([systemReserved, evictionSoftGracePeriodMs], [{ cpu: '250m', memory: '512Mi' }, { 'memory.available': 90_000 }]);
});
test('the example of kubelet.yaml with NUMA nodes reserves as much as the node keeps', () => {
  const choices = { ...KUBELET_DEFAULTS, ...parseKubeletConfiguration(example('kubelet.yaml', 'numa')) };
  const nodes = [0, 1].map((id) => ({ id, memoryBytes: 2 ** 36, hugePages: {}, distances: undefined }));
  assert.equal(choices.topologyManagerPolicy, 'single-numa-node');
  assert.equal(reservedByNode(choices, nodes, 2 ** 37).size, 2);
});
test('the example of tracing.yaml samples one request in a hundred', () => assert.deepEqual(parseTracingConfiguration(example('tracing.yaml')), { endpoint: 'localhost:4317', samplingRatePerMillion: 10_000 }));
test('the example of registries.yaml names mirrors and credentials', () => {
  const { mirrors, configs } = parseRegistries(parseYaml(example('registries.yaml')));
  assert.deepEqual([...mirrors.keys()], ['docker.io', 'registry.example.com']);
  assert.equal(configs.get('mirror.example.com')?.auth?.username, 'reader');
});
