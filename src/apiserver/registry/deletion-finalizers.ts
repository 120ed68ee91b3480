import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import type { DeleteOptions } from './options.ts';

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';

/** Whether a delete leaves dependents behind: what the request says, else what the object's finalizers say. */
function shouldOrphan(options: DeleteOptions, finalizers: readonly string[]): boolean {
  if (options.orphanDependents !== undefined) return options.orphanDependents;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === 'Orphan';
  if (finalizers.includes(ORPHAN)) return true;
  return false;
}
function shouldDeleteInForeground(options: DeleteOptions, finalizers: readonly string[]): boolean {
  if (options.orphanDependents !== undefined) return false;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === 'Foreground';
  return finalizers.includes(FOREGROUND) && !finalizers.includes(ORPHAN);
}

/** Sets the finalizers that tell the garbage collector what to do with dependents; says whether they changed. */
export function changeFinalizers(next: Draft<KubeObject>, options: DeleteOptions): boolean {
  const old = next.metadata.finalizers ?? [];
  const kept = old.filter((f) => f !== ORPHAN && f !== FOREGROUND);
  if (shouldOrphan(options, old)) kept.push(ORPHAN);
  if (shouldDeleteInForeground(options, old)) kept.push(FOREGROUND);
  const changed = kept.length !== old.length || kept.some((f) => !old.includes(f));
  if (changed) {
    if (kept.length) next.metadata.finalizers = kept;
    else delete next.metadata.finalizers;
  }
  return changed;
}
