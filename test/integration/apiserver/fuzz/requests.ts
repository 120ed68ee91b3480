/** Requests of every kind: right, nearly right and wrong. */
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { encodeObject, hasProtobuf } from '#machinery/protobuf.ts';
import { dumpYaml } from '#machinery/yaml.ts';
import { bend, JUNK, NAMES, randomObject, STRINGS } from './objects.ts';
import type { Random } from './random.ts';

export interface FuzzRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
}

/** What calls other servers is left to tests of its own: there is nobody to call here. */
const CONNECTS: ReadonlySet<string> = new Set(['proxy', 'exec', 'attach', 'portforward', 'log']);
/** What decides over the requests that come after it is only tried. */
const DECIDES: ReadonlySet<string> = new Set(['admissionregistration.k8s.io', 'apiregistration.k8s.io']);
const TARGETS: readonly ResourceInfo[] = [...RESOURCES, widget('widgets'), widget('gadgets')];
function widget(plural: string): ResourceInfo {
  return { ...RESOURCES.find((r) => r.plural === 'configmaps')!, group: 'fuzz.example', version: 'v1', plural, singular: 'widget', kind: 'Widget', listKind: 'WidgetList', subresources: [{ name: 'status', kind: 'Widget', verbs: ['get', 'patch', 'update'] }, { name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: ['get', 'patch', 'update'] }] };
}

const QUERY: Readonly<Record<string, readonly string[]>> = {
  fieldValidation: ['Strict', 'Warn', 'Ignore', 'x', ''], dryRun: ['All', 'x', ''], fieldManager: ['m', '', 'x'.repeat(200), '\u0001'], force: ['true', 'false', 'x'], pretty: ['true', '1', 'x'],
  limit: ['1', '500', '-1', 'x', '99999999999999999999'], continue: ['x', 'eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0', '%00'], resourceVersion: ['0', '1', '99999', '-1', 'x', ''],
  resourceVersionMatch: ['Exact', 'NotOlderThan', 'x'], labelSelector: ['a=b', 'a in (b,c)', '!a', 'a,,', 'a in (', 'é', '==', 'x'.repeat(300)], fieldSelector: ['metadata.name=a', 'spec.nodeName!=', 'x', 'status.phase=Running', '=', 'metadata.name=a,metadata.namespace=b'],
  propagationPolicy: ['Foreground', 'Background', 'Orphan', 'x'], gracePeriodSeconds: ['0', '30', '-5', 'x'], orphanDependents: ['true', 'x'], timeoutSeconds: ['1', 'x', '-1'], timeout: ['30s', 'x', '1ms'],
  sendInitialEvents: ['true', 'false', 'x'], allowWatchBookmarks: ['true', 'x'], watch: ['0', 'false', 'x'], includeObject: ['None', 'Object', 'x'], as: ['Table', 'x'], ignoreStoreReadErrorWithClusterBreakingPotential: ['true', 'x'],
};
const TYPES = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/json-patch+json', 'application/apply-patch+yaml', 'application/cbor', 'text/plain', 'x', ''];
const PATCHES = ['application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/json-patch+json', 'application/apply-patch+yaml'];
const ACCEPTS = ['application/json', '*/*', 'application/yaml', 'application/vnd.kubernetes.protobuf', 'application/json;as=Table;g=meta.k8s.io;v=v1', 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json', 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1', 'application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1', 'text/html', ';;,', ''];

function query(random: Random, more: Readonly<Record<string, string>> = {}): string {
  const parts = Object.entries(more).map(([k, v]) => `${k}=${encodeURIComponent(v)}`);
  for (let i = random.pick([0, 0, 0, 0, 1, 1, 2, 4]); i > 0; i--) {
    const name = random.pick(Object.keys(QUERY));
    // What a request without an end would be: only the watches that the test asks for.
    parts.push(`${name}=${encodeURIComponent(random.chance(0.95) ? random.pick(QUERY[name]!) : random.pick(STRINGS).toWellFormed())}`);
  }
  if (random.chance(0.02)) parts.push(random.pick(['%', '%zz', '&&', '=', 'a=%ff', 'x'.repeat(2000)]));
  return parts.length ? `?${parts.join('&')}` : '';
}

