/** Priority: a Pod's priority is what its PriorityClass says. Source: KEP-268; the Kubernetes page "Pod Priority and Preemption". */
import type * as coreV1 from '#api/gen/core-v1.ts';
import type * as schedulingV1 from '#api/gen/scheduling-v1.ts';
import { nameOf } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes, ObjectReader } from '../interfaces.ts';
import { isAbout, oneOf, refusal } from './refusal.ts';

const CLASSES = resourceOf('scheduling.k8s.io', 'v1', 'priorityclasses');
const DEFAULT_POLICY = 'PreemptLowerPriority';
type PreemptionPolicy = NonNullable<schedulingV1.PriorityClass['preemptionPolicy']>;

interface Computed {
  readonly className: string;
  readonly priority: number;
  readonly policy: PreemptionPolicy;
}

export class Priority implements AdmissionPlugin {
  readonly name = 'Priority';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE');
  readonly #reader: ObjectReader;
  constructor(options: { readonly reader: ObjectReader }) {
    this.#reader = options.reader;
  }
  admit(a: MutableAdmissionAttributes): void {
    if (!isAbout(a, '', 'pods') || a.operation === 'DELETE') return;
    const pod = a.object as Draft<coreV1.Pod>;
    const spec = pod.spec;
    if (!spec) return;
    if (a.operation === 'UPDATE') {
      const old = (a.oldObject as coreV1.Pod).spec;
      // Clients from before these fields leave them out: the values stay.
      if (spec.priority === undefined && old?.priority !== undefined) spec.priority = old.priority;
      if (spec.preemptionPolicy === undefined && old?.preemptionPolicy !== undefined) spec.preemptionPolicy = old.preemptionPolicy;
      return;
    }
    const computed = this.#compute(a, spec.priorityClassName ?? '');
    if (spec.priority !== undefined && spec.priority !== computed.priority) {
      throw refusal(a, `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${computed.priority} from the given PriorityClass name`);
    }
    if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== computed.policy) {
      throw refusal(a, `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${computed.policy} from the given PriorityClass name`);
    }
    if (computed.className !== '') spec.priorityClassName = computed.className;
    spec.priority = computed.priority;
    spec.preemptionPolicy = computed.policy;
  }
  validate(a: AdmissionAttributes): void {
    if (!isAbout(a, 'scheduling.k8s.io', 'priorityclasses') || a.operation === 'DELETE') return;
    const object = a.object as schedulingV1.PriorityClass;
    if (!object.globalDefault) return;
    const other = this.#defaultClass();
    if (other && nameOf(other) !== nameOf(object)) throw refusal(a, `PriorityClass ${nameOf(other)} is already marked as default. Only one default can exist`);
  }
  #compute(a: AdmissionAttributes, className: string): Computed {
    if (className === '') {
      const found = this.#defaultClass();
      return found ? { className: nameOf(found), priority: found.value ?? 0, policy: found.preemptionPolicy ?? DEFAULT_POLICY } : { className, priority: 0, policy: DEFAULT_POLICY };
    }
    const found = this.#reader.get<schedulingV1.PriorityClass>(CLASSES, '', className);
    if (!found) throw refusal(a, `no PriorityClass with name ${className} was found`);
    return { className, priority: found.value ?? 0, policy: found.preemptionPolicy ?? DEFAULT_POLICY };
  }
  /** Of several defaults, which a race can leave, the one with the lowest value. */
  #defaultClass(): schedulingV1.PriorityClass | undefined {
    return this.#reader.list<schedulingV1.PriorityClass>(CLASSES).filter((c) => c.globalDefault).toSorted((x, y) => (x.value ?? 0) - (y.value ?? 0))[0];
  }
}
