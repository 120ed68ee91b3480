/**
 * `matchPolicy: Equivalent`: a rule that names another version of the same resource matches too, and the webhook is sent the object in the
 * version that it knows. Resources are equivalent when they are kept in the same place.
 * Source: the Kubernetes page "Dynamic Admission Control", matching requests: matchPolicy.
 */
import type { RuleWithOperations } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { Entry } from '#store/entry.ts';
import type { AdmissionAttributes } from '../../interfaces.ts';
import type { ResourceRegistry, ServedResource } from '../../registry/resource-registry.ts';
import { ruleMatches } from '../matching.ts';

/** What a webhook is asked about. */
export interface Question {
  /** The request as its rule names it. */
  readonly attributes: AdmissionAttributes;
  /** The webhook's version of the object as the request's. */
  back(object: KubeObject): Promise<KubeObject>;
}
async function convert(object: KubeObject, from: ServedResource, to: ServedResource): Promise<KubeObject> {
  const stored = await from.codec.toStorage(object);
  const entry = new Entry('', stored, 0);
  await to.codec.prepare?.([entry]);
  return to.codec.fromStorage(entry).object;
}
/** The question for the first rule that matches, by its own name or an equivalent one; undefined: the webhook is not concerned. */
export async function questionFor(rules: readonly RuleWithOperations[], matchPolicy: 'Exact' | 'Equivalent', a: AdmissionAttributes, resources: ResourceRegistry | undefined): Promise<Question | undefined> {
  if (rules.some((r) => ruleMatches(r, a))) return { attributes: a, back: (object) => Promise.resolve(object) };
  const served = matchPolicy === 'Equivalent' ? resources?.find(a.resource.group, a.resource.version, a.resource.plural) : undefined;
  // Bodies of subresources that are no whole objects have one version everywhere.
  if (!served?.storage || a.kind.kind !== served.info.kind || a.kind.group !== served.info.group) return undefined;
  const others = resources!.all().filter((r) => r !== served && r.storage === served.storage);
  for (const rule of rules) {
    for (const other of others) {
      const { info } = other;
      const as = { ...a, resource: info, kind: { group: info.group, version: info.version, kind: info.kind } };
      if (!ruleMatches(rule, as)) continue;
      const [object, oldObject] = await Promise.all([a.object, a.oldObject].map((o) => o && convert(o, served, other)));
      return { attributes: { ...as, object, oldObject }, back: (o) => convert(o, other, served) };
    }
  }
  return undefined;
}
