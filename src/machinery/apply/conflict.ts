/** Conflicts of an apply, in upstream's words. */
import type { Status } from '#api/gen/meta-v1.ts';
import { REASON_CODES, StatusError } from '../status-error.ts';
import { forEachPath, type FieldSet } from './field-set.ts';
import { identityOf, type Managed } from './managed-fields.ts';
import { printPath } from './path-element.ts';

/** Fields that an apply would change though this manager owns them. */
export interface Conflict {
  readonly with: Managed;
  readonly fields: FieldSet;
}

/** 409 Conflict: `Apply failed with 1 conflict: conflict with "x" using apps/v1: .spec.replicas`, with a cause for each field. */
export function conflictError(conflicts: readonly Conflict[]): StatusError {
  const ordered = conflicts.map((c) => ({ ...c, id: identityOf(c.with) })).sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const named = ordered.map((c) => ({ manager: printManager(c.with), paths: pathsOf(c.fields) }));
  const causes = named.flatMap(({ manager, paths }) => paths.map((field) => ({ reason: 'FieldManagerConflict', message: `conflict with ${manager}`, field })));
  const lines = named.flatMap(({ manager, paths }) => [`conflicts with ${manager}:`, ...paths.map((p) => `- ${p}`)]);
  const message =
    causes.length === 1
      ? `Apply failed with 1 conflict: conflict with ${named[0]!.manager}: ${causes[0]!.field}`
      : `Apply failed with ${causes.length} conflicts: ${lines.join('\n')}`;
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, reason: 'Conflict', details: { causes }, code: REASON_CODES.Conflict };
  return new StatusError(status);
}

function pathsOf(set: FieldSet): string[] {
  const out: string[] = [];
  forEachPath(set, (path) => out.push(printPath(path)));
  return out;
}

function printManager(m: Managed): string {
  const subresource = m.subresource === '' ? '' : ` with subresource ${JSON.stringify(m.subresource)}`;
  return `${JSON.stringify(m.manager)}${subresource}${m.operation === 'Update' ? ` using ${m.apiVersion}` : ''}`;
}
