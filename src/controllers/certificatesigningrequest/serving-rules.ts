/**
 * Which serving certificates of kubelets may be approved without a person: a node's own, for names and addresses that are its and nobody else's.
 * Source: reference/access-authn-authz/kubelet-tls-bootstrapping, "Client and serving certificates"; docs/decisions/0015-joining-nodes.md.
 */
import type { CertificateSigningRequestSpec } from '#api/gen/certificates-v1.ts';
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { cidrContains, ipText, parseCIDR, parseIP } from '#machinery/ip.ts';
import { kubeletServingProblem, type RequestContents } from './signer-rules.ts';

const USER = 'system:node:';
const GROUP = 'system:nodes';
const DNS_TYPES: ReadonlySet<string> = new Set(['Hostname', 'InternalDNS', 'ExternalDNS']);
const IP_TYPES: ReadonlySet<string> = new Set(['InternalIP', 'ExternalIP']);

/** What no node answers for. */
export interface ReservedNames {
  /** Every name and address in the API server's certificate. */
  readonly server: readonly string[];
  readonly serviceCIDR: string;
  /** All names of Services end with it. */
  readonly clusterDomain: string;
}

/** One text for all ways to write a name or an address. */
function canonical(text: string): string {
  const ip = parseIP(text);
  return ip ? ipText(ip) : text.toLowerCase().replace(/\.$/, '');
}
function addressesOf(node: Node, types?: ReadonlySet<string>): string[] {
  return (node.status?.addresses ?? []).filter((a) => !types || types.has(a.type)).map((a) => canonical(a.address));
}
/** Whom a canonical name or address belongs to, where that is not the node's to say: a node writes its own addresses. */
function ownerOf(text: string, others: readonly Node[], { server, serviceCIDR, clusterDomain }: ReservedNames): string | undefined {
  if (server.some((s) => canonical(s) === text)) return 'the API server';
  const ip = parseIP(text);
  const services = parseCIDR(serviceCIDR);
  const isService = ip ? services && cidrContains(services, ip) : `.${text}`.endsWith('.svc') || `.${text}`.endsWith(`.${canonical(clusterDomain)}`);
  if (isService) return 'Services';
  const other = others.find((n) => canonical(nameOf(n)) === text || addressesOf(n).includes(text));
  return other && `Node "${nameOf(other)}"`;
}

/** Name of the node that asks for its own serving certificate; undefined for any other request. */
function servingNodeOf({ username = '' }: CertificateSigningRequestSpec, { commonName }: RequestContents): string | undefined {
  return username === commonName && username.startsWith(USER) ? username.slice(USER.length) : undefined;
}
/** Why a request must be left to a person; undefined where it may be approved. `nodes` are all there are. */
export function servingApprovalProblem(spec: CertificateSigningRequestSpec, contents: RequestContents, nodes: readonly Node[], reserved: ReservedNames): string | undefined {
  const name = servingNodeOf(spec, contents);
  if (name === undefined) return `it is for ${JSON.stringify(contents.commonName)} and ${JSON.stringify(spec.username ?? '')} asks for it, where a node may ask for itself alone`;
  if (!spec.groups?.includes(GROUP)) return `"${spec.username}" is not in the group ${GROUP}`;
  const malformed = kubeletServingProblem(contents, spec.usages ?? []);
  if (malformed !== undefined) return malformed;
  const node = nodes.find((n) => nameOf(n) === name);
  if (!node) return `there is no Node "${name}"`;
  const others = nodes.filter((n) => n !== node);
  const wanted = [
    ...contents.dnsNames.map((text) => ({ what: `the name ${JSON.stringify(text)}`, text, own: [canonical(name), ...addressesOf(node, DNS_TYPES)] })),
    ...contents.ipAddresses.map((text) => ({ what: `the address ${JSON.stringify(text)}`, text, own: addressesOf(node, IP_TYPES) })),
  ];
  for (const { what, text, own } of wanted) {
    const owner = ownerOf(canonical(text), others, reserved);
    if (owner !== undefined) return `${what} belongs to ${owner}`;
    if (!own.includes(canonical(text))) return `${what} is not one of Node "${name}"`;
    // It would hold for names that nobody has checked.
    if (text.includes('*')) return `${what} stands for many`;
  }
  return undefined;
}
