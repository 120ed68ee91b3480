/** The verbs of a stored resource. */
import type { RequestContext } from '../context.ts';
import { verbNotAllowed } from '../generic-errors.ts';
import type { MaybePromise } from '../interfaces.ts';
import type { ApiResult, ObjectResult } from '../request.ts';
import { decodeBody } from './body.ts';
import { createObject } from './create.ts';
import { deleteCollection } from './delete-collection.ts';
import { deleteObject } from './delete.ts';
import { readDeleteOptions } from './delete-options.ts';
import { getObject } from './get.ts';
import { listObjects } from './list.ts';
import { checkName, settleNamespace } from './object-meta.ts';
import { writeOptions } from './options.ts';
import { patchObject } from './patch.ts';
import { copyDraft } from './spelled-out.ts';
import { updateObject, type ObjectView } from './update.ts';
import { watchObjects } from './watch.ts';

export function serveVerb(ctx: RequestContext): MaybePromise<ApiResult> {
  switch (ctx.request.info.verb) {
    case 'get':
      return getObject(ctx);
    case 'list':
      return listObjects(ctx);
    case 'watch':
      return watchObjects(ctx);
    case 'create':
      return create(ctx);
    case 'update':
      return putObject(ctx, '');
    case 'patch':
      return patchObject(ctx, '');
    case 'delete':
      return remove(ctx);
    case 'deletecollection':
      return removeAll(ctx);
    default:
      throw verbNotAllowed();
  }
}

async function create(ctx: RequestContext): Promise<ObjectResult> {
  const { info, codec } = ctx.served;
  const options = writeOptions(ctx.request.query, 'CreateOptions');
  const body = await ctx.request.readBody();
  const draft = decodeBody(ctx, body, { expected: info, codec, fieldValidation: options.fieldValidation });
  return createObject(ctx, { draft, options });
}

/** PUT of a resource, of a subresource that is the object itself, or of one that shows the object through a view. */
export async function putObject(ctx: RequestContext, subresource: string, view?: ObjectView): Promise<ObjectResult> {
  const { info, codec, strategy } = ctx.served;
  const options = writeOptions(ctx.request.query, 'UpdateOptions');
  const body = await ctx.request.readBody();
  const sent = decodeBody(ctx, body, { expected: view?.expected ?? info, codec: view?.codec ?? codec, fieldValidation: options.fieldValidation });
  checkName(sent, ctx.name, ctx.namespace);
  settleNamespace(sent, info, ctx.namespace);
  return updateObject(ctx, {
    name: ctx.name,
    options,
    optionsKind: 'UpdateOptions',
    subresource,
    view,
    allowCreate: subresource === '' && (strategy.allowCreateOnUpdate ?? false),
    // Every try changes its draft.
    source: () => copyDraft(sent),
  });
}

async function remove(ctx: RequestContext): Promise<ObjectResult> {
  const { options, raw } = await readDeleteOptions(ctx);
  return deleteObject(ctx, { name: ctx.name, options, rawOptions: raw });
}
async function removeAll(ctx: RequestContext): Promise<ApiResult> {
  const { options, raw } = await readDeleteOptions(ctx);
  return deleteCollection(ctx, options, raw);
}
