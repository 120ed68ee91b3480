/** DefaultTolerationSeconds: Pods stay five minutes on a node that is not ready or unreachable, unless they say otherwise. */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import { isAbout, oneOf } from './refusal.ts';

const KEYS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];

export class DefaultTolerationSeconds implements AdmissionPlugin {
  readonly name = 'DefaultTolerationSeconds';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #seconds: number;
  constructor(seconds = 300) {
    this.#seconds = seconds;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (!isAbout(a, '', 'pods')) return;
    const spec = (a.object as Draft<coreV1.Pod>).spec;
    if (!spec) return;
    const tolerated = (key: string): boolean => (spec.tolerations ?? []).some((t) => (t.key === key || !t.key) && (t.effect === 'NoExecute' || !t.effect));
    for (const key of KEYS.filter((k) => !tolerated(k))) (spec.tolerations ??= []).push({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: this.#seconds });
  }
}
