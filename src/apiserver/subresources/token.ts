/** `serviceaccounts/token`: TokenRequest. */
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { fieldPath, invalidValue } from '#machinery/field-errors.ts';
import { badRequest, invalid } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import { pathNotFound } from '../generic-errors.ts';
import { isPromise } from '../maybe-promise.ts';
import { admitWhole } from '../registry/admit.ts';
import { decodeBody } from '../registry/body.ts';
import { entryOf } from '../registry/get.ts';
import { trackFields } from '../registry/managed-fields.ts';
import { writeOptions, writeOptionsObject } from '../registry/options.ts';
import { structCodec } from '../registry/struct-codec.ts';
import type { ApiResult } from '../request.ts';

const EXPECTED = { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' };
const codec = structCodec(structByKind('authentication.k8s.io', 'v1', 'TokenRequest')!);

export async function serveToken(ctx: RequestContext): Promise<ApiResult> {
  const issuer = ctx.services.tokenIssuer;
  if (!issuer) throw pathNotFound();
  const options = writeOptions(ctx.request.query, 'CreateOptions');
  const tokenRequest = decodeBody(ctx, await ctx.request.readBody(), { expected: EXPECTED, codec, fieldValidation: options.fieldValidation });
  const { name = '', namespace = '' } = tokenRequest.metadata;
  if (namespace !== '' && namespace !== ctx.namespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  if (name !== '' && name !== ctx.name) throw invalid(EXPECTED, ctx.name, [invalidValue(fieldPath('metadata', 'name'), name, 'must match the service account name if specified')]);
  await ctx.served.storage!.freshen(undefined, ctx.signal);
  const serviceAccount = entryOf(ctx).object;
  trackFields(ctx, { live: undefined, draft: tokenRequest, fieldManager: options.fieldManager, subresource: 'token', written: { expected: EXPECTED, codec } });
  const admitted = admitWhole(ctx, { operation: 'CREATE', subresource: 'token', name: ctx.name, object: tokenRequest, oldObject: undefined, options: writeOptionsObject('CreateOptions', options), dryRun: options.dryRun, kind: EXPECTED });
  if (isPromise(admitted)) await admitted;
  const object: KubeObject = await issuer.issue({ serviceAccount, tokenRequest: tokenRequest as KubeObject, user: ctx.user, objects: ctx.services.reader, warn: (message) => ctx.warn(message), annotate: (key, value) => ctx.annotate(key, value) }, ctx.signal);
  return { kind: 'object', code: 201, object: codec.normalise(object) };
}
