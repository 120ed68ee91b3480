/** TaintNodesByCondition: a new node is tainted not-ready until its kubelet says otherwise, so that no Pod comes too early. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import { isAbout, oneOf } from './refusal.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';

export class TaintNodesByCondition implements AdmissionPlugin {
  readonly name = 'TaintNodesByCondition';
  readonly handles = oneOf('CREATE');
  admit(a: MutableAdmissionAttributes): void {
    if (!isAbout(a, '', 'nodes')) return;
    const node = a.object as Draft<coreV1.Node>;
    const spec = (node.spec ??= {});
    const taints = (spec.taints ??= []);
    if (!taints.some((t) => t.key === NOT_READY && t.effect === 'NoSchedule')) taints.push({ key: NOT_READY, effect: 'NoSchedule' });
  }
}
