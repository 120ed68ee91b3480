/**
 * `matchPolicy: Equivalent`: a rule that names another version of the same resource matches too, and the webhook or policy is shown the
 * object in the version that it knows. Resources are equivalent when they are kept in the same place.
 * Source: the Kubernetes pages "Dynamic Admission Control" (matching requests: matchPolicy) and "Validating Admission Policy".
 */
import type { MatchResources, NamedRuleWithOperations } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { Entry } from '#store/entry.ts';
import type { AdmissionAttributes, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import type { ResourceRegistry, ServedResource } from '../registry/resource-registry.ts';
import { namespaceSelectorMatches, objectSelectorMatches, ruleMatches } from './matching.ts';

export interface MatchServices {
  readonly reader: ObjectReader;
  /** Which resources are the same in other versions; absent: rules match by their own names only. */
  readonly resources?: ResourceRegistry | undefined;
}
/** How a request was matched: as it is, or as a request for an equivalent resource. */
export interface Match {
  readonly resource: AdmissionAttributes['resource'];
  readonly kind: AdmissionAttributes['kind'];
  /** Set where the object is of another version then. */
  readonly conversion?: { readonly from: ServedResource; readonly to: ServedResource };
}
/** What a webhook or policy is asked about. */
export interface Question {
  /** The request as its rule names it; its object may be changed where it is a copy (`converted`). */
  readonly attributes: MutableAdmissionAttributes;
  readonly converted: boolean;
  /** The asked version of the object as the request's. */
  back(object: KubeObject): Promise<KubeObject>;
}

/** Resources by where they are kept, for one state of a registry. */
interface Places {
  readonly generation: number;
  readonly by: ReadonlyMap<ServedResource['storage'], readonly ServedResource[]>;
}
const places = new WeakMap<ResourceRegistry, Places>();
function keptWith(from: ServedResource, resources: ResourceRegistry): readonly ServedResource[] {
  let known = places.get(resources);
  if (known?.generation !== resources.generation) {
    known = { generation: resources.generation, by: Map.groupBy(resources.all(), (r) => r.storage) };
    places.set(resources, known);
  }
  return known.by.get(from.storage) ?? [];
}
/** The other resources with the same objects, and the request's own. undefined: there are none. */
function equivalentsOf(a: AdmissionAttributes, resources: ResourceRegistry | undefined): { readonly from: ServedResource; readonly others: readonly ServedResource[] } | undefined {
  const from = resources?.find(a.resource.group, a.resource.version, a.resource.plural);
  if (!from?.storage) return undefined;
  const serves = (r: ServedResource): boolean => a.subresource === '' || r.info.subresources.some((s) => s.name === a.subresource);
  const others = keptWith(from, resources!).filter((r) => r !== from && serves(r));
  return others.length ? { from, others } : undefined;
}

/** The first rule that matches, by its own name or (`Equivalent`) another of the resource's; undefined: none does. */
export function matchRules(rules: readonly NamedRuleWithOperations[], matchPolicy: string, a: AdmissionAttributes, resources: ResourceRegistry | undefined): Match | undefined {
  const named = rules.filter((r) => !r.resourceNames?.length || r.resourceNames.includes(a.name));
  if (named.some((r) => ruleMatches(r, a))) return { resource: a.resource, kind: a.kind };
  const equivalents = matchPolicy === 'Equivalent' && named.length ? equivalentsOf(a, resources) : undefined;
  if (!equivalents) return undefined;
  const { from, others } = equivalents;
  // Bodies of subresources that are no whole objects have one version everywhere.
  const whole = a.kind.kind === from.info.kind && a.kind.group === from.info.group;
  for (const rule of named) {
    for (const to of others) {
      const { info } = to;
      if (!ruleMatches(rule, { ...a, resource: info })) continue;
      return whole ? { resource: info, kind: { group: info.group, version: info.version, kind: info.kind }, conversion: { from, to } } : { resource: info, kind: a.kind };
    }
  }
  return undefined;
}
/** MatchResources of policies and bindings. Absent: everything. */
export function matchResources(match: MatchResources | undefined, a: AdmissionAttributes, { reader, resources }: MatchServices): Match | undefined {
  const itself: Match = { resource: a.resource, kind: a.kind };
  if (!match) return itself;
  const policy = match.matchPolicy ?? 'Equivalent';
  if (matchRules(match.excludeResourceRules ?? [], policy, a, resources)) return undefined;
  const matched = match.resourceRules?.length ? matchRules(match.resourceRules, policy, a, resources) : itself;
  return matched && namespaceSelectorMatches(match.namespaceSelector, a, reader) && objectSelectorMatches(match.objectSelector, a) ? matched : undefined;
}

async function convert(object: KubeObject, from: ServedResource, to: ServedResource): Promise<KubeObject> {
  const stored = await from.codec.toStorage(object);
  const entry = new Entry('', stored, 0);
  await to.codec.prepare?.([entry]);
  return to.codec.fromStorage(entry).object;
}
/** The request as it was matched. Throws what conversion throws. */
export async function questionOf(a: AdmissionAttributes, { resource, kind, conversion }: Match): Promise<Question> {
  if (!conversion) {
    const attributes = resource === a.resource ? a : { ...a, resource, kind };
    return { attributes: attributes as MutableAdmissionAttributes, converted: false, back: (object) => Promise.resolve(object) };
  }
  const { from, to } = conversion;
  const [object, oldObject] = await Promise.all([a.object, a.oldObject].map((o) => o && convert(o, from, to)));
  return { attributes: { ...a, resource, kind, object: object && (draftOf(object) as Draft<KubeObject>), oldObject }, converted: true, back: (o) => convert(o, to, from) };
}