interface Place {
  readonly info: ResourceInfo;
  readonly namespace: string;
  readonly name: string;
  readonly collection: string;
}
function place(random: Random): Place {
  const info = random.pick(TARGETS);
  const namespace = random.chance(0.9) ? 'fuzz' : random.pick(NAMES);
  const root = info.group === '' ? `/api/${info.version}` : `/apis/${info.group}/${info.version}`;
  const name = info.kind === 'CustomResourceDefinition' ? 'widgets.fuzz.example' : random.pick(NAMES);
  return { info, namespace, name, collection: `${root}${info.namespaced ? `/namespaces/${namespace}` : ''}/${info.plural}` };
}

const seg = (text: string): string => encodeURIComponent(text.toWellFormed());
/** A body in the form of a media type, or near it. */
function encodeBody(value: unknown, type: string, info: ResourceInfo, random: Random): Buffer {
  let bytes: Buffer;
  const struct = structByKind(info.group, info.version, info.kind);
  try {
    if (type.includes('protobuf') && struct && hasProtobuf(struct)) bytes = encodeObject(value as never, struct);
    else bytes = Buffer.from(type.includes('yaml') && random.chance(0.6) ? dumpYaml(value) : (JSON.stringify(value) ?? ''));
  } catch {
    bytes = Buffer.from(JSON.stringify(value) ?? '');
  }
  return random.chance(0.08) ? mangle(bytes, random) : bytes;
}
/** Bytes changed, cut out, cut off, doubled. */
export function mangle(bytes: Buffer, random: Random): Buffer {
  let out = Buffer.from(bytes);
  for (let i = random.pick([1, 1, 2, 4]); i > 0 && out.length > 0; i--) {
    const at = random.below(out.length);
    const until = Math.min(out.length, at + random.below(8));
    switch (random.below(5)) {
      case 0:
        out[at] = random.below(256);
        break;
      case 1:
        out = Buffer.concat([out.subarray(0, at), out.subarray(until)]);
        break;
      case 2:
        out = out.subarray(0, at);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, until), out.subarray(at)]);
        break;
      default:
        out = Buffer.concat([out.subarray(0, at), Buffer.from(JSON.stringify(random.pick(JUNK)) ?? ''), out.subarray(at)]);
    }
  }
  return out;
}

function jsonPatch(random: Random): unknown {
  const paths = ['/metadata/labels', '/metadata/labels/a', '/spec', '/spec/replicas', '/data/a', '/metadata/name', '/metadata/finalizers/-', '', '/', '/spec/containers/0/image', '/spec/template/spec/containers/5', '/~2', '/metadata/managedFields'];
  return Array.from({ length: random.pick([0, 1, 1, 2, 3]) }, () => ({ op: random.pick(['add', 'remove', 'replace', 'move', 'copy', 'test', 'x', '']), path: random.pick(paths), ...(random.chance(0.8) ? { value: random.pick<unknown>([...JUNK, { a: 'b' }, 'v', 3]) } : {}), ...(random.chance(0.4) ? { from: random.pick(paths) } : {}) }));
}
function patchBody(at: Place, type: string, random: Random): unknown {
  if (type === 'application/json-patch+json' && random.chance(0.9)) return jsonPatch(random);
  const object = randomObject(at.info, at.name, at.namespace, random);
  if (type === 'application/apply-patch+yaml') return object;
  if (type === 'application/strategic-merge-patch+json' && random.chance(0.5)) {
    object['spec'] = random.pick<unknown>([
      { $patch: 'replace', containers: [] }, { $setElementOrder: 1 }, { containers: [{ name: 'c', $patch: 'delete' }] }, { '$setElementOrder/containers': [{ name: 'c' }], containers: [{ name: 'd', image: 'e' }] },
      { '$deleteFromPrimitiveList/finalizers': ['a'] }, { $retainKeys: ['type'], strategy: {} }, { $patch: 'x' }, { template: { spec: { containers: [{ $patch: 'merge' }] } } },
    ]);
  }
  if (random.chance(0.7)) delete object['metadata'];
  return object;
}

