/** Admission attributes for tests, with what was warned and annotated. */
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { resourceOfObject } from '../../authentication/testing/fakes.ts';
import type { AdmissionAttributes, MutableAdmissionAttributes } from '../../interfaces.ts';

export interface TestAttributes extends Omit<MutableAdmissionAttributes, 'object'> {
  readonly object: Draft<KubeObject> | undefined;
  readonly warnings: string[];
  readonly annotations: Record<string, string>;
}
export function attributes(object: unknown, more: Partial<AdmissionAttributes> = {}): TestAttributes {
  const subject = (object ?? more.oldObject) as KubeObject;
  const resource = more.resource ?? resourceOfObject(subject);
  const warnings: string[] = [];
  const annotations: Record<string, string> = {};
  const { name = '', namespace = '' } = subject.metadata;
  return {
    operation: more.oldObject ? (object ? 'UPDATE' : 'DELETE') : 'CREATE', resource, subresource: '', kind: resource,
    namespace: resource.plural === 'namespaces' ? name : namespace, name, oldObject: undefined, options: {}, dryRun: false, user: { name: 'jane', groups: ['system:authenticated'] },
    warnings, annotations,
    warn: (m) => void warnings.push(m),
    annotate: (k, v) => void (annotations[k] = v),
    ...more,
    object: object === undefined ? undefined : (draftOf(object) as Draft<KubeObject>),
  };
}
