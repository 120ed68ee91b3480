import type { ResourceInfo } from '#api/resources.ts';
import type { Strategy } from '../registry/strategy.ts';
import { CREATED_AT, NAME } from './printing.ts';

/** What a kind gets that adds nothing of its own: metadata checks by the registry and the two columns of upstream's default printer. */
export function genericStrategy(resource: ResourceInfo): Strategy {
  return {
    resource,
    columns: [NAME, CREATED_AT],
    row: (obj) => [obj.metadata.name ?? '', obj.metadata.creationTimestamp ?? null],
  };
}
