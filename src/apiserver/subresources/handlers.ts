/** Which handler serves which subresource of the resource table. */
import type { ResourceInfo } from '#api/resources.ts';
import type { RequestContext } from '../context.ts';
import { verbNotAllowed } from '../generic-errors.ts';
import { getObject } from '../registry/get.ts';
import { patchObject } from '../registry/patch.ts';
import type { SubresourceHandler } from '../registry/resource-registry.ts';
import { putObject } from '../registry/verbs.ts';
import { serveBinding } from './binding.ts';
import { serveComponentStatuses } from './component-statuses.ts';
import { serveEviction } from './eviction.ts';
import { serveAttach, serveExec, servePortForward } from './exec.ts';
import { serveLog } from './log.ts';
import { serveNodeProxy, servePodProxy, serveServiceProxy } from './proxy.ts';
import { reviewHandler } from './reviews.ts';
import { builtinScalable, scaleHandler } from './scale.ts';
import { serveToken } from './token.ts';

/** A subresource that is the object itself, of which a write changes a part. */
function partOfObject(name: string): SubresourceHandler {
  return (ctx: RequestContext) => {
    switch (ctx.request.info.verb) {
      case 'get':
        return getObject(ctx);
      case 'update':
        return putObject(ctx, name);
      case 'patch':
        return patchObject(ctx, name);
      default:
        throw verbNotAllowed();
    }
  };
}

/** `status` of custom resources. */
export const statusHandler: SubresourceHandler = partOfObject('status');

const BY_NAME: Readonly<Record<string, SubresourceHandler>> = {
  'pods/attach': serveAttach,
  'pods/binding': serveBinding,
  'pods/eviction': serveEviction,
  'pods/exec': serveExec,
  'pods/log': serveLog,
  'pods/portforward': servePortForward,
  'pods/proxy': servePodProxy,
  'services/proxy': serveServiceProxy,
  'nodes/proxy': serveNodeProxy,
  'serviceaccounts/token': serveToken,
};

export function subresourceHandlers(info: ResourceInfo): ReadonlyMap<string, SubresourceHandler> {
  return new Map(info.subresources.map((sub) => [sub.name, BY_NAME[`${info.plural}/${sub.name}`] ?? (sub.name === 'scale' ? scaleHandler(builtinScalable(info)) : partOfObject(sub.name))]));
}

/** The handler of a resource that is not stored. */
export function virtualHandler(info: ResourceInfo): SubresourceHandler | undefined {
  if (info.group === '' && info.plural === 'bindings') return serveBinding;
  if (info.group === '' && info.plural === 'componentstatuses') return serveComponentStatuses;
  return reviewHandler(info.plural);
}
