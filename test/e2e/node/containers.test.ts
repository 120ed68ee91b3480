/** What a container finds itself in: its user, rights and namespaces, its environment, its names. */
import assert from 'node:assert/strict';
import { mkdir, readlink, writeFile } from 'node:fs/promises';
import { waitForEvent, waitForLog, waitForPhase, waitForPod } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';
import type { TestCluster } from '../harness/cluster.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const container = (command: string, more: object = {}): object => ({ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', `${command}; echo end`], ...more });
const pod = (name: string, spec: object, command: string, more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: name, tier: 'front' }, annotations: { note: 'a\nb' } }, spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 0, containers: [container(command, more)], ...spec } });
const apply = (c: TestCluster, ...items: object[]) => c.apply({ apiVersion: 'v1', kind: 'List', items });
/** Everything that the Pod's container printed, once it is done. */
async function printed(c: TestCluster, name: string): Promise<string> {
  await waitForPod(c, name, 'at its end', (p) => p.status?.phase === 'Succeeded' || p.status?.phase === 'Failed');
  return await waitForLog(c, name, /^end$/m);
}
const STATUS = 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status';

test('users, groups, capabilities, seccomp and a root that cannot be written to are as the security context says', async (c) => {
  const { dataDir } = c;
  await mkdir(`${dataDir}/kubelet/seccomp`, { recursive: true });
  await writeFile(`${dataDir}/kubelet/seccomp/no-mkdir.json`, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }] }));
  await apply(c,
    pod('user', { securityContext: { runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, supplementalGroups: [4000] }, volumes: [{ name: 'v', emptyDir: {} }] }, 'id -u; id -g; id -G; touch /v/f; stat -c "%u %g" /v/f', { volumeMounts: [{ name: 'v', mountPath: '/v' }] }),
    pod('bare', {}, `${STATUS}; touch /there && echo written`),
    pod('strict', { securityContext: { seccompProfile: { type: 'RuntimeDefault' } } }, `${STATUS}; touch /there 2>&1 || echo refused`, { securityContext: { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } } }),
    pod('profile', {}, 'mkdir /new 2>&1 || echo refused', { securityContext: { seccompProfile: { type: 'Localhost', localhostProfile: 'no-mkdir.json' } } }),
    pod('privileged', {}, `${STATUS}; mount -t tmpfs t /root && echo mounted`, { securityContext: { privileged: true } }),
    pod('not-root', { securityContext: { runAsNonRoot: true } }, 'id -u'),
  );
  assert.equal(await printed(c, 'user'), '1000\n2000\n2000 3000 4000\n1000 3000\nend\n');
  assert.match(await printed(c, 'bare'), /^CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t0\nwritten\n/);
  assert.match(await printed(c, 'strict'), /^CapEff:\t0000000000000400\nNoNewPrivs:\t1\nSeccomp:\t2\ntouch: \/there: Read-only file system\nrefused\n/);
  assert.match(await printed(c, 'profile'), /Operation not permitted\nrefused\n/);
  assert.match(await printed(c, 'privileged'), /^CapEff:\t000001f[0-9a-f]{9}\nNoNewPrivs:\t0\nSeccomp:\t0\nmounted\n/);
  await waitForEvent(c, 'not-root', 'Failed', /^Error: container has runAsNonRoot and image will run as root \(pod: "not-root_default\([0-9a-f-]{36}\)", container: c\)$/);
  await c.kubectl('delete pod --all --now');
});

