import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CertificateSigningRequestSpec } from '#api/gen/certificates-v1.ts';
import type { Node } from '#api/gen/core-v1.ts';
import { servingApprovalProblem, type ReservedNames } from './serving-rules.ts';
import type { RequestContents } from './signer-rules.ts';

const node = (name: string, ...addresses: readonly (readonly [type: string, address: string])[]): Node => ({ metadata: { name }, spec: {}, status: { addresses: addresses.map(([type, address]) => ({ type, address })) } });
const nodes: readonly Node[] = [
  node('a', ['InternalIP', '10.0.0.6'], ['ExternalIP', '198.51.100.6'], ['ExternalIP', '2001:db8::6'], ['Hostname', 'a'], ['InternalDNS', 'a.example.org'], ['ExternalDNS', 'A.example.com.']),
  node('b', ['InternalIP', '10.0.0.7'], ['Hostname', 'b.example.org']),
  // What a node says of itself is not believed where it is another's.
  node('liar', ['InternalIP', '10.0.0.5'], ['InternalIP', '10.0.0.7'], ['InternalIP', '10.96.3.4'], ['InternalIP', '127.0.0.1'], ['Hostname', 'server'], ['Hostname', 'b'], ['InternalDNS', 'hook.web.svc'], ['InternalDNS', 'hook.web.svc.cluster.local'], ['InternalDNS', '*.default'], ['ExternalDNS', 'localhost'], ['ExternalDNS', 'b.example.org']),
  node('kubernetes'),
];
const reserved: ReservedNames = { server: ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost', '10.96.0.1', '127.0.0.1', '::1', '10.0.0.5', 'server'], serviceCIDR: '10.96.0.0/16', clusterDomain: 'cluster.local' };

describe('servingApprovalProblem', () => {
  type Row = readonly [name: string, asks: Partial<RequestContents>, problem?: string, spec?: Partial<CertificateSigningRequestSpec>];
  const table: readonly (readonly [who: string, rows: readonly Row[]])[] = [
    ['a', [
      ['its name and addresses', { dnsNames: ['a'], ipAddresses: ['10.0.0.6', '198.51.100.6'] }],
      ['its other names, however written', { dnsNames: ['A', 'a.example.org', 'a.example.com'] }],
      ['an address, however written', { ipAddresses: ['2001:DB8:0::6', '::ffff:10.0.0.6'] }],
      ['nothing', {}, 'DNS or IP subjectAltName is required'],
      ['a URI', { dnsNames: ['a'], uris: ['spiffe://x'] }, 'URI subjectAltNames are not allowed'],
      ['an address of nobody', { ipAddresses: ['10.0.0.6', '10.0.0.9'] }, 'the address "10.0.0.9" is not one of Node "a"'],
      ['a name of nobody', { dnsNames: ['a', 'a.example.net'] }, 'the name "a.example.net" is not one of Node "a"'],
      ['an address as a name', { dnsNames: ['10.0.0.6'] }, 'the name "10.0.0.6" is not one of Node "a"'],
      ['what is no address', { ipAddresses: ['10.0.0.6/24'] }, 'the address "10.0.0.6/24" is not one of Node "a"'],
      ['the address of the server', { ipAddresses: ['::ffff:10.0.0.5'] }, 'the address "::ffff:10.0.0.5" belongs to the API server'],
      ['another node', { dnsNames: ['b'] }, 'the name "b" belongs to Node "b"'],
      ['another group', { dnsNames: ['a'] }, '"system:node:a" is not in the group system:nodes', { groups: ['system:authenticated'] }],
      ['a client certificate', { dnsNames: ['a'] }, 'usages did not match [digital signature key encipherment server auth]', { usages: ['digital signature', 'client auth'] }],
      ['for another', { commonName: 'system:node:b', dnsNames: ['a'] }, 'it is for "system:node:b" and "system:node:a" asks for it, where a node may ask for itself alone'],
      ['by another', { dnsNames: ['a'] }, 'it is for "system:node:a" and "jane" asks for it, where a node may ask for itself alone', { username: 'jane' }],
      ['as no node', { commonName: 'jane', dnsNames: ['a'] }, 'it is for "jane" and "jane" asks for it, where a node may ask for itself alone', { username: 'jane' }],
      ['another organization', { organizations: ['system:masters'], dnsNames: ['a'] }, 'subject organization is not system:nodes'],
    ]],
    ['gone', [['its name', { dnsNames: ['gone'] }, 'there is no Node "gone"']]],
    ['kubernetes', [['its name', { dnsNames: ['kubernetes'] }, 'the name "kubernetes" belongs to the API server']]],
    ['liar', [
      ['its name', { dnsNames: ['liar'] }],
      ['the address of the server', { ipAddresses: ['10.0.0.5'] }, 'the address "10.0.0.5" belongs to the API server'],
      ['the name of the server', { dnsNames: ['SERVER.'] }, 'the name "SERVER." belongs to the API server'],
      ['the loopback', { ipAddresses: ['127.0.0.1'] }, 'the address "127.0.0.1" belongs to the API server'],
      ['localhost', { dnsNames: ['localhost'] }, 'the name "localhost" belongs to the API server'],
      ['the address of a Service', { ipAddresses: ['10.96.3.4'] }, 'the address "10.96.3.4" belongs to Services'],
      ['the name of a Service', { dnsNames: ['hook.web.svc'] }, 'the name "hook.web.svc" belongs to Services'],
      ['the whole name of a Service', { dnsNames: ['hook.web.svc.cluster.local'] }, 'the name "hook.web.svc.cluster.local" belongs to Services'],
      ['all names of a domain', { dnsNames: ['*.default'] }, 'the name "*.default" stands for many'],
      ['the address of another node', { ipAddresses: ['10.0.0.7'] }, 'the address "10.0.0.7" belongs to Node "b"'],
      ['the name of another node', { dnsNames: ['b'] }, 'the name "b" belongs to Node "b"'],
      ['another name of another node', { dnsNames: ['b.example.org'] }, 'the name "b.example.org" belongs to Node "b"'],
    ]],
  ];
  for (const [who, rows] of table) {
    for (const [name, asks, problem, more] of rows) {
      test(`${who} asks for ${name}: ${problem ?? 'may have it'}`, () => {
        const spec: CertificateSigningRequestSpec = { request: '', signerName: 'kubernetes.io/kubelet-serving', usages: ['digital signature', 'server auth'], username: `system:node:${who}`, groups: ['system:nodes', 'system:authenticated'], ...more };
        const contents: RequestContents = { commonName: `system:node:${who}`, organizations: ['system:nodes'], dnsNames: [], ipAddresses: [], emails: [], uris: [], ...asks };
        assert.equal(servingApprovalProblem(spec, contents, nodes, reserved), problem);
      });
    }
  }
});
