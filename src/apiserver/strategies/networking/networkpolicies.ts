import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '#api/gen/networking-v1.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { cidrContains, parseCIDR } from '#machinery/ip.ts';
import { isValidPortName, isValidPortNum } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { each, fromMessages } from '../field-checks.ts';
import { cidrErrors } from '../ip-checks.ts';
import { AGE, age, NAME, selectorText, text } from '../printing.ts';
import { warningsForCIDR } from '#machinery/ip.ts';

const SPEC = fieldPath('spec');
const PROTOCOLS = ['TCP', 'UDP', 'SCTP'];

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, path: FieldPath): FieldError[] {
  const errors = protocol === undefined || PROTOCOLS.includes(protocol) ? [] : [notSupported(path.child('protocol'), protocol, PROTOCOLS, 'listed')];
  const [at, end] = [path.child('port'), path.child('endPort')];
  if (typeof port === 'number') {
    errors.push(...fromMessages(at, port, isValidPortNum(port)));
    if (endPort === undefined) return errors;
    if (endPort < port) errors.push(invalidValue(end, port, 'must be greater than or equal to `port`'));
    return [...errors, ...fromMessages(end, endPort, isValidPortNum(endPort))];
  }
  if (endPort !== undefined) errors.push(invalidValue(end, endPort, port === undefined ? 'may not be specified when `port` is not specified' : 'may not be specified when `port` is non-numeric'));
  return port === undefined ? errors : [...errors, ...fromMessages(at, port, isValidPortName(port))];
}
function validateBlock(block: IPBlock, path: FieldPath): FieldError[] {
  if (!block.cidr) return [required(path.child('cidr'))];
  const errors = cidrErrors(block.cidr, path.child('cidr'));
  const outer = parseCIDR(block.cidr);
  if (errors.length > 0 || !outer) return errors;
  return each(block.except, path.child('except'), (except, at) => {
    const own = cidrErrors(except, at);
    const inner = parseCIDR(except);
    if (own.length > 0 || !inner) return own;
    const within = cidrContains(outer, inner.address) && outer.prefixLength < inner.prefixLength;
    return within ? [] : [invalidValue(at, except, 'must be a strict subset of `cidr`')];
  });
}
function validatePeer(peer: NetworkPolicyPeer, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  if (peer.podSelector) errors.push(...validateLabelSelector(peer.podSelector, path.child('podSelector')));
  if (peer.namespaceSelector) errors.push(...validateLabelSelector(peer.namespaceSelector, path.child('namespaceSelector')));
  if (peer.ipBlock) errors.push(...validateBlock(peer.ipBlock, path.child('ipBlock')));
  const selects = peer.podSelector !== undefined || peer.namespaceSelector !== undefined;
  if (!selects && !peer.ipBlock) errors.push(required(path, 'must specify a peer'));
  else if (selects && peer.ipBlock) errors.push(forbiddenField(path, 'may not specify both ipBlock and another peer'));
  return errors;
}
function validate({ spec = {} }: Partial<NetworkPolicy>): FieldError[] {
  const errors = [
    ...validateLabelSelector(spec.podSelector, SPEC.child('podSelector')),
    ...each(spec.ingress, SPEC.child('ingress'), (rule, path) => [...each(rule.ports, path.child('ports'), validatePort), ...each(rule.from, path.child('from'), validatePeer)]),
    ...each(spec.egress, SPEC.child('egress'), (rule, path) => [...each(rule.ports, path.child('ports'), validatePort), ...each(rule.to, path.child('to'), validatePeer)]),
  ];
  const types: readonly string[] = spec.policyTypes ?? [];
  const at = SPEC.child('policyTypes');
  if (types.length > 2) return [...errors, invalidValue(at, types, 'may not specify more than two policyTypes')];
  return [...errors, ...each(types, at, (type, path) => (type === 'Ingress' || type === 'Egress' ? [] : [notSupported(path, type, ['Ingress', 'Egress'], 'listed')]))];
}
function defaultPorts(ports: Draft<NetworkPolicyPort>[] | undefined): void {
  for (const port of ports ?? []) port.protocol ??= 'TCP';
}

function peersOf<K extends string>(rules: readonly { readonly [key in K]?: readonly NetworkPolicyPeer[] | undefined }[] | undefined, direction: string, list: K): (readonly [NetworkPolicyPeer, FieldPath])[] {
  return (rules ?? []).flatMap((rule, i) => (rule[list] ?? []).map((peer, j) => [peer, SPEC.child(direction).index(i).child(list).index(j)] as const));
}
function blockWarnings(block: IPBlock | undefined, path: FieldPath): string[] {
  return block ? [...warningsForCIDR(path.child('cidr'), block.cidr), ...(block.except ?? []).flatMap((cidr, i) => warningsForCIDR(path.child('except').index(i), cidr))] : [];
}

export const networkpolicies = defineStrategy<NetworkPolicy>('networking.k8s.io', 'v1', 'networkpolicies', {
  default({ spec }) {
    if (!spec) return;
    for (const rule of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) defaultPorts(rule.ports);
    // Policies of before egress rules existed govern ingress alone.
    if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ['Ingress', 'Egress'] : ['Ingress'];
  },
  prepareForCreate(policy) {
    policy.metadata.generation = 1;
  },
  validate,
  validateUpdate: validate,
  warnings: ({ spec }) => [...peersOf(spec?.ingress, 'ingress', 'from'), ...peersOf(spec?.egress, 'egress', 'to')].flatMap(([{ ipBlock }, path]) => blockWarnings(ipBlock, path.child('ipBlock'))),
  generationFields: ['spec'],
  columns: [NAME, text('Pod-Selector', "podSelector selects the pods to which this NetworkPolicy object applies. The array of rules is applied to any pods selected by this field. An empty selector matches all pods in the policy's namespace. Multiple network policies can select the same set of pods. In this case, the ingress rules for each are combined additively. This field is optional. If it is not specified, it defaults to an empty selector."), AGE],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', selectorText(spec?.podSelector ?? {}), age(metadata, now)],
});
