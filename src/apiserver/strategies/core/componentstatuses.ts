import type { ComponentStatus } from '#api/gen/core-v1.ts';
import { defineStrategy } from '../define.ts';
import { NAME, text } from '../printing.ts';

/** Not stored (`subresources/component-statuses.ts` answers): only printed. */
export const componentstatuses = defineStrategy<ComponentStatus>('', 'v1', 'componentstatuses', {
  columns: [
    NAME,
    text('Status', 'Status of the component conditions'),
    text('Message', 'Message of the component conditions'),
    text('Error', 'Error of the component conditions'),
  ],
  row({ metadata, conditions }) {
    const healthy = conditions?.find((c) => c.type === 'Healthy');
    const status = healthy ? (healthy.status === 'True' ? 'Healthy' : 'Unhealthy') : 'Unknown';
    return [metadata?.name ?? '', status, healthy?.message ?? '', healthy?.error ?? ''];
  },
});