test('sysctls: safe ones are set, others are refused; the host\'s namespaces; names for addresses; a class of runtime', async (c) => {
  await apply(c,
    { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'plain' }, handler: 'runc' },
    { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'odd' }, handler: 'nowhere' },
    pod('sysctls', { securityContext: { sysctls: [{ name: 'net.ipv4.ip_local_port_range', value: '20000 21000' }, { name: 'kernel.shm_rmid_forced', value: '1' }] } }, 'cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced'),
    pod('unsafe', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '65536' }] } }, 'true'),
    pod('host', { hostNetwork: true, hostPID: true, hostIPC: true }, 'for n in net pid ipc; do readlink /proc/self/ns/$n; done'),
    pod('aliases', { hostAliases: [{ ip: '192.0.2.7', hostnames: ['one.example', 'two.example'] }] }, 'cat /etc/hosts'),
  );
  // Classes are read by the API server's admission, which has its own copy of them a moment later.
  for (const [name, runtimeClassName] of [['classed', 'plain'], ['odd', 'odd']] as const) await apply(c, pod(name, { runtimeClassName }, 'echo ran'));
  assert.equal(await printed(c, 'sysctls'), '20000\t21000\n1\nend\n');
  const refused = await waitForPhase(c, 'unsafe', 'Failed');
  assert.deepEqual([refused.status?.reason, refused.status?.message], ['SysctlForbidden', 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted']);
  assert.equal(await printed(c, 'host'), `${(await Promise.all(['net', 'pid', 'ipc'].map((n) => readlink(`/proc/self/ns/${n}`)))).join('\n')}\nend\n`);
  assert.match(await printed(c, 'aliases'), /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n[^]*^10\.\d+\.\d+\.\d+\taliases\n\n# Entries added by HostAliases\.\n192\.0\.2\.7\tone\.example\ttwo\.example\nend\n$/m);
  assert.equal(await printed(c, 'classed'), 'ran\nend\n');
  await waitForEvent(c, 'odd', 'FailedCreatePodSandBox', /no runtime for "nowhere" is configured/);
  await c.kubectl('delete pod --all --now');
});

test('the environment: from ConfigMaps, Secrets, the Pod, resources and a file; references expanded; Services', async (c) => {
  await apply(c,
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'settings' }, data: { color: 'blue', SIZE: 'L' } },
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys' }, stringData: { TOKEN: 's3cret' } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'back-end' }, spec: { ports: [{ name: 'web', port: 80 }], selector: { app: 'none' } } },
  );
  const field = (fieldPath: string): object => ({ valueFrom: { fieldRef: { fieldPath } } });
  const env = [
    { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
    { name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'TOKEN' } } },
    { name: 'ABSENT', valueFrom: { configMapKeyRef: { name: 'none', key: 'x', optional: true } } },
    { name: 'BOTH', value: '$(COLOR)-$(KEY) $$(COLOR) $(NOT_THERE)' },
    { name: 'NAME', ...field('metadata.name') }, { name: 'TIER', ...field("metadata.labels['tier']") }, { name: 'NOTE', ...field("metadata.annotations['note']") },
    { name: 'NODE', ...field('spec.nodeName') }, { name: 'ACCOUNT', ...field('spec.serviceAccountName') }, { name: 'IP', ...field('status.podIP') }, { name: 'HOST_IP', ...field('status.hostIP') }, { name: 'UID', ...field('metadata.uid') },
    { name: 'MEMORY', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } }, { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'requests.cpu', divisor: '1m' } } },
  ];
  const envFrom = [{ prefix: 'SET_', configMapRef: { name: 'settings' } }, { secretRef: { name: 'keys' } }, { configMapRef: { name: 'none', optional: true } }];
  await apply(c, pod('env', {}, 'env; echo "args $0 $@"', { env, envFrom, args: ['$(COLOR)', '$(NOT_THERE)'], resources: { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '1', memory: '64Mi' } } }), pod('no-links', { enableServiceLinks: false }, 'env'));
  const made = await waitForPod(c, 'env', 'ended', (p) => p.status?.phase === 'Succeeded');
  const lines = new Set((await printed(c, 'env')).split('\n'));
  const expected = [
    'COLOR=blue', 'KEY=s3cret', 'BOTH=blue-s3cret $(COLOR) $(NOT_THERE)', 'NAME=env', 'TIER=front', 'NOTE=a', 'NODE=node01', 'ACCOUNT=default', `IP=${made.status?.podIP}`, `HOST_IP=${made.status?.hostIP}`, `UID=${made.metadata.uid}`,
    'MEMORY=64', 'CPU=100', 'SET_color=blue', 'SET_SIZE=L', 'TOKEN=s3cret', 'BACK_END_SERVICE_PORT=80', 'BACK_END_SERVICE_PORT_WEB=80', 'HOSTNAME=env', 'args blue $(NOT_THERE)',
  ];
  assert.deepEqual(expected.filter((l) => !lines.has(l)), [], [...lines].join('\n'));
  assert.ok(![...lines].some((l) => l.startsWith('ABSENT')));
  const unlinked = await printed(c, 'no-links');
  assert.match(unlinked, /^KUBERNETES_SERVICE_HOST=10\./m);
  assert.doesNotMatch(unlinked, /BACK_END/);
  await c.kubectl('delete pod --all --now');
});

test('names and resolvers: hostname, subdomain, the full name as host name; each DNS policy and what a Pod adds', async (c) => {
  const { dnsIP } = await c.config();
  const resolver = 'cat /etc/resolv.conf';
  await apply(c,
    pod('named', { hostname: 'own', subdomain: 'sub' }, 'hostname; hostname -f; grep own /etc/hosts'),
    pod('full-name', { hostname: 'own', subdomain: 'sub', setHostnameAsFQDN: true }, 'hostname'),
    pod('dns-first', {}, resolver),
    pod('dns-none', { dnsPolicy: 'None', dnsConfig: { nameservers: ['192.0.2.53'], searches: ['one.example', 'two.example'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] } }, resolver),
    pod('dns-more', { dnsConfig: { searches: ['more.example'], options: [{ name: 'ndots', value: '3' }] } }, resolver),
    pod('dns-default', { dnsPolicy: 'Default' }, resolver),
    pod('dns-host', { dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true }, resolver),
  );
  const full = 'own.sub.default.svc.cluster.local';
  assert.match(await printed(c, 'named'), new RegExp(`^own\n${full}\n10\\.\\d+\\.\\d+\\.\\d+\t${full}\town\nend\n$`));
  assert.equal(await printed(c, 'full-name'), `${full}\nend\n`);
  const first = await printed(c, 'dns-first');
  assert.match(first, new RegExp(`^search default\\.svc\\.cluster\\.local svc\\.cluster\\.local cluster\\.local.*\nnameserver ${dnsIP}\noptions ndots:5\n`));
  assert.equal(await printed(c, 'dns-none'), 'search one.example two.example\nnameserver 192.0.2.53\noptions ndots:2 edns0\nend\n');
  assert.match(await printed(c, 'dns-more'), new RegExp(`^search default\\.svc\\.cluster\\.local .* ?more\\.example\nnameserver ${dnsIP}\noptions ndots:3\n`));
  assert.doesNotMatch(await printed(c, 'dns-default'), new RegExp(dnsIP));
  assert.equal(await printed(c, 'dns-host'), first);
  await c.kubectl('delete pod --all --now');
});
