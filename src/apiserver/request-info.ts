/**
 * Reads what a request asks for from its method and path: upstream's `RequestInfoFactory`.
 * Forms: `/api/v1/…`, `/apis/GROUP/VERSION/…`, then `[watch/][namespaces/NS/]PLURAL[/NAME[/SUBRESOURCE[/PATH…]]]`.
 */
import { badRequest } from '#machinery/status-error.ts';
import type { RequestInfo } from './interfaces.ts';
import type { Query } from './query.ts';

/** A {@link RequestInfo} with what the adapters need besides. */
export interface ParsedPath {
  readonly info: RequestInfo;
  /** What follows the subresource (`/api/v1/…/pods/x/proxy/REST`), with its leading slash; '' when nothing does. */
  readonly rest: string;
  /** The path has more parts than any resource path and no subresource takes them. */
  readonly tooLong: boolean;
}
const VERBS: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
/** Subresources of a namespace: the part behind its name is not a resource in it. */
const NAMESPACE_SUBRESOURCES: ReadonlySet<string> = new Set(['status', 'finalize']);
/** Subresources that forward the rest of the path. */
const PATH_SUBRESOURCES: ReadonlySet<string> = new Set(['proxy']);

function nonResource(method: string, path: string): ParsedPath {
  return {
    info: { isResourceRequest: false, verb: method.toLowerCase(), path, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '' },
    rest: '',
    tooLong: false,
  };
}

function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  try {
    return decodeURIComponent(path);
  } catch {
    throw badRequest(`invalid URL escape in path ${JSON.stringify(path)}`);
  }
}

export function parsePath(method: string, rawPath: string, query: Query): ParsedPath {
  const path = decodePath(rawPath);
  let parts = path.split('/');
  parts.shift();
  // A path may end in one slash; `/api/` is `/api`.
  if (parts.at(-1) === '') parts.pop();
  const core = parts[0] === 'api';
  if ((!core && parts[0] !== 'apis') || parts.length < (core ? 3 : 4)) return nonResource(method, path);
  const apiGroup = core ? '' : parts[1]!;
  const apiVersion = parts[core ? 1 : 2]!;
  parts = parts.slice(core ? 2 : 3);
  let verb = VERBS[method] ?? '';
  const legacyWatch = parts[0] === 'watch' && parts.length > 1;
  if (legacyWatch) {
    parts.shift();
    verb = 'watch';
  }
  let namespace = '';
  if (parts[0] === 'namespaces' && parts.length > 1) {
    namespace = parts[1]!;
    if (parts.length > 2 && !NAMESPACE_SUBRESOURCES.has(parts[2]!)) parts = parts.slice(2);
  }
  const [resource = '', name = '', subresource = '', ...tail] = parts;
  const selectors = { labelSelector: query.get('labelSelector') || undefined, fieldSelector: query.get('fieldSelector') || undefined };
  const info = { isResourceRequest: true, path, apiGroup, apiVersion, namespace, resource, subresource, ...selectors };
  const rest = tail.length ? `/${tail.join('/')}${path.endsWith('/') ? '/' : ''}` : subresource !== '' && path.endsWith('/') ? '/' : '';
  const tooLong = tail.length > 0 && !PATH_SUBRESOURCES.has(subresource);
  return { info: { ...info, verb: collectionVerb(verb, name, query), name: name || nameOfSelector(verb, query) }, rest, tooLong };
}

function collectionVerb(verb: string, name: string, query: Query): string {
  if (verb === 'get') return name !== '' ? 'get' : query.bool('watch') ? 'watch' : 'list';
  return verb === 'delete' && name === '' ? 'deletecollection' : verb;
}

/** `fieldSelector=metadata.name=x` names the object, so that a role restricted to names can list and watch it. */
export function nameOfSelector(verb: string, query: Query): string {
  if (!['get', 'list', 'watch'].includes(verb)) return '';
  const selector = query.get('fieldSelector');
  if (selector === '') return '';
  const hit = /(?:^|,)metadata\.name==?([^,=!\\]+)(?:,|$)/.exec(selector);
  return hit?.[1] ?? '';
}
