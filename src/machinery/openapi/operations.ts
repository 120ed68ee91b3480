/**
 * Paths and operations of resources, the same for both dialects: `openapi.ts` turns these neutral descriptions into v2 or v3.
 * Operation ids and actions as upstream's installer names them (`createCoreV1NamespacedPod`, `post`).
 */
import { returnsDeletedObject, type ResourceInfo, type Subresource } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import type { GroupVersionKind } from './definitions.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly type: 'string' | 'boolean' | 'integer' | 'array';
}
/** What a body holds: an object of a kind, a list of them, a patch, options of a deletion, a Status, or text. */
export type Payload = { readonly kind: GroupVersionKind } | { readonly meta: 'DeleteOptions' | 'Patch' | 'Status' } | 'text';

export interface Operation {
  readonly method: 'get' | 'put' | 'post' | 'delete' | 'patch' | 'head' | 'options';
  readonly id: string;
  readonly action: string;
  readonly description: string;
  readonly gvk: GroupVersionKind;
  readonly parameters: readonly Parameter[];
  readonly body?: Payload;
  readonly bodyRequired?: boolean;
  readonly response: Payload;
  /** Status codes of success. */
  readonly codes: readonly number[];
  readonly watches?: boolean;
}
export interface PathItem {
  readonly path: string;
  readonly parameters: readonly Parameter[];
  readonly operations: readonly Operation[];
}

const query = (type: Parameter['type'], ...names: string[]): Parameter[] => names.map((name) => ({ name, in: 'query', type }));
const inPath = (name: string): Parameter => ({ name, in: 'path', type: 'string' });
const PRETTY = query('string', 'pretty');
const SELECTION = [
  ...query('string', 'continue', 'fieldSelector', 'labelSelector'), ...query('integer', 'limit'), ...query('string', 'resourceVersion', 'resourceVersionMatch'), ...query('boolean', 'sendInitialEvents'), ...query('string', 'shardSelector'), ...query('integer', 'timeoutSeconds'),
];
const LIST = [...query('boolean', 'allowWatchBookmarks', 'watch'), ...SELECTION];
const WRITE = query('string', 'dryRun', 'fieldManager', 'fieldValidation');
const DELETE = [...query('string', 'dryRun', 'propagationPolicy'), ...query('integer', 'gracePeriodSeconds'), ...query('boolean', 'ignoreStoreReadErrorWithClusterBreakingPotential', 'orphanDependents')];

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
/** `rbac.authorization.k8s.io` → `RbacAuthorization`; the core group is `Core`. */
function idPrefix(group: string, version: string): string {
  const name = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '');
  return name.split(/[^A-Za-z0-9]+/).map(upperFirst).join('') + upperFirst(version);
}
/** The tag of a group's version: `rbacAuthorization_v1`. */
export function tagOf(group: string, version: string): string {
  const prefix = idPrefix(group, '');
  return `${prefix.slice(0, 1).toLowerCase()}${prefix.slice(1)}_${version}`;
}
/** `/api/v1`, `/apis/apps/v1` */
export function groupVersionPath(group: string, version: string): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
}

class ResourcePaths {
  readonly #resource: ResourceInfo;
  readonly #gvk: GroupVersionKind;
  readonly #listGvk: GroupVersionKind;
  readonly #prefix: string;
  readonly #scope: string;
  readonly #noun: string;
  readonly #isCustom: boolean;

