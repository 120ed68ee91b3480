/** Affinity of a Pod to nodes and to other Pods. */
import type { Affinity, NodeAffinity, PodAffinity, PodAffinityTerm, PodAntiAffinity } from '#api/gen/core-v1.ts';
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label } from '#machinery/names.ts';
import { validateLabelName, validateLabelSelector } from '#machinery/object-meta.ts';
import { each, fromMessages } from '../../field-checks.ts';
import { validateNodeSelector, validateNodeSelectorTerm } from '../node-selector.ts';
import type { PodOptions } from './options.ts';

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';

function validateWeight(weight: number | undefined, path: FieldPath): FieldError[] {
  const value = weight ?? 0;
  return value <= 0 || value > 100 ? [invalidValue(path.child('weight'), value, 'must be in the range 1-100')] : [];
}
function validateNodeAffinity(affinity: NodeAffinity, options: PodOptions, path: FieldPath): FieldError[] {
  const hard = affinity[REQUIRED];
  return [
    ...(hard ? validateNodeSelector(hard, options.allowInvalidSelectorValues ?? false, path.child(REQUIRED)) : []),
    ...each(affinity[PREFERRED], path.child(PREFERRED), (term, at) => [
      ...validateWeight(term.weight, at),
      // A preference that matches nothing does no harm.
      ...validateNodeSelectorTerm(term.preference, true, at.child('preference')),
    ]),
  ];
}

function validateKeys(keys: readonly string[] | undefined, selector: LabelSelector | undefined, path: FieldPath): FieldError[] {
  if (!keys?.length) return [];
  if (!selector) return [forbiddenField(path, 'must not be specified when labelSelector is not set')];
  return each(keys, path, (key, at) => validateLabelName(key, at));
}
/** `matchLabelKeys` and `mismatchLabelKeys` (KEP-3633). Creation writes the first into the selector, so a second expression on a key is the client's own. */
export function validateLabelKeys(term: Pick<PodAffinityTerm, 'matchLabelKeys' | 'mismatchLabelKeys' | 'labelSelector'>, path: FieldPath): FieldError[] {
  const { matchLabelKeys = [], mismatchLabelKeys = [], labelSelector } = term;
  const errors = [
    ...validateKeys(matchLabelKeys, labelSelector, path.child('matchLabelKeys')),
    ...validateKeys(mismatchLabelKeys, labelSelector, path.child('mismatchLabelKeys')),
  ];
  const seen = new Set(Object.keys(labelSelector?.matchLabels ?? {}));
  for (const { key } of labelSelector?.matchExpressions ?? []) {
    const i = matchLabelKeys.lastIndexOf(key);
    if (i >= 0 && seen.has(key)) errors.push(invalidValue(path.index(i), key, 'exists in both matchLabelKeys and labelSelector'));
    seen.add(key);
  }
  for (const [i, key] of matchLabelKeys.entries()) {
    if (mismatchLabelKeys.includes(key)) errors.push(invalidValue(path.child('matchLabelKeys').index(i), key, 'exists in both matchLabelKeys and mismatchLabelKeys'));
  }
  return errors;
}
function validateTerm(term: PodAffinityTerm | undefined, options: PodOptions, path: FieldPath): FieldError[] {
  const selectorOptions = { allowInvalidValues: options.allowInvalidSelectorValues ?? false };
  const topologyKey = term?.topologyKey ?? '';
  return [
    ...validateLabelSelector(term?.labelSelector, path.child('labelSelector'), selectorOptions),
    ...validateLabelSelector(term?.namespaceSelector, path.child('namespaceSelector'), selectorOptions),
    ...(term?.namespaces ?? []).flatMap((name) => fromMessages(path.child('namespace'), name, isDNS1123Label(name))),
    ...(term ? validateLabelKeys(term, path) : []),
    ...(topologyKey === '' ? [required(path.child('topologyKey'), 'can not be empty')] : []),
    ...validateLabelName(topologyKey, path.child('topologyKey')),
  ];
}
function validatePodAffinity(affinity: PodAffinity | PodAntiAffinity, options: PodOptions, path: FieldPath): FieldError[] {
  return [
    ...each(affinity[REQUIRED], path.child(REQUIRED), (term, at) => validateTerm(term, options, at)),
    ...each(affinity[PREFERRED], path.child(PREFERRED), (weighted, at) => [
      ...validateWeight(weighted.weight, at),
      ...validateTerm(weighted.podAffinityTerm, options, at.child('podAffinityTerm')),
    ]),
  ];
}
export function validateAffinity(affinity: Affinity | undefined, options: PodOptions, path: FieldPath): FieldError[] {
  if (!affinity) return [];
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity;
  return [
    ...(nodeAffinity ? validateNodeAffinity(nodeAffinity, options, path.child('nodeAffinity')) : []),
    ...(podAffinity ? validatePodAffinity(podAffinity, options, path.child('podAffinity')) : []),
    ...(podAntiAffinity ? validatePodAffinity(podAntiAffinity, options, path.child('podAntiAffinity')) : []),
  ];
}
