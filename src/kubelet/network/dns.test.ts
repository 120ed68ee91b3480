import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { PodSpec } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { kubeletConfig } from '../testing/running-kubelet.ts';
import { checkHostname, parseResolvConf, podHostname, podResolver } from './dns.ts';
import { hostsFile } from './hosts-file.ts';

let dir = '';
let resolvConf = '';
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'podyard-dns-'));
  resolvConf = join(dir, 'resolv.conf');
  await writeFile(resolvConf, '# comment\nnameserver 192.0.2.53\nsearch old\nsearch example.com corp.\noptions timeout:1\n');
});
after(() => rm(dir, { recursive: true, force: true }));
const CLUSTER = ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local'];

const ROWS: readonly { name: string; spec: Partial<PodSpec>; want: object; clusterDNS?: string[]; warns?: RegExp }[] = [
  { name: 'ClusterFirst', spec: {}, want: { servers: ['10.96.0.10'], searches: [...CLUSTER, 'example.com', 'corp'], options: ['ndots:5'] } },
  { name: 'ClusterFirst in the host\'s network is the host\'s', spec: { hostNetwork: true }, want: { servers: ['192.0.2.53'], searches: ['example.com', 'corp'], options: ['timeout:1'] } },
  { name: 'ClusterFirstWithHostNet', spec: { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }, want: { servers: ['10.96.0.10'], searches: [...CLUSTER, 'example.com', 'corp'], options: ['ndots:5'] } },
  { name: 'Default', spec: { dnsPolicy: 'Default' }, want: { servers: ['192.0.2.53'], searches: ['example.com', 'corp'], options: ['timeout:1'] } },
  { name: 'None takes the Pod\'s own alone', spec: { dnsPolicy: 'None', dnsConfig: { nameservers: ['1.1.1.1'], searches: ['a'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] } }, want: { servers: ['1.1.1.1'], searches: ['a'], options: ['ndots:2', 'edns0'] } },
  { name: 'dnsConfig adds, and overrides options', spec: { dnsConfig: { nameservers: ['1.1.1.1', '10.96.0.10'], searches: ['cluster.local', 'a'], options: [{ name: 'ndots', value: '1' }] } }, want: { servers: ['10.96.0.10', '1.1.1.1'], searches: [...CLUSTER, 'example.com', 'corp', 'a'], options: ['ndots:1'] } },
  { name: 'no more than three servers', spec: { dnsPolicy: 'None', dnsConfig: { nameservers: ['1', '2', '3', '4'] } }, want: { servers: ['1', '2', '3'], searches: [], options: [] }, warns: /^DNSConfigForming Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 1 2 3$/ },
  { name: 'no more than 32 search domains', spec: { dnsPolicy: 'None', dnsConfig: { searches: Array.from({ length: 40 }, (_, i) => `d${i}`) } }, want: { servers: [], searches: Array.from({ length: 32 }, (_, i) => `d${i}`), options: [] }, warns: /^DNSConfigForming Search Line limits were exceeded/ },
  { name: 'a cluster without DNS falls back to the host\'s', spec: {}, clusterDNS: [], want: { servers: ['192.0.2.53'], searches: ['example.com', 'corp'], options: ['timeout:1'] }, warns: /^MissingClusterDNS kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy\. Falling back to "Default" policy\.$/ },
];
for (const { name, spec, want, clusterDNS, warns } of ROWS) {
  test(`podResolver: ${name}`, async () => {
    const told: string[] = [];
    const got = await podResolver(makePod().spec(spec).build(), kubeletConfig(dir, { resolvConf, ...(clusterDNS ? { clusterDNS } : {}) }), (message, reason = 'DNSConfigForming') => told.push(`${reason} ${message}`));
    assert.deepEqual(got, want);
    if (warns) assert.match(told.join('\n'), warns);
    else assert.deepEqual(told, []);
  });
}
test('parseResolvConf: the last search line counts, the root domain stays', () => {
  assert.deepEqual(parseResolvConf('nameserver 1\nnameserver  2 \ndomain a\nsearch . b.\n'), { servers: ['1', '2'], searches: ['.', 'b'], options: [] });
});
for (const [name, spec, want] of [
  ['web', {}, { hostname: 'web', domain: '' }],
  ['web', { hostname: 'h', subdomain: 's' }, { hostname: 'h', domain: 's.default.svc.cluster.local' }],
  [`${'a'.repeat(62)}-b`, {}, { hostname: 'a'.repeat(62), domain: '' }],
  ['web', { hostnameOverride: 'x.example', subdomain: 's' }, { hostname: 'x.example', domain: '' }],
] as const) {
  test(`podHostname: ${name.slice(0, 8)} with ${JSON.stringify(spec)}`, () => assert.deepEqual(podHostname(makePod(name).spec(spec).build(), 'cluster.local'), want));
}
test('checkHostname refuses a full name that the kernel cannot hold', () => {
  const pod = makePod('a'.repeat(40)).spec({ subdomain: 'sub', setHostnameAsFQDN: true }).build();
  assert.throws(() => checkHostname(pod, 'cluster.local'), /^Error: failed to construct FQDN from pod hostname and cluster domain, FQDN a+\.sub\.default\.svc\.cluster\.local is too long \(64 characters is the max, 70 characters requested\)$/);
  checkHostname(makePod('web').spec({ subdomain: 'sub', setHostnameAsFQDN: true }).build(), 'cluster.local');
});
test('hostsFile names the Pod, its domain and its aliases', async () => {
  const pod = makePod().spec({ hostname: 'h', subdomain: 's', hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] }).build();
  assert.equal(await hostsFile(pod, ['10.0.0.5', 'fd00::5'], 'cluster.local'), [
    '# Kubernetes-managed hosts file.', '127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback', 'fe00::0\tip6-localnet', 'fe00::0\tip6-mcastprefix', 'fe00::1\tip6-allnodes', 'fe00::2\tip6-allrouters',
    '10.0.0.5\th.s.default.svc.cluster.local\th', 'fd00::5\th.s.default.svc.cluster.local\th', '', '# Entries added by HostAliases.', '1.2.3.4\ta\tb', '',
  ].join('\n'));
});
test('hostsFile of a Pod in the host\'s network is the host\'s', async () => {
  assert.match(await hostsFile(makePod().spec({ hostNetwork: true }).build(), [], 'cluster.local'), /^# Kubernetes-managed hosts file \(host network\)\.\n/);
});
