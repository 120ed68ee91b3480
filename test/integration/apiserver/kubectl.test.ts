import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { manifest, startServer, type Fixture } from './fixture.ts';

/** kubectl of any release from 1.24 on; a machine without it has no such clients to please. */
function kubectlVersion(): string | undefined {
  try {
    return execFileSync('kubectl', ['version', '--client'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}
const skip = kubectlVersion() === undefined ? 'kubectl is not on the PATH' : false;

let fixture: Fixture;
before(async () => {
  fixture = await startServer();
  await fixture.kubectl(['create', 'namespace', 'default']);
});
after(() => fixture.close());

async function ok(args: readonly string[], input?: string, env?: Readonly<Record<string, string>>): Promise<string> {
  const { code, stdout, stderr } = await fixture.kubectl(args, input, env);
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test('kubectl creates, changes, shows and deletes', { skip }, async () => {
  assert.equal(await ok(['create', 'namespace', 'dev']), 'namespace/dev created\n');
  assert.equal(await ok(['-n', 'dev', 'create', 'configmap', 'c', '--from-literal=a=b']), 'configmap/c created\n');
  assert.equal(await ok(['-n', 'dev', 'label', 'configmap', 'c', 'x=y']), 'configmap/c labeled\n');
  assert.equal(await ok(['-n', 'dev', 'patch', 'cm', 'c', '-p', '{"data":{"d":"e"}}']), 'configmap/c patched\n');
  assert.equal(await ok(['-n', 'dev', 'get', 'cm', 'c', '-o', 'jsonpath={.data}']), '{"a":"b","d":"e"}');
  assert.match(await ok(['-n', 'dev', 'get', 'cm']), /^NAME +DATA +AGE\nc +2 +\d+s\n$/);
  assert.match(await ok(['-n', 'dev', 'describe', 'cm', 'c']), /Name: +c\nNamespace: +dev\nLabels: +x=y/);
  assert.match(await ok(['-n', 'dev', 'delete', 'cm', 'c']), /^configmap "c" deleted/);
});

test('kubectl apply creates, leaves alone, configures, and reports what is wrong', { skip }, async () => {
  const file = await manifest(fixture, 'web.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: nginx, image: nginx}]}\n');
  assert.equal(await ok(['apply', '-f', file]), 'pod/web created\n');
  assert.equal(await ok(['apply', '-f', file]), 'pod/web unchanged\n');
  const changed = await manifest(fixture, 'web.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {a: b}}\nspec: {containers: [{name: nginx, image: nginx}]}\n');
  assert.equal(await ok(['apply', '-f', changed]), 'pod/web configured\n');
  assert.equal(await ok(['apply', '--server-side', '-f', changed, '--force-conflicts']), 'pod/web serverside-applied\n');
  const typo = await fixture.kubectl(['apply', '-f', '-'], 'apiVersion: v1\nkind: Pod\nmetadata: {name: t}\nspec: {containers: [{name: a, imagee: x}]}\n');
  assert.equal(typo.code, 1);
  assert.match(typo.stderr, /Error from server \(BadRequest\): error when creating "STDIN": Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec\.containers\[0\]\.imagee"/);
  assert.match(await ok(['get', 'pods', '-o', 'wide']), /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\nweb +0\/1 +Pending +0 +\d+s +<none> +<none> +<none> +<none>\n$/);
});

test('kubectl understands discovery, OpenAPI, reviews and tokens', { skip }, async () => {
  assert.match(await ok(['api-resources']), /\npods +po +v1 +true +Pod\n/);
  assert.match(await ok(['api-versions']), /\napps\/v1\n/);
  assert.match(await ok(['explain', 'deployment.spec.replicas']), /FIELD: replicas <integer>/);
  assert.equal(await ok(['auth', 'can-i', 'create', 'pods']), 'yes\n');
  await ok(['create', 'serviceaccount', 'robot']);
  assert.match(await ok(['create', 'token', 'robot']), /^[\w-]+\.[\w-]+.[\w-]+\n?$/);
  assert.match(await ok(['auth', 'whoami']), /kubernetes-admin/);
});

test('kubectl scales, waits and watches', { skip }, async () => {
  await ok(['create', 'deployment', 'd', '--image=x']);
  assert.equal(await ok(['scale', 'deployment', 'd', '--replicas=3']), 'deployment.apps/d scaled\n');
  const waiting = fixture.kubectl(['wait', 'cm/late', '--for=jsonpath={.data.ready}=yes', '--timeout=30s']);
  await ok(['create', 'cm', 'late', '--from-literal=ready=no']);
  const waited = fixture.kubectl(['wait', 'cm/late', '--for=jsonpath={.data.ready}=yes', '--timeout=30s']);
  await ok(['patch', 'cm', 'late', '-p', '{"data":{"ready":"yes"}}']);
  assert.equal((await waited).stdout, 'configmap/late condition met\n');
  await waiting;
  assert.match((await fixture.kubectl(['get', 'cm', 'nothing'])).stderr, /^Error from server \(NotFound\): configmaps "nothing" not found\n$/);
});

test('kubectl diff shows what would change, replace and edit change it', { skip }, async () => {
  const text = (value: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: edited\ndata:\n  key: ${value}\n`;
  await ok(['create', '-f', await manifest(fixture, 'edited.yaml', text('one'))]);
  const two = await manifest(fixture, 'edited.yaml', text('two'));
  const diff = await fixture.kubectl(['diff', '-f', two]);
  assert.equal(diff.code, 1);
  assert.match(diff.stdout, /^-  key: one\n\+  key: two$/m);
  const ssa = await fixture.kubectl(['diff', '--server-side', '--force-conflicts', '-f', two]);
  assert.match(ssa.stdout, /^-  key: one\n\+  key: two$/m);
  assert.equal(await ok(['get', 'cm', 'edited', '-o', 'jsonpath={.data.key}']), 'one', 'diff is a dry run');
  assert.equal(await ok(['replace', '-f', two]), 'configmap/edited replaced\n');
  assert.equal((await fixture.kubectl(['diff', '-f', two])).code, 0);
  assert.match(await ok(['replace', '--force', '-f', two]), /configmap "edited" deleted[^\n]*\nconfigmap\/edited replaced\n$/);
  const editor = await manifest(fixture, 'editor.sh', '#!/bin/sh\nsed -i "s/key: two/key: three/" "$1"\n');
  await chmod(editor, 0o755);
  assert.equal(await ok(['edit', 'cm', 'edited'], undefined, { KUBE_EDITOR: editor }), 'configmap/edited edited\n');
  assert.equal(await ok(['get', 'cm', 'edited', '-o', 'jsonpath={.data.key}']), 'three');
  const broken = await manifest(fixture, 'broken.sh', '#!/bin/sh\ngrep -q "data.A B" "$1" && exec sed -i "/A B/d" "$1"\nsed -i "s/key: three/A B: x/" "$1"\n');
  await chmod(broken, 0o755);
  const refused = await fixture.kubectl(['edit', 'cm', 'edited'], undefined, { KUBE_EDITOR: broken });
  assert.match(`${refused.stdout}${refused.stderr}`, /configmaps "edited" was not valid:\n \* data\[A B\]: Invalid value: "A B"|error: configmaps "edited" is invalid/);
});
