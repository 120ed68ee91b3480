import type { KubeObject } from '#api/object.ts';

/** The Status of a create that made no object: bindings and evictions. */
export function successStatus(code: number): KubeObject {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code } as KubeObject;
}