  constructor(resource: ResourceInfo, isCustom: boolean) {
    this.#isCustom = isCustom;
    const { group, version, kind, listKind, namespaced } = resource;
    this.#resource = resource;
    this.#gvk = { group, version, kind };
    this.#listGvk = { group, version, kind: listKind };
    this.#prefix = idPrefix(group, version);
    this.#scope = namespaced ? 'Namespaced' : '';
    this.#noun = kind;
  }
  #has(verb: string): boolean {
    return this.#resource.verbs.includes(verb);
  }
  #id(verb: string, rest: string): string {
    return `${verb}${this.#prefix}${rest}`;
  }

  paths(): PathItem[] {
    const { group, version, plural, namespaced, subresources } = this.#resource;
    const root = groupVersionPath(group, version);
    const base = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
    const scope = namespaced ? [inPath('namespace')] : [];
    const out: PathItem[] = [{ path: base, parameters: [...scope, ...PRETTY], operations: this.#collection() }];
    const item = this.#item();
    if (item.length) out.push({ path: `${base}/{name}`, parameters: [inPath('name'), ...scope, ...PRETTY], operations: item });
    if (namespaced && this.#has('list')) out.push({ path: `${root}/${plural}`, parameters: [...LIST, ...PRETTY], operations: [this.#list(`${this.#noun}ForAllNamespaces`, [])] });
    for (const sub of subresources) out.push(...this.#subresource(sub, `${base}/{name}/${sub.name}`, [inPath('name'), ...scope]));
    return out.filter((p) => p.operations.length > 0);
  }

  #list(suffix: string, parameters: readonly Parameter[]): Operation {
    return { method: 'get', id: this.#id('list', suffix), action: 'list', description: `list ${this.#has('watch') ? 'or watch ' : ''}objects of kind ${this.#noun}`, gvk: this.#gvk, parameters, response: { kind: this.#listGvk }, codes: [200], watches: true };
  }
  #collection(): Operation[] {
    const out: Operation[] = [];
    const noun = `${this.#scope}${this.#noun}`;
    if (this.#has('list')) out.push(this.#list(noun, LIST));
    if (this.#has('create')) out.push(this.#create(noun, `create ${article(this.#noun)}`, this.#gvk));
    if (this.#has('deletecollection')) {
      out.push({
        method: 'delete', id: this.#id('delete', `Collection${noun}`), action: 'deletecollection', description: `delete collection of ${this.#noun}`, gvk: this.#gvk,
        ...(this.#isCustom ? { parameters: LIST } : { parameters: [...DELETE, ...SELECTION], body: { meta: 'DeleteOptions' } as const }), response: { meta: 'Status' }, codes: [200],
      });
    }
    return out;
  }
  #create(noun: string, description: string, gvk: GroupVersionKind): Operation {
    return { method: 'post', id: this.#id('create', noun), action: 'post', description, gvk, parameters: WRITE, body: { kind: gvk }, bodyRequired: true, response: { kind: gvk }, codes: [200, 201, 202] };
  }
  #item(): Operation[] {
    const out = this.#readWrite(this.#resource.verbs, '', this.#gvk);
    if (this.#has('delete')) {
      out.push({ method: 'delete', id: this.#id('delete', `${this.#scope}${this.#noun}`), action: 'delete', description: `delete ${article(this.#noun)}`, gvk: this.#gvk, parameters: DELETE, body: { meta: 'DeleteOptions' }, response: returnsDeletedObject(this.#resource) ? { kind: this.#gvk } : { meta: 'Status' }, codes: [200, 202] });
    }
    return out;
  }
  #readWrite(verbs: readonly string[], suffix: string, kind: GroupVersionKind): Operation[] {
    const gvk = this.#isCustom ? this.#gvk : kind;
    const noun = `${this.#scope}${this.#noun}${suffix}`;
    const what = suffix === '' ? `the specified ${this.#noun}` : `${suffix.toLowerCase()} of the specified ${this.#noun}`;
    const out: Operation[] = [];
    if (verbs.includes('get')) out.push({ method: 'get', id: this.#id('read', noun), action: 'get', description: `read ${what}`, gvk, parameters: this.#isCustom ? query('string', 'resourceVersion') : [], response: { kind }, codes: [200] });
    if (verbs.includes('update')) out.push({ method: 'put', id: this.#id('replace', noun), action: 'put', description: `replace ${what}`, gvk, parameters: WRITE, body: { kind }, bodyRequired: true, response: { kind }, codes: [200, 201] });
    if (verbs.includes('patch')) {
      out.push({
        method: 'patch', id: this.#id('patch', noun), action: 'patch', description: `partially update ${what}`, gvk, parameters: [...WRITE, ...query('boolean', 'force')], body: { meta: 'Patch' }, bodyRequired: true, response: { kind }, codes: this.#isCustom ? [200] : [200, 201],
      });
    }
    return out;
  }

  #subresource(sub: Subresource, path: string, parameters: readonly Parameter[]): PathItem[] {
    const gvk = { group: sub.group ?? this.#gvk.group, version: sub.version ?? this.#gvk.version, kind: sub.kind };
    const suffix = upperFirst(sub.name);
    if (sub.kind.endsWith('Options')) return this.#connect(sub, path, parameters, gvk);
    if (sub.name === 'log') {
      const options = structByKind('', 'v1', 'PodLogOptions');
      const read: Operation = { method: 'get', id: this.#id('read', `${this.#scope}${this.#noun}Log`), action: 'get', description: `read log of the specified ${this.#noun}`, gvk, parameters: optionParameters(options?.fields.keys() ?? []), response: 'text', codes: [200] };
      return [{ path, parameters: [...parameters, ...PRETTY], operations: [read] }];
    }
    const operations = this.#readWrite(sub.verbs, suffix, gvk);
    if (sub.verbs.includes('create')) operations.push(this.#create(`${this.#scope}${this.#noun}${suffix}`, `create ${sub.name} of ${article(this.#noun)}`, gvk));
    return [{ path, parameters: [...parameters, ...PRETTY], operations }];
  }
  #connect(sub: Subresource, path: string, parameters: readonly Parameter[], gvk: GroupVersionKind): PathItem[] {
    const options = structByKind(gvk.group, gvk.version, gvk.kind);
    const isProxy = sub.name === 'proxy';
    const methods = isProxy ? (['get', 'put', 'post', 'delete', 'patch', 'head', 'options'] as const) : (['get', 'post'] as const);
    const operations = (suffix: string): Operation[] => methods.map((method): Operation => ({
      method, id: this.#id('connect', `${upperFirst(method)}${this.#scope}${this.#noun}${upperFirst(sub.name)}${suffix}`), action: 'connect', description: `connect ${method.toUpperCase()} requests to ${sub.name} of ${this.#noun}`, gvk, parameters: [], response: 'text', codes: [200],
    }));
    const own = [...parameters, ...optionParameters(options?.fields.keys() ?? [])];
    const out: PathItem[] = [{ path, parameters: own, operations: operations('') }];
    if (isProxy) out.push({ path: `${path}/{path}`, parameters: [...own.filter((p) => p.name !== 'path'), inPath('path'), ...query('string', 'path')], operations: operations('WithPath') });
    return out;
  }
}

const INTEGERS = new Set(['ports', 'sinceSeconds', 'tailLines', 'limitBytes']);
const BOOLEANS = new Set(['stdin', 'stdout', 'stderr', 'tty', 'follow', 'previous', 'timestamps', 'insecureSkipTLSVerifyBackend']);
/** Fields of options that are no parameters: they are of no scalar type, or tell the kind. */
const UNNAMED = new Set(['kind', 'apiVersion', 'sinceTime']);
function optionParameters(names: Iterable<string>): Parameter[] {
  return [...names].filter((name) => !UNNAMED.has(name)).map((name) => ({ name, in: 'query', type: BOOLEANS.has(name) ? 'boolean' : INTEGERS.has(name) ? 'integer' : 'string' }));
}
function article(noun: string): string {
  if (noun === 'Endpoints') return noun; // a plural
  return `${/^[AEIOU]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

/** All paths of a resource, subresources included. `isCustom`: a CustomResourceDefinition defines it, and upstream says less of its operations. */
export function resourcePaths(resource: ResourceInfo, isCustom = false): PathItem[] {
  return new ResourcePaths(resource, isCustom).paths();
}
