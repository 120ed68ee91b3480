import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import type { DeleteOptions } from './options.ts';
import type { Strategy } from './strategy.ts';

const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';
const BY_POLICY: Readonly<Record<string, string>> = { Orphan: ORPHAN, Foreground: FOREGROUND };

/** The finalizer of a deletion: what the request says, else what the object's finalizers say, else what is usual for the kind. */
function finalizerOf(options: DeleteOptions, finalizers: readonly string[], usual: Strategy['dependents']): string | undefined {
  if (usual === 'ignore') return undefined;
  if (options.orphanDependents !== undefined) return options.orphanDependents ? ORPHAN : undefined;
  if (options.propagationPolicy !== undefined) return BY_POLICY[options.propagationPolicy];
  return finalizers.find((f) => f === ORPHAN || f === FOREGROUND) ?? (usual === 'orphan' ? ORPHAN : undefined);
}

/** Sets the finalizer that tells the garbage collector what to do with dependents; says whether finalizers changed. */
export function changeFinalizers(next: Draft<KubeObject>, options: DeleteOptions, usual?: Strategy['dependents']): boolean {
  const old = next.metadata.finalizers ?? [];
  const kept = old.filter((f) => f !== ORPHAN && f !== FOREGROUND);
  const finalizer = finalizerOf(options, old, usual);
  if (finalizer !== undefined) kept.push(finalizer);
  const changed = kept.length !== old.length || kept.some((f) => !old.includes(f));
  if (changed) {
    if (kept.length) next.metadata.finalizers = kept;
    else delete next.metadata.finalizers;
  }
  return changed;
}
