/** `componentstatuses`: deprecated since 1.19, still asked for by `kubectl get cs`. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { notFound } from '#machinery/status-error.ts';
import { Entry } from '#store/entry.ts';
import type { RequestContext } from '../context.ts';
import { verbNotAllowed } from '../generic-errors.ts';
import { listOptions } from '../registry/options.ts';
import { selectionOf } from '../registry/selection.ts';
import type { ApiResult } from '../request.ts';

export interface ComponentHealth {
  readonly name: string;
  /** undefined: healthy; else why not. */
  check(): string | undefined;
}

function statusOf(component: ComponentHealth): coreV1.ComponentStatus {
  const error = component.check();
  const condition = { type: 'Healthy', status: error === undefined ? 'True' : 'False', message: error === undefined ? 'ok' : '', ...(error === undefined ? {} : { error }) };
  return { kind: 'ComponentStatus', apiVersion: 'v1', metadata: { name: component.name }, conditions: [condition] } as coreV1.ComponentStatus;
}

export function serveComponentStatuses(ctx: RequestContext): ApiResult {
  const components = ctx.services.components;
  if (ctx.request.info.verb === 'get') {
    const found = components.find((c) => c.name === ctx.name);
    if (!found) throw notFound({ group: '', resource: 'componentstatuses' }, ctx.name);
    return { kind: 'object', code: 200, object: statusOf(found) };
  }
  if (ctx.request.info.verb !== 'list') throw verbNotAllowed();
  const { labelSelector, fieldSelector } = listOptions(ctx.request.query, false);
  const selection = selectionOf(ctx.served, labelSelector, fieldSelector);
  const entries = components.map(statusOf).filter((c) => selection.matches(c)).map((object) => new Entry(`/componentstatuses/${object.metadata.name}`, object, 0));
  return { kind: 'list', served: ctx.served, entries, resourceVersion: '' };
}
