/** Deletes every object of a selection, each as a delete by itself would. Answers with the list of what was found. */
import { isReason } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import type { ListResult } from '../request.ts';
import { deleteObject } from './delete.ts';
import { listSelected } from './list.ts';
import { listOptions, type DeleteOptions } from './options.ts';
import { selectionOf } from './selection.ts';

/** Deletes under way at once: enough to share one flush of the store, not so many as to starve others. */
const PARALLEL = 32;

export async function deleteCollection(ctx: RequestContext, options: DeleteOptions, rawOptions: Readonly<Record<string, unknown>>): Promise<ListResult> {
  const listing = listOptions(ctx.request.query, false);
  const selection = selectionOf(ctx.served, listing.labelSelector, listing.fieldSelector);
  const list = await listSelected(ctx, listing, selection);
  const queue = list.entries.values();
  const worker = async (): Promise<void> => {
    for (const entry of queue) {
      const { name = '', uid = '', namespace = '' } = entry.object.metadata;
      const one = namespace === ctx.namespace ? ctx : ctx.inNamespace(namespace);
      try {
        // Only what the selection saw may go: a new object under the same name stays.
        await deleteObject(one, { name, admitsAs: '', options: { ...options, preconditions: options.preconditions ?? { uid } }, rawOptions });
      } catch (err) {
        if (!isReason(err, 'NotFound') && !(isReason(err, 'Conflict') && options.preconditions === undefined)) throw err;
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return list;
}
