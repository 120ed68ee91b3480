/** `credential-provider.yaml`: a private image is pulled with what a program says, which is asked as upstream asks it. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { PRIVATE_USER } from '../../images/registry.ts';
import { waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ guarded: { 'docker.io/private/app:1': BUSYBOX, 'docker.io/private/other:1': BUSYBOX } });

const pod = (name: string, image: string): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image, command: ['sleep', '3600'] }] } });

test('a private image is pulled with the credentials of a program, once for its registry', async (c) => {
  const config = (name: string): string => JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1', kind: 'CredentialProviderConfig',
    providers: [{
      name, apiVersion: 'credentialprovider.kubelet.k8s.io/v1', matchImages: ['docker.io/private'], defaultCacheDuration: '1h', env: [{ name: 'PASSWORD', value: PRIVATE_USER.password }],
      tokenAttributes: { serviceAccountTokenAudience: 'https://kubernetes.default.svc.cluster.local', cacheType: 'ServiceAccount', requireServiceAccount: true },
    }],
  });
  await c.down();
  await writeFile(`${c.dataDir}/credential-provider.yaml`, config('absent'));
  await assert.rejects(c.up());
  assert.match(await readFile(`${c.dataDir}/podyard.log`, 'utf8'), /plugin binary executable \S+\/credential-providers\/absent did not exist/);
  await mkdir(`${c.dataDir}/credential-providers`);
  const program = `${c.dataDir}/credential-providers/keys`;
  const answer = { kind: 'CredentialProviderResponse', apiVersion: 'credentialprovider.kubelet.k8s.io/v1', cacheKeyType: 'Registry', auth: { 'docker.io/private': { username: PRIVATE_USER.username, password: '$PASSWORD' } } };
  await writeFile(program, `#!/bin/sh\ncat >> ${c.dir}/asked; echo >> ${c.dir}/asked\ncat <<END\n${JSON.stringify(answer)}\nEND\n`);
  await chmod(program, 0o755);
  await writeFile(`${c.dataDir}/credential-provider.yaml`, config('keys'));
  await c.up();
  // Nodes may ask for audiences of their Pods, and for those that they are allowed to.
  await c.apply({
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: 'audience' },
    rules: [{ apiGroups: [''], resources: ['https://kubernetes.default.svc.cluster.local'], verbs: ['request-serviceaccounts-token-audience'] }],
  });
  await c.kubectl('create clusterrolebinding audience --clusterrole=audience --group=system:nodes');
  await c.apply(pod('first', 'private/app:1'));
  await waitForReady(c, 'first');
  await c.apply(pod('second', 'private/other:1'));
  await waitForReady(c, 'second');
  const asked = (await readFile(`${c.dir}/asked`, 'utf8')).trimEnd().split('\n');
  assert.equal(asked.length, 1);
  const { serviceAccountToken, ...request } = JSON.parse(asked[0]!) as { serviceAccountToken: string };
  assert.deepEqual(request, { kind: 'CredentialProviderRequest', apiVersion: 'credentialprovider.kubelet.k8s.io/v1', image: 'docker.io/private/app', serviceAccountAnnotations: {} });
  assert.equal((JSON.parse(Buffer.from(serviceAccountToken.split('.')[1]!, 'base64url').toString()) as { sub: string }).sub, 'system:serviceaccount:default:default');
});
