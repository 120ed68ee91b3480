/** LimitRanger: defaults and bounds for what containers, Pods and claims ask for. Source: the Kubernetes page "Limit Ranges". */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import { getOwn, setOwn } from '#base/own.ts';
import type { Quantity } from '#machinery/quantity.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { amountsOf, podAmounts, type Amounts } from '#machinery/pod-resources.ts';
import { oneOf, refusal } from './refusal.ts';

const LIMIT_RANGES = resourceOf('', 'v1', 'limitranges');
const ANNOTATION = 'kubernetes.io/limit-ranger';
type Defaults = Readonly<Record<'requests' | 'limits', Readonly<Record<string, string>>>>;
const NONE: Amounts = new Map();

export class LimitRanger implements AdmissionPlugin {
  readonly name = 'LimitRanger';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (kindOf(a) !== 'pods' || a.operation !== 'CREATE') return;
    for (const range of this.#reader.list<coreV1.LimitRange>(LIMIT_RANGES, a.namespace)) applyDefaults(a.object as Draft<coreV1.Pod>, defaultsOf(range));
  }
  validate(a: AdmissionAttributes): void {
    const kind = kindOf(a);
    if (!kind) return;
    for (const range of this.#reader.list<coreV1.LimitRange>(LIMIT_RANGES, a.namespace)) {
      const limits = range.spec?.limits ?? [];
      const errors = limits.flatMap((item) => (kind === 'pods' ? podErrors(item, (a.object as coreV1.Pod).spec!) : claimErrors(item, a.object as coreV1.PersistentVolumeClaim)));
      if (errors.length) throw refusal(a, aggregateText(errors));
    }
  }
}
/** Each text once; several in brackets. */
function aggregateText(errors: readonly string[]): string {
  const texts = [...new Set(errors)];
  return texts.length === 1 ? texts[0]! : `[${texts.join(', ')}]`;
}
/** Pods are looked at when they are made or resized: nothing else about their resources can change. */
function kindOf(a: AdmissionAttributes): 'pods' | 'persistentvolumeclaims' | undefined {
  if (a.resource.group !== '' || !a.object || a.object.metadata.deletionTimestamp) return undefined;
  if (a.resource.plural === 'pods') return (a.operation === 'CREATE' && a.subresource === '') || (a.operation === 'UPDATE' && a.subresource === 'resize') ? 'pods' : undefined;
  return a.resource.plural === 'persistentvolumeclaims' && a.subresource === '' ? 'persistentvolumeclaims' : undefined;
}

function defaultsOf(range: coreV1.LimitRange): Defaults {
  const out = { requests: {} as Record<string, string>, limits: {} as Record<string, string> };
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue;
    Object.assign(out.requests, item.defaultRequest);
    Object.assign(out.limits, item.default);
  }
  return out;
}
function applyDefaults(pod: Draft<coreV1.Pod>, defaults: Defaults): void {
  const notes: string[] = [];
  const fill = (container: Draft<coreV1.Container>, called: string): void => {
    for (const kind of ['requests', 'limits'] as const) {
      const missing = Object.keys(defaults[kind]).filter((name) => getOwn(container.resources?.[kind], name) === undefined);
      if (missing.length === 0) continue;
      const list = ((container.resources ??= {})[kind] ??= {}) as Record<string, string>;
      for (const name of missing) setOwn(list, name, defaults[kind][name]!);
      notes.push(`${missing.toSorted().join(', ')} ${kind.slice(0, -1)} for ${called} ${container.name}`);
    }
  };
  for (const c of pod.spec?.containers ?? []) fill(c, 'container');
  for (const c of pod.spec?.initContainers ?? []) fill(c, 'init container');
  if (notes.length) (pod.metadata.annotations ??= {})[ANNOTATION] = `LimitRanger plugin set: ${notes.join('; ')}`;
}

interface Bounds {
  readonly type: string;
  readonly min: Amounts;
  readonly max: Amounts;
  readonly ratio: Amounts;
}
function boundsOf(item: coreV1.LimitRangeItem): Bounds {
  return { type: item.type, min: amountsOf(item.min), max: amountsOf(item.max), ratio: amountsOf(item.maxLimitRequestRatio) };
}
function minErrors({ type, min }: Bounds, requests: Amounts, limits: Amounts): string[] {
  return [...min].flatMap(([name, bound]) => {
    const say = `minimum ${name} usage per ${type} is ${bound.toString()}`;
    const [request, limit] = [requests.get(name), limits.get(name)];
    if (!request) return [`${say}.  No request is specified`];
    if (request.cmp(bound) < 0) return [`${say}, but request is ${request.toString()}`];
    return limit && limit.cmp(bound) < 0 ? [`${say}, but limit is ${limit.toString()}`] : [];
  });
}
function maxErrors({ type, max }: Bounds, requests: Amounts, limits: Amounts): string[] {
  return [...max].flatMap(([name, bound]) => {
    const say = `maximum ${name} usage per ${type} is ${bound.toString()}`;
    const [request, limit] = [requests.get(name), limits.get(name)];
    if (!limit) return [`${say}.  No limit is specified`];
    if (limit.cmp(bound) > 0) return [`${say}, but limit is ${limit.toString()}`];
    return request && request.cmp(bound) > 0 ? [`${say}, but request is ${request.toString()}`] : [];
  });
}
const positive = (q: Quantity | undefined): q is Quantity => q !== undefined && q.sign() > 0;
function ratioErrors({ type, ratio }: Bounds, requests: Amounts, limits: Amounts): string[] {
  return [...ratio].flatMap(([name, bound]) => {
    const say = `${name} max limit to request ratio per ${type} is ${bound.toString()}`;
    const [request, limit] = [requests.get(name), limits.get(name)];
    if (!positive(request)) return [`${say}, but no request is specified or request is 0`];
    if (!positive(limit)) return [`${say}, but no limit is specified or limit is 0`];
    const provided = Number(limit.milliValue()) / Number(request.milliValue());
    return provided > Number(bound.milliValue()) / 1000 ? [`${say}, but provided ratio is ${provided.toFixed(6)}`] : [];
  });
}
function podErrors(item: coreV1.LimitRangeItem, spec: coreV1.PodSpec): string[] {
  const bounds = boundsOf(item);
  const all = (requests: Amounts, limits: Amounts): string[] => [...minErrors(bounds, requests, limits), ...maxErrors(bounds, requests, limits), ...ratioErrors(bounds, requests, limits)];
  if (item.type === 'Container') return [...spec.containers, ...(spec.initContainers ?? [])].flatMap((c) => all(amountsOf(c.resources?.requests), amountsOf(c.resources?.limits)));
  return item.type === 'Pod' ? all(podAmounts(spec, 'requests'), podAmounts(spec, 'limits')) : [];
}
function claimErrors(item: coreV1.LimitRangeItem, claim: coreV1.PersistentVolumeClaim): string[] {
  if (item.type !== 'PersistentVolumeClaim') return [];
  const bounds = boundsOf(item);
  const requests = amountsOf(claim.spec?.resources?.requests);
  const over = [...bounds.max].flatMap(([name, bound]) => {
    const say = `maximum ${name} usage per ${item.type} is ${bound.toString()}`;
    const request = requests.get(name);
    if (!request) return [`${say}.  No request is specified`];
    return request.cmp(bound) > 0 ? [`${say}, but request is ${request.toString()}`] : [];
  });
  return [...minErrors(bounds, requests, NONE), ...over];
}
