/** ResourceQuota: what a namespace may hold in all. Runs last, so that only writes that everyone else allows are charged. */
import { parseQuantity } from '#machinery/quantity.ts';
import type { Clock } from '#base/clock.ts';
import type { AdmissionAttributes, AdmissionPlugin, Loopback, ObjectReader } from '../interfaces.ts';
import { oneOf, refusal } from './refusal.ts';
import { interested, QuotaLedger, totalsWith, usedOf, type Charge } from './resource-quota/ledger.ts';
import { countsOn, usageOf, type Usage } from '#machinery/quota-usage.ts';

export class ResourceQuota implements AdmissionPlugin {
  readonly name = 'ResourceQuota';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #ledger: QuotaLedger;
  readonly #clock: Clock;
  constructor(options: { readonly reader: ObjectReader; readonly loopback: Loopback; readonly clock: Clock }) {
    this.#ledger = new QuotaLedger(options);
    this.#clock = options.clock;
  }
  stop(): void {
    this.#ledger.stop();
  }
  validate(a: AdmissionAttributes): void | Promise<void> {
    if (a.namespace === '' || !a.object || !a.resource.namespaced || !countsOn(a.operation, a.resource, a.subresource)) return undefined;
    const quotas = this.#ledger.quotas(a.namespace);
    if (quotas.length === 0) return undefined;
    const charge = this.#chargeOf(a);
    const parts = interested(quotas, charge);
    if (parts.length === 0) return undefined;
    if (!a.dryRun) return this.#ledger.charge(charge);
    for (const { quota, part } of parts) totalsWith(quota, usedOf(quota), part, charge);
    return undefined;
  }
  #chargeOf(a: AdmissionAttributes): Charge {
    const now = this.#clock.now();
    const usage = usageOf(a.resource, a.object!, now);
    const before: Usage = a.operation === 'UPDATE' && a.oldObject ? usageOf(a.resource, a.oldObject, now) : new Map();
    const zero = parseQuantity('0');
    const delta: Usage = new Map();
    for (const name of new Set([...usage.keys(), ...before.keys()])) {
      const change = (usage.get(name) ?? zero).sub(before.get(name) ?? zero);
      if (change.sign() !== 0) delta.set(name, change);
    }
    if (a.operation === 'CREATE') {
      const negative = [...delta].filter(([, q]) => q.sign() < 0).map(([name]) => name);
      if (negative.length) throw refusal(a, `quota usage is negative for resource(s): ${negative.toSorted().join(',')}`);
    }
    return { resource: a.resource, namespace: a.namespace, object: a.object!, delta, isCreate: a.operation === 'CREATE', refuse: (why) => refusal(a, why) };
  }
}
