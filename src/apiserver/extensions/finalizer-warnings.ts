/** Finalizers of custom resources should carry a domain and a path: upstream warns about others that are added. */
import { isQualifiedName } from '#machinery/names.ts';
import { goQuote } from '#machinery/go-text.ts';

const STANDARD = new Set(['orphan', 'foregroundDeletion', 'kubernetes']);
export function finalizerWarnings(next: readonly string[] | undefined, before: readonly string[] | undefined): string[] {
  const out: string[] = [];
  for (const name of (next ?? []).filter((f) => !before?.includes(f)).toSorted()) {
    const head = `metadata.finalizers: ${goQuote(name)}: `;
    out.push(...isQualifiedName(name).map((message) => head + message));
    if (name.includes('/') || STANDARD.has(name)) continue;
    out.push(`${head}prefer a domain-qualified finalizer name ${name.includes('.') ? 'including a path (/) ' : ''}to avoid accidental conflicts with other finalizer writers`);
  }
  return out;
}