export function randomRequest(random: Random): FuzzRequest {
  const at = place(random);
  const { info, collection } = at;
  const only: Record<string, string> = DECIDES.has(info.group) ? { dryRun: 'All' } : {};
  const accept: Record<string, string> = random.chance(0.35) ? { accept: random.pick(ACCEPTS) } : {};
  const object = `${collection}/${random.chance(0.95) ? seg(at.name) : seg(random.pick(STRINGS) || 'x')}`;
  const kind = random.below(100);
  if (kind < 4) return { method: random.pick(['GET', 'POST', 'PUT', 'DELETE', 'PATCH']), path: mangledPath(object, random), headers: accept, body: undefined };
  if (kind < 20) return { method: 'GET', path: (random.chance(0.5) ? object : collection) + query(random), headers: accept, body: undefined };
  if (kind < 24) return { method: 'GET', path: random.pick(['/', '/api', '/apis', '/version', '/openapi/v2', '/openapi/v3', '/healthz', '/readyz?verbose', '/metrics', '/apis/apps', '/apis/fuzz.example/v1', '/openapi/v3/apis/apps/v1', '/debug/api_priority_and_fairness/dump_requests', `/${seg(random.pick(STRINGS))}`]), headers: accept, body: undefined };
  if (kind < 27) return { method: 'GET', path: `${collection}${query(random, { watch: '1', timeoutSeconds: '1' })}`, headers: accept, body: undefined };
  if (kind < 33) {
    const all = random.chance(0.2) && info.namespaced && info.plural !== 'namespaces';
    const options = random.chance(0.4) ? { kind: 'DeleteOptions', apiVersion: random.pick(['v1', 'meta.k8s.io/v1', 'x']), gracePeriodSeconds: random.pick<unknown>([0, 30, -1, 'x']), propagationPolicy: random.pick(['Foreground', 'Orphan', 'Background', 'x']), preconditions: random.pick<unknown>([undefined, { uid: 'x' }, { resourceVersion: '1' }, []]) } : undefined;
    return { method: 'DELETE', path: (all ? collection : object) + query(random, only), headers: { ...accept, ...(options ? { 'content-type': 'application/json' } : {}) }, body: options && encodeBody(options, 'application/json', info, random) };
  }
  const subs = info.subresources.filter((s) => !CONNECTS.has(s.name));
  const sub = subs.length > 0 && random.chance(0.25) ? `/${random.pick(subs).name}` : '';
  if (kind < 60 && sub === '') {
    const type = random.chance(0.95) ? random.pick(TYPES.slice(0, 3)) : random.pick(TYPES);
    return { method: 'POST', path: collection + query(random, only), headers: { ...accept, 'content-type': type }, body: encodeBody(randomObject(info, at.name, at.namespace, random), type, info, random) };
  }
  if (kind < 78) {
    const type = random.chance(0.95) ? random.pick(TYPES.slice(0, 3)) : random.pick(TYPES);
    const value = randomObject(info, at.name, at.namespace, random);
    if (random.chance(0.2)) bend(value, random);
    return { method: sub && random.chance(0.3) ? 'POST' : 'PUT', path: object + sub + query(random, only), headers: { ...accept, 'content-type': type }, body: encodeBody(value, type, info, random) };
  }
  const type = random.chance(0.97) ? random.pick(PATCHES) : random.pick(TYPES);
  const more = type === 'application/apply-patch+yaml' && random.chance(0.9) ? { ...only, fieldManager: random.pick(['m', 'n']) } : only;
  return { method: 'PATCH', path: object + sub + query(random, more), headers: { ...accept, 'content-type': type }, body: encodeBody(patchBody(at, type, random), type, info, random) };
}

function mangledPath(path: string, random: Random): string {
  const text = mangle(Buffer.from(path), random).toString('latin1').replace(/[^!-~]/g, '%');
  return text.startsWith('/') ? text : `/${text}`;
}
